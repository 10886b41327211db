/* config_file_test.c - config.lua: what it may do, and how its mistakes are told. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/config.h"
#include "lua/config_file.h"

struct loaded {
    struct config *config;
    struct buffer problems;
    size_t count;
    char path[256];
};

static void load(struct loaded *loaded, const char *text, size_t length)
{
    (void)snprintf(loaded->path, sizeof(loaded->path), "%s/config-XXXXXX", GOPROFD_BINARY_DIR);
    const int fd = mkstemp(loaded->path);
    cr_assert_neq(fd, -1);
    cr_assert_eq(write(fd, text, length), (ssize_t)length);
    (void)close(fd);
    loaded->config = config_new();
    buffer_init(&loaded->problems, 65536);
    loaded->count = config_file_load(loaded->path, loaded->config, &loaded->problems);
    (void)unlink(loaded->path);
}

static void release(struct loaded *loaded)
{
    config_free(loaded->config);
    buffer_release(&loaded->problems);
}

static void expect_problem(const char *text, const char *wanted)
{
    struct loaded loaded;
    load(&loaded, text, strlen(text));
    const char *problems = buffer_text(&loaded.problems);
    cr_assert_geq(loaded.count, 1);
    cr_assert_not_null(strstr(problems, wanted), "%s\ngave: %s\ninstead of: %s", text, problems, wanted);
    cr_assert_eq(strncmp(problems, loaded.path, strlen(loaded.path)), 0, "%s", problems);
    release(&loaded);
}

Test(config_file, applies_the_table_that_the_file_returns)
{
    static const char text[] = "local s = 1000\n"
                               "return {\n"
                               "  sampling_interval_ms = 2 * s,\n"
                               "  metrics_listen_addr = '127.0.0.1:' .. 9090,\n"
                               "  targets = { { name = 'demo', exe = '*/demo' } },\n"
                               "  rules = { heap_high = { max_heap = '1GiB' }, map_growth = { enabled = false } },\n"
                               "}\n";
    struct loaded loaded;
    load(&loaded, text, strlen(text));
    cr_assert_eq(loaded.count, 0, "%s", buffer_text(&loaded.problems));
    cr_assert_eq(loaded.config->sampling_interval_ms, 2000);
    cr_assert_str_eq(loaded.config->metrics_listen_addr, "127.0.0.1:9090");
    cr_assert_eq(loaded.config->target_count, 1);
    cr_assert_str_eq(loaded.config->targets[0].exe, "*/demo");
    cr_assert_eq(loaded.config->rule_count, 2);
    release(&loaded);
}

Test(config_file, names_file_and_line_of_a_syntax_error)
{
    expect_problem("return {\n  a = = 1\n}", ":2: ");
}

Test(config_file, names_the_line_of_an_error_while_it_runs)
{
    expect_problem("local x = 1\nreturn { a = y }", ":2: undefined global 'y'");
    expect_problem("sampling_interval_ms = 5", ":1: assignment to global 'sampling_interval_ms'");
}

Test(config_file, has_no_way_to_the_system)
{
    expect_problem("return { a = io.open('x') }", "undefined global 'io'");
    expect_problem("os.execute('x')", "undefined global 'os'");
    expect_problem("return require('x')", "undefined global 'require'");
}

Test(config_file, refuses_what_is_no_table)
{
    expect_problem("", "the file must return one table, not a nil; write: return { ... }");
    expect_problem("return 5", "the file must return one table, not a number");
    expect_problem("\x1bLua", "bytecode");
}

Test(config_file, refuses_tables_that_contain_themselves_or_have_odd_keys)
{
    expect_problem("local t = {} t.rules = t return t", "contains itself");
    expect_problem("return { [true] = 1 }", "neither a name nor a position (a boolean)");
    expect_problem("return { [1.5] = 1 }", "neither a name nor a position");
    expect_problem("return { a = 'x\\0y' }", "zero byte");
}

Test(config_file, is_bounded_in_time_and_memory)
{
    expect_problem("while true do end", "ran past its");
    /* Doubled, so that its memory ends long before its time does, on slow machines too. */
    expect_problem("local s = ('x'):rep(1000) while true do s = s .. s end", "out of memory");
    expect_problem("local t = {} for i = 1, 30000 do t[i] = i end return { targets = t }",
                   "larger than goprofd accepts");
}

Test(config_file, passes_wrong_keys_and_values_on_to_the_config_all_at_once)
{
    static const char text[] = "return { sampling_intervall_ms = 5, log_level = 'loud', http_threads = print_ }";
    static const char fixed[] = "return { sampling_intervall_ms = 5, log_level = 'loud' }";
    struct loaded loaded;
    expect_problem(text, "undefined global 'print_'");
    load(&loaded, fixed, strlen(fixed));
    const char *problems = buffer_text(&loaded.problems);
    cr_assert_eq(loaded.count, 2, "%s", problems);
    cr_assert_not_null(strstr(problems, "did you mean sampling_interval_ms?"), "%s", problems);
    cr_assert_not_null(strstr(problems, "log_level"), "%s", problems);
    release(&loaded);
}

Test(config_file, says_when_it_cannot_read_the_file)
{
    struct buffer problems;
    struct config *config = config_new();
    buffer_init(&problems, 4096);
    cr_assert_eq(config_file_load("no/such/config.lua", config, &problems), 1);
    cr_assert_not_null(strstr(buffer_text(&problems), "no/such/config.lua: "));
    buffer_clear(&problems);
    cr_assert_eq(config_file_load(GOPROFD_SOURCE_DIR, config, &problems), 1);
    cr_assert_not_null(strstr(buffer_text(&problems), "not a regular file"));
    buffer_release(&problems);
    config_free(config);
}
