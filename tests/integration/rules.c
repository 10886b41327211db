/* rules.c - rules that are wrong, and rules that change, in a daemon that goes on.
 *
 * Beside each bad rule stands "witness", which alerts at every evaluation: as long as its count of
 * evaluations rises, the others are still judged. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { SOON_MS = 20000 };

static const char witness[] =
    "return {\n"
    "  name = 'witness',\n"
    "  evaluate = function(target)\n"
    "    alert { id = 'witness', severity = 'info', message = 'witness was here' }\n"
    "  end,\n"
    "}\n";

static const char *const witness_fires[] = {"rule", "witness", "state", "firing", NULL};

/* A rule called NAME whose fourth line is [line]. */
static void write_rule(const char *folder, const char *name, const char *line)
{
    char *text = NULL;
    cr_assert(asprintf(&text,
                       "return {\n"
                       "  name = '%s',\n"
                       "  evaluate = function(target)\n"
                       "    %s\n"
                       "  end,\n"
                       "}\n",
                       name, line) > 0);
    char *file = NULL;
    cr_assert(asprintf(&file, "rules/%s.lua", name) > 0);
    free(file_write(folder, file, text));
    free(file);
    free(text);
}

struct scene {
    struct go_program program;
    struct daemon daemon;
    char *folder;
};

/* Takes over [rules_folder], which holds rules/. */
static struct scene open_scene_with(char *rules_folder, const char *more)
{
    const struct go_version newest = go_version_newest();
    struct scene scene = {.folder = scratch_new()};
    scene.program =
        go_program_start(&newest, "profile_target", NULL, scene.folder, "target.log", NULL);
    free(file_write(rules_folder, "rules/witness.lua", witness));
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, rules_dir = 'rules', %s"
                   " targets = { { name = 'target', pid = %d } } }",
                   more, (int)scene.program.process.pid);
    scene.daemon = daemon_start(rules_folder, config);
    return scene;
}

static struct scene open_scene(char *rules_folder)
{
    return open_scene_with(rules_folder, "");
}

static void close_scene(struct scene *scene)
{
    daemon_stop(&scene->daemon);
    go_program_release(&scene->program);
    scratch_remove(scene->folder);
}

/* The status of rule [name] in an answer of /v1/rules. */
static const json_t *rule_of(const json_t *answer, const char *name)
{
    const char *const wanted[] = {"name", name, NULL};
    return answer_find(json_object_get(answer, "rules"), wanted);
}

static double evaluations_of(const struct daemon *daemon, const char *name)
{
    json_t *answer = http_json(daemon->port, 200, "/v1/rules");
    const json_t *rule = rule_of(answer, name);
    cr_assert_not_null(rule, "no rule '%s'", name);
    const double evaluations = answer_number(rule, "evaluations");
    json_decref(answer);
    return evaluations;
}

struct wanted_evaluations {
    const char *rule;
    double more_than;
};

static bool has_evaluations(const json_t *answer, const void *context)
{
    const struct wanted_evaluations *wanted = context;
    const json_t *rule = rule_of(answer, wanted->rule);
    return rule != NULL && answer_number(rule, "evaluations") > wanted->more_than;
}

/* The witness is evaluated several times more from here on. */
static void assert_others_are_still_judged(const struct daemon *daemon)
{
    const struct wanted_evaluations wanted = {.rule = "witness",
                                              .more_than = evaluations_of(daemon, "witness") + 5};
    json_decref(daemon_wait_for(daemon, "/v1/rules", has_evaluations, &wanted, SOON_MS));
    json_decref(daemon_wait_for(daemon, "/v1/alerts", answer_has, witness_fires, SOON_MS));
}

static bool has_error(const json_t *answer, const void *context)
{
    const json_t *rule = rule_of(answer, context);
    return rule != NULL && answer_number(rule, "errors") > 0;
}

static bool exceeded_its_limit(const json_t *answer, const void *context)
{
    const json_t *rule = rule_of(answer, context);
    return rule != NULL && answer_number(rule, "limit_exceeded") > 0;
}

static void assert_last_error_mentions(const json_t *answer, const char *name, const char *text)
{
    const char *last_error = answer_text(rule_of(answer, name), "last_error");
    cr_assert_not_null(strstr(last_error, text), "last_error of %s is '%s', without '%s'", name,
                       last_error, text);
}

