/* cli_test_test.c - goprofd test: which files it takes, what it prints, how it ends. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cli.h"
#include "lua/cli_test.h"

static char folder[] = "/tmp/goprofd-cli-test-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *out = fopen(path, "w");
    cr_assert_not_null(out);
    cr_assert_geq(fputs(text, out), 0);
    cr_assert_eq(fclose(out), 0);
}

static void open_folder(void)
{
    cr_redirect_stdout();
    cr_redirect_stderr();
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    static const char *const names[] = {"big.lua", "big_test.lua", "bad_test.lua", "notes.txt"};
    char path[256];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

/* Runs it on [path] inside the folder ("": the folder itself). */
static int run(const char *path)
{
    char whole[256];
    (void)snprintf(whole, sizeof(whole), "%s%s%s", folder, path[0] != '\0' ? "/" : "", path);
    char *argv[] = {(char[]){"test"}, whole, NULL};
    const int code = cli_test(2, argv);
    (void)fflush(stdout);
    (void)fflush(stderr);
    return code;
}

static void assert_printed(const char *wanted)
{
    static char text[8192];
    FILE *out = cr_get_redirected_stdout();
    const size_t length = fread(text, 1, sizeof(text) - 1, out);
    text[length] = '\0';
    cr_assert_not_null(strstr(text, wanted), "not \"%s\" but:\n%s", wanted, text);
}

static const char big[] = "return { name = 'big', evaluate = function(target)\n"
                          "  if (target.goroutines or 0) > 10 then alert { message = 'many' } end\n"
                          "end,\n"
                          "tests = { { name = 'carried', fields = { goroutines = 20 },\n"
                          "            expect = { { alert = 'big', by = 1 } } } } }\n";

TestSuite(cli_test, .init = open_folder, .fini = remove_folder);

Test(cli_test, runs_what_a_rule_carries_and_what_stands_beside_it)
{
    write_file("big.lua", big);
    write_file("big_test.lua", "return { tests = { { name = 'quiet', fields = { goroutines = 5 },\n"
                               "  expect = { { quiet = true } } } } }\n");
    write_file("notes.txt", "not Lua at all");
    cr_assert_eq(run(""), EXIT_FINE);
    assert_printed("2 tests in 2 files: 2 passed, 0 failed\n");
}

Test(cli_test, shows_what_differs_and_ends_with_1)
{
    write_file("big.lua", big);
    write_file("big_test.lua", "return { rule = 'big.lua', tests = { { name = 'wrong', fields = { goroutines = '5x3 20' },\n"
                               "  expect = { { quiet = true } } } } }\n");
    cr_assert_eq(run("big_test.lua"), EXIT_FAILED);
    assert_printed("test \"wrong\": not as expected\n");
}

Test(cli_test, says_the_line_of_a_file_that_is_no_lua)
{
    write_file("bad_test.lua", "return {\n  tests = = 1 }\n");
    cr_assert_eq(run("bad_test.lua"), EXIT_FAILED);
    assert_printed("bad_test.lua:2: ");
}

Test(cli_test, names_the_rule_that_is_not_there)
{
    write_file("bad_test.lua", "return { tests = {} }\n");
    cr_assert_eq(run("bad_test.lua"), EXIT_FAILED);
    assert_printed("/bad.lua: No such file");
}

Test(cli_test, names_the_member_that_was_meant)
{
    write_file("bad_test.lua", "return { test = {} }\n");
    cr_assert_eq(run("bad_test.lua"), EXIT_FAILED);
    assert_printed("unknown member `test`; did you mean `tests`?");
}

Test(cli_test, without_any_test_has_not_passed)
{
    cr_assert_eq(run(""), EXIT_FAILED);
    assert_printed("0 tests in 0 files");
}

Test(cli_test, refuses_a_path_that_does_not_exist)
{
    cr_assert_eq(run("nowhere"), EXIT_USAGE);
    char *argv[] = {(char[]){"test"}, NULL};
    cr_assert_eq(cli_test(1, argv), EXIT_USAGE);
}
