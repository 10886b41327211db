/* view_pprof.c - index and command line for /debug/pprof/. */
#include "http/view_pprof.h"

#include "core/base/buffer.h"
#include "core/base/json.h"
#include "core/store/board.h"
#include "core/store/target_info.h"

static void append_html(struct buffer *out, const char *text)
{
    const size_t length = strlen(text);
    for (size_t i = 0; i < length;) {
        const size_t sequence = json_utf8_length(text + i, length - i);
        const char c = text[i];
        if (sequence == 0)
            buffer_append_string(out, "&#65533;");
        else if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
            buffer_printf(out, "&#%d;", c);
        else
            buffer_append(out, text + i, sequence);
        i += sequence > 0 ? sequence : 1;
    }
}

/* Everything but unreserved characters as %XX, which needs no HTML escape any more. */
static void append_url(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        const char c = *text;
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (letter || (c >= '0' && c <= '9') || strchr("-._~", c) != NULL)
            buffer_append_byte(out, c);
        else
            buffer_printf(out, "%%%02X", (unsigned)(unsigned char)c);
    }
}

static void append_link(struct buffer *out, const char *profile, const char *id, const char *more,
                        const char *text)
{
    buffer_printf(out, "<a href=\"/debug/pprof/%s?target=", profile);
    append_url(out, id);
    buffer_printf(out, "%s\">%s</a> ", more, text);
}

static void append_row(struct buffer *out, const struct target_view *view)
{
    const struct target_facts *facts = &view->info->facts;
    buffer_append_string(out, "<tr><td>");
    append_html(out, facts->id);
    buffer_append_string(out, "</td><td>");
    append_html(out, target_state_name(facts->state));
    if (facts->reason[0] != '\0') {
        buffer_append_string(out, ": ");
        append_html(out, facts->reason);
    }
    buffer_append_string(out, "</td><td>");
    append_html(out, facts->go_version);
    buffer_append_string(out, "</td><td>");
    if (view->profile != NULL) {
        append_link(out, "heap", facts->id, "", "heap");
        append_link(out, "heap", facts->id, "&amp;debug=1", "heap (text)");
        append_link(out, "allocs", facts->id, "", "allocs");
    }
    if (facts->source == SOURCE_PROCESS && facts->state == TARGET_UP) {
        append_link(out, "goroutine", facts->id, "", "goroutine");
        append_link(out, "goroutine", facts->id, "&amp;debug=2", "goroutine (text)");
        append_link(out, "block", facts->id, "", "block");
        append_link(out, "mutex", facts->id, "", "mutex");
        append_link(out, "threadcreate", facts->id, "", "threadcreate");
    }
    if (view->info->cmdline_length > 0)
        append_link(out, "cmdline", facts->id, "", "cmdline");
    buffer_append_string(out, "</td></tr>\n");
}

void view_pprof_index(struct buffer *out, const struct board_page *page)
{
    buffer_append_string(
        out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
             "<title>/debug/pprof/</title>\n<style>body{font-family:sans-serif;margin:2em}"
             "td,th{padding:.2em 1em .2em 0;text-align:left;vertical-align:top}</style></head>\n"
             "<body><h1>/debug/pprof/</h1>\n"
             "<p>Profiles of Go processes, read from outside by goprofd. Open one with "
             "<code>go tool pprof URL</code>; without <code>target=</code> the default target "
             "answers.</p>\n");
    if (page->target_count == 0)
        buffer_append_string(out, "<p>No target is watched yet.</p>\n");
    buffer_append_string(
        out, "<table><tr><th>target</th><th>state</th><th>Go</th><th>profiles</th></tr>\n");
    for (size_t i = 0; i < page->target_count; i++)
        append_row(out, &page->targets[i]);
    buffer_append_string(out, "</table></body></html>\n");
}

void view_pprof_cmdline(struct buffer *out, const struct target_info *info)
{
    size_t length = info->cmdline_length;
    if (length > 0 && info->cmdline[length - 1] == '\0')
        length--;
    buffer_append(out, info->cmdline, length);
}