Test(rules, a_rule_that_fails_is_shown_with_file_and_line_and_the_others_go_on)
{
    char *folder = daemon_folder_new();
    write_rule(folder, "broken", "local nothing = nil; nothing.field = 1");
    struct scene scene = open_scene(folder);

    json_t *answer = daemon_wait_for(&scene.daemon, "/v1/rules", has_error, "broken", SOON_MS);
    assert_last_error_mentions(answer, "broken", "broken.lua:4");
    json_decref(answer);
    assert_others_are_still_judged(&scene.daemon);
    close_scene(&scene);
}

Test(rules, an_undefined_global_is_an_error_with_its_name)
{
    char *folder = daemon_folder_new();
    write_rule(folder, "typo", "if not_defined_anywhere then return end");
    struct scene scene = open_scene(folder);

    json_t *answer = daemon_wait_for(&scene.daemon, "/v1/rules", has_error, "typo", SOON_MS);
    assert_last_error_mentions(answer, "typo", "typo.lua:4");
    assert_last_error_mentions(answer, "typo", "not_defined_anywhere");
    json_decref(answer);
    assert_others_are_still_judged(&scene.daemon);
    close_scene(&scene);
}

Test(rules, an_endless_loop_is_stopped_even_inside_pcall)
{
    char *folder = daemon_folder_new();
    write_rule(folder, "endless", "while true do end");
    write_rule(folder, "stubborn", "while true do pcall(function() while true do end end) end");
    struct scene scene = open_scene(folder);

    json_t *answer =
        daemon_wait_for(&scene.daemon, "/v1/rules", exceeded_its_limit, "endless", SOON_MS);
    assert_last_error_mentions(answer, "endless", "endless.lua:4");
    json_decref(answer);
    answer = daemon_wait_for(&scene.daemon, "/v1/rules", exceeded_its_limit, "stubborn", SOON_MS);
    assert_last_error_mentions(answer, "stubborn", "stubborn.lua");
    json_decref(answer);
    assert_others_are_still_judged(&scene.daemon);
    close_scene(&scene);
}

/* No instruction of Lua runs while a pattern matches: the count hook alone would never stop this. */
Test(rules, a_pattern_that_would_match_for_years_is_stopped)
{
    char *folder = daemon_folder_new();
    write_rule(folder, "pattern",
               "string.find(('a'):rep(30) .. 'b', ('a*'):rep(25) .. 'c'); log('matched')");
    struct scene scene = open_scene(folder);
    json_decref(daemon_wait_for(&scene.daemon, "/v1/rules", has_error, "pattern", SOON_MS));
    assert_others_are_still_judged(&scene.daemon);
    close_scene(&scene);
}

static double resident_bytes(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    char *status = file_read(path);
    const char *line = strstr(status, "VmRSS:");
    cr_assert_not_null(line);
    const double bytes = strtod(line + strlen("VmRSS:"), NULL) * 1024;
    free(status);
    return bytes;
}

Test(rules, a_memory_bomb_is_stopped_and_leaves_nothing_behind)
{
    enum { GROWTH_MAX_BYTES = 64 << 20 };
    char *folder = daemon_folder_new();
    write_rule(folder, "bomb",
               "local hoard = {} while true do hoard[#hoard + 1] = ('x'):rep(1000) .. #hoard end");
    struct scene scene = open_scene(folder);

    json_t *answer =
        daemon_wait_for(&scene.daemon, "/v1/rules", exceeded_its_limit, "bomb", SOON_MS);
    assert_last_error_mentions(answer, "bomb", "bomb.lua");
    json_decref(answer);
    const double before = resident_bytes(scene.daemon.process.pid);
    assert_others_are_still_judged(&scene.daemon);
    assert_others_are_still_judged(&scene.daemon);
    const double after = resident_bytes(scene.daemon.process.pid);
    cr_assert_lt(after - before, GROWTH_MAX_BYTES, "the daemon grew from %.0f to %.0f bytes",
                 before, after);
    close_scene(&scene);
}

Test(rules, a_rule_may_not_reach_files_or_the_system)
{
    static const char *const forbidden[] = {"io", "os", "debug", "package", "require", "load",
                                            "dofile", "loadfile", "collectgarbage"};
    char *folder = daemon_folder_new();
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        char line[64];
        char name[64];
        (void)snprintf(line, sizeof(line), "local x = %s; log('reached')", forbidden[i]);
        (void)snprintf(name, sizeof(name), "reach_%s", forbidden[i]);
        write_rule(folder, name, line);
    }
    struct scene scene = open_scene(folder);
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "reach_%s", forbidden[i]);
        json_decref(daemon_wait_for(&scene.daemon, "/v1/rules", has_error, name, SOON_MS));
    }
    close_scene(&scene);
}

