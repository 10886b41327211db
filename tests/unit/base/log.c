/* log.c - one line per call, whatever the values hold. */
#include "core/base/log.h"

#include <criterion/criterion.h>
#include <unistd.h>

/* Sends standard error into a pipe; each test is a process of its own. */
static int capture_stderr(void)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_neq(dup2(ends[1], STDERR_FILENO), -1);
    (void)close(ends[1]);
    return ends[0];
}

static size_t read_lines(int fd, char *out, size_t size)
{
    (void)close(STDERR_FILENO);
    size_t length = 0;
    for (ssize_t n = 0; (n = read(fd, out + length, size - 1 - length)) > 0;)
        length += (size_t)n;
    out[length] = '\0';
    size_t lines = 0;
    for (size_t i = 0; i < length; i++)
        lines += out[i] == '\n';
    return lines;
}

Test(log, writes_time_level_message_and_fields)
{
    char text[8192];
    const int fd = capture_stderr();
    log_warn(log_msg("target gone"), log_str("target", "demo"), log_i64("pid", -4),
             log_u64("bytes", UINT64_MAX), log_f64("share", 0.25));
    cr_assert_eq(read_lines(fd, text, sizeof(text)), 1);
    cr_assert_eq(strncmp(text, "time=20", 7), 0);
    const char *rest = strstr(text, "Z level=");
    cr_assert_not_null(rest, "%s", text);
    cr_assert_str_eq(rest, "Z level=warn msg=\"target gone\" target=demo pid=-4 "
                           "bytes=18446744073709551615 share=0.25\n");
}

Test(log, cannot_be_made_to_forge_a_line)
{
    char text[8192];
    const int fd = capture_stderr();
    log_info(log_msg("new target"),
             log_str("name", "x\ntime=2026-01-01T00:00:00Z level=error msg=forged pid=\"1\""),
             log_str("empty", ""), log_str("null", NULL), log_str("bytes", "\xFF\x1b[31m\r"),
             log_str("equals", "a=b"));
    cr_assert_eq(read_lines(fd, text, sizeof(text)), 1, "%s", text);
    cr_assert_not_null(strstr(text, "name=\"x\\ntime=2026-01-01T00:00:00Z level=error msg=forged "
                                    "pid=\\\"1\\\"\" empty=\"\" null=\"\""),
                       "%s", text);
    cr_assert_null(strchr(text, '\x1b'));
    cr_assert_null(strchr(text, '\r'));
    cr_assert_not_null(strstr(text, "equals=\"a=b\""));
}

Test(log, cuts_long_values_and_keeps_the_line_whole)
{
    char text[65536];
    char value[20000];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    value[0] = ' ';
    const int fd = capture_stderr();
    log_info(log_msg("long"), log_str("a", value), log_str("b", value), log_str("c", value),
             log_str("d", value), log_str("e", value), log_u64("last", 7));
    cr_assert_eq(read_lines(fd, text, sizeof(text)), 1);
    cr_assert_lt(strlen(text), 5000);
    size_t quotes = 0;
    for (const char *c = text; *c != '\0'; c++)
        quotes += *c == '"';
    cr_assert_eq(quotes % 2, 0, "a quote was left open: %s", text);
    cr_assert_not_null(strstr(text, " last=7 "), "what fits is kept: %s", text);
    cr_assert_not_null(strstr(text, " fields_dropped=2\n"), "and the loss is told: %s", text);
}

Test(log, leaves_out_what_is_below_its_level)
{
    char text[8192];
    const int fd = capture_stderr();
    log_set_level(LOG_LEVEL_ERROR);
    log_warn(log_msg("quiet"));
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug(log_msg("loud"));
    cr_assert_eq(read_lines(fd, text, sizeof(text)), 1);
    cr_assert_not_null(strstr(text, "level=debug msg=loud"));
}

Test(log, parses_the_names_of_its_levels_only)
{
    enum log_level level = LOG_LEVEL_ERROR;
    cr_assert(log_level_parse("debug", &level));
    cr_assert_eq(level, LOG_LEVEL_DEBUG);
    cr_assert(log_level_parse("error", &level));
    cr_assert_eq(level, LOG_LEVEL_ERROR);
    cr_assert_not(log_level_parse("INFO", &level));
    cr_assert_not(log_level_parse("", &level));
}
