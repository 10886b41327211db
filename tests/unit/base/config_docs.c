/* config_docs.c - docs/config.md and the manual page say what the table says. */
#include <criterion/criterion.h>

#include "core/base/buffer.h"
#include "core/base/config.h"

static void read_page(struct buffer *page, const char *path)
{
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s cannot be opened", path);
    buffer_init(page, 1 << 20);
    char chunk[4096];
    for (size_t n = 0; (n = fread(chunk, 1, sizeof(chunk), file)) > 0;)
        buffer_append(page, chunk, n);
    (void)fclose(file);
    cr_assert_not_null(buffer_text(page));
}

Test(config_docs, show_each_option_with_type_default_range_and_help)
{
    struct buffer page;
    read_page(&page, GOPROFD_SOURCE_DIR "/docs/config.md");
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    cr_assert_gt(count, 15);
    for (size_t i = 0; i < count; i++) {
        const struct config_option *o = &options[i];
        struct buffer row;
        buffer_init(&row, 4096);
        buffer_printf(&row, "\n| `%s`%s | %s | `%s` | %s | %s | %s |\n", o->key,
                      o->from_goprof_optimizer ? " =" : "", o->type,
                      o->default_text[0] != '\0' ? o->default_text : "\"\"", o->allowed,
                      o->reloadable ? "yes" : "no", o->help);
        cr_expect_not_null(strstr(page.data, buffer_text(&row)), "docs/config.md lacks the row:%s",
                           row.data);
        buffer_release(&row);
    }
    buffer_release(&page);
}

Test(config_docs, show_no_option_that_does_not_exist)
{
    struct buffer page;
    read_page(&page, GOPROFD_SOURCE_DIR "/docs/config.md");
    size_t count = 0;
    (void)config_options(&count);
    size_t rows = 0;
    for (const char *row = strstr(page.data, "## Options"); row != NULL;) {
        row = strstr(row, "\n| `");
        if (row == NULL || row > strstr(page.data, "## targets"))
            break;
        rows++;
        row += 3;
    }
    cr_assert_eq(rows, count, "docs/config.md has %zu rows for %zu options", rows, count);
    buffer_release(&page);
}

Test(config_docs, in_the_manual_page_show_each_option_too)
{
    struct buffer page;
    read_page(&page, GOPROFD_SOURCE_DIR "/docs/goprofd.1");
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    for (size_t i = 0; i < count; i++) {
        const struct config_option *o = &options[i];
        struct buffer entry;
        buffer_init(&entry, 4096);
        buffer_printf(&entry, "\n.TP\n.B %s\n%s.\nDefault %s; %s.\n", o->key, o->help,
                      o->default_text[0] != '\0' ? o->default_text : "\"\"", o->allowed);
        cr_expect_not_null(strstr(page.data, buffer_text(&entry)), "docs/goprofd.1 lacks:%s",
                           entry.data);
        buffer_release(&entry);
    }
    buffer_release(&page);
}
