/* docs_test.c - the blocks of Lua in docs/rules.md are run as they stand.
 *
 *   ```lua rule       a rule file: loads, and passes the tests it carries
 *   ```lua evaluate   the body of an evaluate(): runs on a target that has everything
 *   ```lua config     a config.lua: its rules settings fit the rules that ship */
#include <criterion/criterion.h>
#include <math.h>

#include "core/base/buffer.h"
#include "core/store/board.h"
#include "lua/config_file.h"
#include "lua/engine.h"
#include "lua/rule_test.h"
#include "stage.h"

enum { DOCS_MAX_BYTES = 256 * 1024, BLOCK_MAX_BYTES = 16 * 1024 };

static char docs[DOCS_MAX_BYTES];

static void read_docs(void)
{
    FILE *in = fopen(GOPROFD_SOURCE_DIR "/docs/rules.md", "r");
    cr_assert_not_null(in);
    docs[fread(docs, 1, sizeof(docs) - 1, in)] = '\0';
    (void)fclose(in);
}

/* Calls [run] with each block that begins with [fence]; returns their number. */
static size_t each_block(const char *fence, void (*run)(const char *block, size_t number))
{
    size_t count = 0;
    read_docs();
    for (const char *at = docs; (at = strstr(at, fence)) != NULL;) {
        at += strlen(fence);
        const char *end = strstr(at, "\n```\n");
        static char block[BLOCK_MAX_BYTES];
        cr_assert(end != NULL && end - at < BLOCK_MAX_BYTES);
        memcpy(block, at, (size_t)(end - at));
        block[end - at] = '\0';
        run(block, ++count);
        at = end;
    }
    return count;
}

static void run_rule(const char *block, size_t number)
{
    struct config *config = config_new();
    struct buffer report;
    struct rule_test_result result;
    struct error err;
    buffer_init(&report, 64 * 1024);
    const bool ok = rule_test_run("docs/rules.md", block, strlen(block), config, &report, &result, &err);
    const char *lines = buffer_text(&report);
    cr_assert(ok, "rule %zu: %s\n%s", number, err.message, lines != NULL ? lines : "");
    cr_assert_geq(result.run, 1u, "rule %zu carries no tests", number);
    buffer_release(&report);
    config_free(config);
}

Test(docs, rules_load_and_pass_the_tests_they_carry)
{
    cr_assert_geq(each_block("```lua rule\n", run_rule), 2u);
}

/* A target with every field, sites, a growing heap and ten minutes of history. */
static void run_evaluate(const char *block, size_t number)
{
    struct stage stage;
    static char rule[2 * BLOCK_MAX_BYTES];
    stage_open(&stage);
    (void)snprintf(rule, sizeof(rule),
                   "return { name = 'example', evaluate = function(target, params)\n%s\nend }", block);
    stage_write_rule(&stage, "example.lua", rule);
    stage_load(&stage);
    struct stage_target *target = stage_add_target(&stage, "demo");
    struct stage_site *site = stage_add_site(target, "github.com/me/app.leak", "leak.go", 7, "runtime.growslice");
    for (int beat = 0; beat < 30; beat++) {
        for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
            stage_set(target, snapshot_fields[i].name, 1e8 + beat * 1e6);
        stage_set(target, "num_gc", beat);
        site->inuse_bytes = site->alloc_bytes = (beat + 1) << 20;
        target->profile_due = true;
        stage_beat(&stage);
    }
    const struct rule_status *status = stage_rule(&stage, "example");
    cr_assert_eq(status->errors, 0u, "block %zu: %s\n%s", number, status->last_error, block);
    cr_assert_eq(status->evaluations, 30u);
    stage_close(&stage);
}

Test(docs, bodies_of_evaluate_run_without_an_error)
{
    cr_assert_geq(each_block("```lua evaluate\n", run_evaluate), 7u);
}

static void run_config(const char *block, size_t number)
{
    char path[] = GOPROFD_BINARY_DIR "/docs-config-XXXXXX";
    const int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    FILE *out = fdopen(fd, "w");
    cr_assert_geq(fputs(block, out), 0);
    cr_assert_eq(fclose(out), 0);
    struct config *config = config_new();
    struct buffer problems;
    buffer_init(&problems, 64 * 1024);
    size_t found = config_file_load(path, config, &problems);
    config->rules_dir = GOPROFD_SOURCE_DIR "/rules";
    found += engine_check(config, &problems);
    const char *lines = buffer_text(&problems);
    cr_assert_eq(found, 0u, "config %zu: %s", number, lines != NULL ? lines : "");
    buffer_release(&problems);
    config_free(config);
    (void)remove(path);
}

Test(docs, configs_fit_the_rules_that_ship)
{
    cr_assert_geq(each_block("```lua config\n", run_config), 1u);
}