Test(rules, sighup_loads_what_changed)
{
    static const char *const newcomer_fires[] = {"rule", "newcomer", "state", "firing", NULL};
    struct scene scene = open_scene(daemon_folder_new());
    json_decref(daemon_wait_for(&scene.daemon, "/v1/alerts", answer_has, witness_fires, SOON_MS));

    write_rule(scene.daemon.folder, "newcomer",
               "alert { id = 'newcomer', severity = 'info', message = 'I am new' }");
    cr_assert_eq(kill(scene.daemon.process.pid, SIGHUP), 0);
    json_decref(daemon_wait_for(&scene.daemon, "/v1/alerts", answer_has, newcomer_fires, SOON_MS));
    assert_others_are_still_judged(&scene.daemon);
    close_scene(&scene);
}

Test(rules, with_rules_watch_what_changed_on_disk_is_loaded_and_what_is_broken_is_not)
{
    static const char *const newcomer_fires[] = {"rule", "newcomer", "state", "firing", NULL};
    struct scene scene = open_scene_with(daemon_folder_new(), "rules_watch = true,");
    json_decref(daemon_wait_for(&scene.daemon, "/v1/alerts", answer_has, witness_fires, SOON_MS));

    write_rule(scene.daemon.folder, "newcomer",
               "alert { id = 'newcomer', severity = 'info', message = 'I am new' }");
    json_decref(daemon_wait_for(&scene.daemon, "/v1/alerts", answer_has, newcomer_fires, SOON_MS));

    free(file_write(scene.daemon.folder, "rules/newcomer.lua", "return {\n  name = = 'newcomer' }\n"));
    json_decref(daemon_wait_for(&scene.daemon, "/v1/rules", answer_says, "newcomer.lua:2", SOON_MS));
    json_decref(daemon_wait_for(&scene.daemon, "/v1/alerts", answer_has, newcomer_fires, SOON_MS));

    /* Gone and replaced by another, all is well again. */
    write_rule(scene.daemon.folder, "mended",
               "alert { id = 'mended', severity = 'info', message = 'I am well' }");
    static const char *const mended_fires[] = {"rule", "mended", "state", "firing", NULL};
    char *broken = path_join(scene.daemon.folder, "rules/newcomer.lua");
    cr_assert_eq(unlink(broken), 0);
    free(broken);
    json_decref(daemon_wait_for(&scene.daemon, "/v1/alerts", answer_has, mended_fires, SOON_MS));
    assert_others_are_still_judged(&scene.daemon);
    close_scene(&scene);
}

Test(rules, a_reload_with_a_broken_file_leaves_the_old_rules_and_names_file_and_line)
{
    struct scene scene = open_scene(daemon_folder_new());
    json_decref(daemon_wait_for(&scene.daemon, "/v1/alerts", answer_has, witness_fires, SOON_MS));

    free(file_write(scene.daemon.folder, "rules/unfinished.lua",
                    "return {\n  name = 'unfinished',\n  evaluate = = function() end,\n}\n"));
    cr_assert_eq(kill(scene.daemon.process.pid, SIGHUP), 0);
    json_t *answer =
        daemon_wait_for(&scene.daemon, "/v1/rules", answer_says, "unfinished.lua:3", SOON_MS);
    cr_assert_not_null(strstr(answer_text(answer, "reload_error"), "unfinished.lua:3"));
    cr_assert_eq(answer_number(answer, "reloads_failed"), 1);
    cr_assert_null(rule_of(answer, "unfinished"));
    json_decref(answer);
    free(process_wait_for(&scene.daemon.process, "unfinished.lua:3", SOON_MS));
    assert_others_are_still_judged(&scene.daemon);

    /* Over HTTP the one who asks is told. */
    char url[128];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1/rules/reload",
                   (unsigned)scene.daemon.port);
    struct http_reply reply = http_request(url, "");
    cr_assert_eq(reply.status, 422, "status %ld: %s", reply.status, reply.body);
    cr_assert_not_null(strstr(reply.body, "unfinished.lua:3"), "%s", reply.body);
    http_reply_release(&reply);

    /* Mended, it is taken. */
    write_rule(scene.daemon.folder, "unfinished", "local done = true");
    reply = http_request(url, "");
    cr_assert_eq(reply.status, 200, "status %ld: %s", reply.status, reply.body);
    http_reply_release(&reply);
    const struct wanted_evaluations evaluated = {.rule = "unfinished", .more_than = 0};
    json_decref(daemon_wait_for(&scene.daemon, "/v1/rules", has_evaluations, &evaluated, SOON_MS));
    close_scene(&scene);
}

