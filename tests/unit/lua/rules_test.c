/* rules_test.c - the shipped rules on histories written down in tests/rules/. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "lua/engine.h"
#include "lua/rule_test.h"
#include "lua/test_file.h"
#include "scenario.h"
#include "stage.h"

Test(rules, retention)
{
    scenario_run_file("retention");
}

Test(rules, heap_high)
{
    scenario_run_file("heap_high");
}

Test(rules, heap_growth)
{
    scenario_run_file("heap_growth");
}

Test(rules, goroutine_growth)
{
    scenario_run_file("goroutine_growth");
}

Test(rules, append_growth)
{
    scenario_run_file("append_growth");
}

Test(rules, string_concat)
{
    scenario_run_file("string_concat");
}

Test(rules, map_growth)
{
    scenario_run_file("map_growth");
}

Test(rules, profiling_disabled)
{
    scenario_run_file("profiling_disabled");
}

Test(rules, stay_quiet_about_healthy_services)
{
    scenario_run_file("healthy");
}

enum { PARTS = 4 };

/* Every file is in one part, by its name. */
static unsigned part_of(const char *name)
{
    unsigned sum = 0;
    for (; *name != '\0'; name++)
        sum = sum * 31 + (unsigned char)*name;
    return sum % PARTS;
}

/* tests/rules/NAME_test.lua: what `goprofd test` runs, too. */
static void do_what_their_tests_expect(unsigned part)
{
    struct config *config = config_new();
    struct buffer report;
    struct dirent *entry;
    size_t run = 0;
    DIR *dir = opendir(GOPROFD_SOURCE_DIR "/tests/rules");
    cr_assert_not_null(dir);
    cr_assert_not_null(config);
    buffer_init(&report, 1 << 20);
    while ((entry = readdir(dir)) != NULL) {
        char path[512];
        struct rule_test_result result;
        struct error err = {.code = ERROR_NONE};
        if (!test_file_is(entry->d_name) || part_of(entry->d_name) != part)
            continue;
        (void)snprintf(path, sizeof(path), "%s/tests/rules/%s", GOPROFD_SOURCE_DIR, entry->d_name);
        const bool ok = test_file_run(path, config, &report, &result, &err);
        const char *lines = buffer_text(&report);
        cr_expect(ok, "%s\n%s", err.message, lines != NULL ? lines : "");
        cr_expect_geq(result.run, 3u, "%s: firing, not firing, recovering", path);
        run += result.run;
    }
    (void)closedir(dir);
    cr_assert_gt(run, 100u / PARTS / 2);
    buffer_release(&report);
    config_free(config);
}

/* In parts, for these take the longest of all tests here and may run side by side. */
Test(rules, do_what_their_tests_expect_1_of_4)
{
    do_what_their_tests_expect(0);
}

Test(rules, do_what_their_tests_expect_2_of_4)
{
    do_what_their_tests_expect(1);
}

Test(rules, do_what_their_tests_expect_3_of_4)
{
    do_what_their_tests_expect(2);
}

Test(rules, do_what_their_tests_expect_4_of_4)
{
    do_what_their_tests_expect(3);
}

static bool has_tests(const char *rule, const char *ending)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/tests/rules/%s%s", GOPROFD_SOURCE_DIR, rule, ending);
    return access(path, R_OK) == 0;
}

/* Each shipped rule has its tests and its section in docs/rules.md. */
Test(rules, are_all_tested_and_documented)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/docs/rules.md", GOPROFD_SOURCE_DIR);
    static char docs[256 * 1024];
    FILE *in = fopen(path, "r");
    cr_assert_not_null(in);
    docs[fread(docs, 1, sizeof(docs) - 1, in)] = '\0';
    (void)fclose(in);

    struct stage stage;
    stage_open(&stage);
    stage.config->rules_dir = GOPROFD_SOURCE_DIR "/rules";
    stage_load(&stage);
    const struct rules_report *report = stage_report(&stage);
    cr_assert_geq(report->count, 40);
    for (size_t i = 0; i < report->count; i++) {
        const struct rule_status *rule = &report->rules[i];
        char wanted[128];
        (void)snprintf(wanted, sizeof(wanted), "docs/rules.md#%s", rule->name);
        cr_assert_str_eq(rule->doc, wanted);
        (void)snprintf(wanted, sizeof(wanted), "\n### %s\n", rule->name);
        cr_assert_not_null(strstr(docs, wanted), "docs/rules.md has no section %s", rule->name);
        cr_assert(has_tests(rule->name, ".test") || has_tests(rule->name, "_test.lua"),
                  "tests/rules has no tests of %s", rule->name);
        cr_assert_lt(rule->memory_bytes, (uint64_t)256 * 1024, "%s takes %llu bytes", rule->name,
                     (unsigned long long)rule->memory_bytes);
    }
    stage_close(&stage);
}
