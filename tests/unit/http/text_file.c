/* text_file.c - golden files and generated sections of the docs. */
#include "text_file.h"

#include <criterion/criterion.h>

#include "core/base/buffer.h"

static void full_path(struct buffer *out, const char *path)
{
    buffer_init(out, 4096);
    buffer_printf(out, "%s/%s", GOPROFD_SOURCE_DIR, path);
}

static void read_file(const char *path, struct buffer *out)
{
    struct buffer name;
    full_path(&name, path);
    buffer_init(out, 4 << 20);
    FILE *file = fopen(buffer_text(&name), "rb");
    cr_assert_not_null(file, "%s is missing; run the test with GOPROFD_UPDATE=1", path);
    char chunk[4096];
    for (size_t n = fread(chunk, 1, sizeof(chunk), file); n > 0;
         n = fread(chunk, 1, sizeof(chunk), file))
        buffer_append(out, chunk, n);
    (void)fclose(file);
    buffer_release(&name);
    cr_assert_not_null(buffer_text(out));
}

static void write_file(const char *path, const struct buffer *content)
{
    struct buffer name;
    full_path(&name, path);
    FILE *file = fopen(buffer_text(&name), "wb");
    cr_assert_not_null(file, "%s cannot be written", path);
    cr_assert_eq(fwrite(content->data, 1, content->length, file), content->length);
    cr_assert_eq(fclose(file), 0);
    buffer_release(&name);
}

static bool is_update(void)
{
    return getenv("GOPROFD_UPDATE") != NULL;
}

/* Names the first line that differs. */
static void compare(const char *path, const char *wanted, const char *got)
{
    unsigned line = 1;
    size_t start = 0;
    for (size_t i = 0; wanted[i] != '\0' || got[i] != '\0'; i++) {
        if (wanted[i] != got[i])
            cr_assert_fail("%s, line %u of the part: has \"%.*s\", should be \"%.*s\"; "
                           "GOPROFD_UPDATE=1 rewrites it",
                           path, line, (int)strcspn(wanted + start, "\n"), wanted + start,
                           (int)strcspn(got + start, "\n"), got + start);
        if (wanted[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
}

void text_file_equals(const char *path, struct buffer *rendered)
{
    cr_assert_not(rendered->failed);
    if (is_update()) {
        write_file(path, rendered);
        return;
    }
    struct buffer file;
    read_file(path, &file);
    compare(path, buffer_text(&file), buffer_text(rendered));
    buffer_release(&file);
}

void text_file_section_equals(const char *path, const char *name, struct buffer *rendered)
{
    struct buffer file;
    struct buffer mark;
    cr_assert_not(rendered->failed);
    read_file(path, &file);
    buffer_init(&mark, 256);
    buffer_printf(&mark, "<!-- generated: %s -->\n", name);
    char *begin = strstr(file.data, buffer_text(&mark));
    cr_assert_not_null(begin, "%s has no %s", path, buffer_text(&mark));
    begin += mark.length;
    char *end = strstr(begin, "<!-- end -->");
    cr_assert_not_null(end, "%s: %s does not end", path, name);
    if (is_update()) {
        struct buffer all;
        buffer_init(&all, 4 << 20);
        buffer_append(&all, file.data, (size_t)(begin - file.data));
        buffer_append(&all, rendered->data, rendered->length);
        buffer_append_string(&all, end);
        write_file(path, &all);
        buffer_release(&all);
    } else {
        *end = '\0';
        compare(path, begin, buffer_text(rendered));
    }
    buffer_release(&mark);
    buffer_release(&file);
}

void text_file_break_lines(struct buffer *text)
{
    struct buffer broken;
    buffer_init(&broken, 1 << 20);
    for (size_t i = 0; i < text->length; i++) {
        buffer_append_byte(&broken, text->data[i]);
        const char next = i + 1 < text->length ? text->data[i + 1] : '\0';
        if (text->data[i] == ',' && (next == '"' || next == '{'))
            buffer_append_byte(&broken, '\n');
    }
    buffer_append_byte(&broken, '\n');
    buffer_release(text);
    *text = broken;
}