Test(rules, a_broken_file_at_the_start_is_named_with_its_line_and_nothing_runs)
{
    char *folder = daemon_folder_new();
    free(file_write(folder, "rules/unfinished.lua",
                    "return {\n  name = 'unfinished',\n  evaluate = = function() end,\n}\n"));
    char *config = file_write(folder, "config.lua",
                              "return { rules_dir = 'rules', metrics_listen_addr = '127.0.0.1:0' }");
    const struct process_options options = {.folder = folder};
    const char *start[] = {"-c", config, NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(start, &options, &output), 2, "%s", output);
    cr_assert_not_null(strstr(output, "unfinished.lua:3"), "%s", output);
    free(output);

    const char *check[] = {"-t", "-c", config, NULL};
    cr_assert_eq(goprofd_run(check, &options, &output), 1, "%s", output);
    cr_assert_not_null(strstr(output, "unfinished.lua:3"), "%s", output);
    free(output);
    free(config);
    scratch_remove(folder);
}

static bool explains(const json_t *answer, const void *context)
{
    const json_t *targets = json_object_get(answer, "targets");
    const json_t *reads = json_object_get(json_array_get(targets, 0), "reads");
    (void)context;
    return json_array_size(targets) == 1 && json_array_size(reads) > 0;
}

Test(rules, the_api_tells_what_a_rule_that_did_not_fire_looked_at)
{
    char *folder = daemon_folder_new();
    write_rule(folder, "silent",
               "if target.heap_alloc_bytes > 2^60 or target:min('goroutines', '1m') > 1e9 then alert { message = 'no' } end");
    struct scene scene = open_scene(folder);
    json_t *answer = daemon_wait_for(&scene.daemon, "/v1/rules/silent?target=target", explains, NULL, SOON_MS);
    const json_t *pair = json_array_get(json_object_get(answer, "targets"), 0);
    cr_assert_str_eq(answer_text(pair, "outcome"), "quiet");
    const char *const heap[] = {"read", "heap_alloc_bytes", NULL};
    const json_t *read = answer_find(json_object_get(pair, "reads"), heap);
    cr_assert_not_null(read);
    cr_assert_gt(answer_number(read, "value"), 0);
    json_decref(answer);
    json_decref(http_json(scene.daemon.port, 404, "/v1/rules/nobody"));
    json_decref(http_json(scene.daemon.port, 404, "/v1/rules/silent?target=nobody"));
    close_scene(&scene);
}

static json_t *witness_of(const struct daemon *daemon)
{
    json_t *answer = daemon_wait_for(daemon, "/v1/alerts", answer_has, witness_fires, SOON_MS);
    json_t *alert = json_deep_copy(answer_find(answer, witness_fires));
    json_decref(answer);
    cr_assert_not_null(alert);
    return alert;
}

Test(rules, an_open_alert_survives_a_restart_of_the_daemon)
{
    struct scene scene = {.folder = scratch_new()};
    const struct go_version newest = go_version_newest();
    scene.program = go_program_start(&newest, "profile_target", NULL, scene.folder, "target.log", NULL);
    char config[512];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, rules_dir = 'rules', state_dir = '%s/state',"
                   " targets = { { name = 'target', pid = %d } } }",
                   scene.folder, (int)scene.program.process.pid);
    char *since[2];
    for (int i = 0; i < 2; i++) {
        char *folder = daemon_folder_new();
        free(file_write(folder, "rules/witness.lua", witness));
        scene.daemon = daemon_start(folder, config);
        json_t *alert = witness_of(&scene.daemon);
        since[i] = strdup(answer_text(alert, "since"));
        cr_assert_eq(strlen(answer_text(alert, "fingerprint")), 16u);
        json_decref(alert);
        daemon_stop(&scene.daemon);
    }
    /* to the second: the file keeps times as doubles */
    cr_assert_eq(strncmp(since[0], since[1], strlen("2026-11-23T05:00:00")), 0, "%s and %s", since[0], since[1]);
    free(since[0]);
    free(since[1]);
    go_program_release(&scene.program);
    scratch_remove(scene.folder);
}
