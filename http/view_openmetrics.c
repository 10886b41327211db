/* view_openmetrics.c - the page of numbers as OpenMetrics 1.0 text. */
#include "http/view_openmetrics.h"

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buffer.h"

static const char help_mark[] = "# HELP ";
static const char type_mark[] = "# TYPE ";
static const char total[] = "_total";
enum { MARK_LENGTH = sizeof(type_mark) - 1, TOTAL_LENGTH = sizeof(total) - 1 };
_Static_assert(sizeof(help_mark) == sizeof(type_mark), "both marks are cut off alike");

struct text {
    const char *at;
    size_t length;
};

/* Cuts the next line off [rest], without its end. */
static bool next_line(struct text *rest, struct text *line)
{
    if (rest->length == 0)
        return false;
    const char *end = memchr(rest->at, '\n', rest->length);
    line->at = rest->at;
    line->length = end == NULL ? rest->length : (size_t)(end - rest->at);
    const size_t used = line->length + (end != NULL);
    rest->at += used;
    rest->length -= used;
    return true;
}

static bool begins_with(struct text line, const char *mark)
{
    return line.length > MARK_LENGTH && memcmp(line.at, mark, MARK_LENGTH) == 0;
}

/* The name behind "# TYPE " or "# HELP ". */
static struct text name_of(struct text line)
{
    struct text name = {line.at + MARK_LENGTH, line.length - MARK_LENGTH};
    const char *blank = memchr(name.at, ' ', name.length);
    if (blank != NULL)
        name.length = (size_t)(blank - name.at);
    return name;
}

static bool same(struct text a, struct text b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

static bool is_counter(struct text type_line)
{
    static const char word[] = " counter";
    return type_line.length > sizeof(word) - 1 &&
           memcmp(type_line.at + type_line.length - (sizeof(word) - 1), word, sizeof(word) - 1) == 0;
}

/* ---- names of families ---- */

enum { FAMILIES_MAX = 1024 };

struct families {
    struct text names[FAMILIES_MAX];
    size_t count;
};

static void collect_names(struct families *families, struct text all)
{
    struct text line;
    families->count = 0;
    while (next_line(&all, &line)) {
        if (begins_with(line, type_mark) && families->count < FAMILIES_MAX)
            families->names[families->count++] = name_of(line);
    }
}

static bool is_taken(const struct families *families, struct text name)
{
    for (size_t i = 0; i < families->count; i++) {
        if (same(families->names[i], name))
            return true;
    }
    return false;
}

/* What the family [name] is called here; *[unknown] if it may not call itself a counter. */
static struct text counter_name(const struct families *families, struct text name, bool *unknown)
{
    struct text base = {name.at, name.length > TOTAL_LENGTH ? name.length - TOTAL_LENGTH : 0};
    *unknown = base.length == 0 || memcmp(name.at + base.length, total, TOTAL_LENGTH) != 0 ||
               is_taken(families, base);
    return *unknown ? name : base;
}

/* ---- lines ---- */

static void append_text(struct buffer *out, struct text text)
{
    buffer_append(out, text.at, text.length);
}

/* "# HELP NAME ..." and the "# TYPE NAME TYPE" that follows it. */
static void append_head(struct buffer *out, const struct families *families, struct text help,
                        struct text type)
{
    const struct text written = name_of(type);
    bool unknown = false;
    struct text name = written;
    if (is_counter(type))
        name = counter_name(families, written, &unknown);
    buffer_append_string(out, type_mark);
    append_text(out, name);
    if (unknown)
        buffer_append_string(out, " unknown");
    else
        buffer_append(out, written.at + written.length,
                      (size_t)(type.at + type.length - (written.at + written.length)));
    buffer_append_byte(out, '\n');
    const struct text helped = name_of(help);
    buffer_append_string(out, help_mark);
    append_text(out, name);
    buffer_append(out, helped.at + helped.length,
                  (size_t)(help.at + help.length - (helped.at + helped.length)));
    buffer_append_byte(out, '\n');
}

void view_openmetrics(struct buffer *out, const char *text, size_t length)
{
    const struct text all = {text, length};
    struct families families;
    struct text rest = all;
    struct text line;
    collect_names(&families, all);
    while (next_line(&rest, &line)) {
        struct text type;
        if (begins_with(line, help_mark) && next_line(&rest, &type)) {
            append_head(out, &families, line, type);
            continue;
        }
        append_text(out, line);
        buffer_append_byte(out, '\n');
    }
    buffer_append_string(out, "# EOF\n");
}
