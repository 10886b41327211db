/* journal.c - the history outlives goprofd, however that comes to its end, and others can read it. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { KILLS = 50, PATIENCE_MS = 60000 };

static struct go_program program(char *scratch)
{
    const struct go_version newest = go_version_newest();
    return go_program_start(&newest, "profile_target", NULL, scratch, "target.log", NULL);
}

static void write_config(char *config, size_t size, const struct go_program *target,
                         const char *history_dir)
{
    (void)snprintf(config, size,
                   "return { sampling_interval_ms = 20, history_flush_sec = 0, history_dir = '%s', "
                   "targets = { { name = 'target', pid = %d } } }",
                   history_dir, (int)target->process.pid);
}

static json_t *history(const struct daemon *daemon)
{
    return http_json(daemon->port, 200, "/v1/metrics/history?limit=10000");
}

static json_int_t sequence_at(const json_t *rows, size_t index)
{
    return json_integer_value(json_object_get(json_array_get(rows, index), "sequence"));
}

/* Kills it and lets go of what the test knows of it, but for its folder. */
static char *kill_it(struct daemon *daemon)
{
    char *output = process_output(&daemon->process);
    assert_no_sanitizer_report(output);
    free(output);
    (void)process_stop(&daemon->process, SIGKILL, PATIENCE_MS);
    (void)unlink(daemon->process.log_path); /* the next one's first lines are not to be found in it */
    process_release(&daemon->process);
    return daemon->folder;
}

Test(journal, keeps_the_history_over_fifty_kills_at_any_moment)
{
    char *scratch = scratch_new();
    struct go_program target = program(scratch);
    char config[1024];
    char *dir = path_join(scratch, "history");
    write_config(config, sizeof(config), &target, dir);
    char *folder = daemon_folder_new();
    json_int_t newest = 0;
    for (unsigned i = 0; i < KILLS; i++) {
        struct daemon daemon = daemon_start(folder, config);
        if (i % 10 == 9) {
            (void)daemon_wait_for_metric(&daemon, "goprofd_history_disk_snapshots_total", 0);
            json_t *answer = history(&daemon);
            const json_t *rows = answer;
            const size_t count = json_array_size(rows);
            cr_assert_gt(count, 0);
            /* What earlier runs flushed is there, in order, and no number was given twice. */
            cr_assert_gt(sequence_at(rows, count - 1), newest);
            if (newest > 0)
                cr_assert_lt(sequence_at(rows, 0), newest);
            for (size_t k = 1; k < count; k++)
                cr_assert_gt(sequence_at(rows, k), sequence_at(rows, k - 1));
            cr_assert_eq(json_integer_value(
                             json_object_get(json_array_get(rows, count - 1), "generation")),
                         1, "the process is the same one");
            newest = sequence_at(rows, count - 1);
            json_decref(answer);
        } else {
            sleep_ms(i * 37 % 250);
        }
        folder = kill_it(&daemon);
    }
    struct daemon daemon = daemon_start(folder, config);
    daemon_stop(&daemon);
    go_program_release(&target);
    free(dir);
    scratch_remove(scratch);
}

static void damage(const char *dir)
{
    char *first = path_join(dir, "segment-000000000000.gph");
    struct stat status;
    cr_assert_eq(stat(first, &status), 0);
    cr_assert_eq(truncate(first, status.st_size - 3), 0);
    free(first);
    free(file_write(dir, "segment-000000000777.gph", "a stranger's file"));
    free(file_write(dir, "segment-000000000778.gph", "goprofd-segment\nand then nothing that makes sense"));
    free(file_write(dir, "notes.txt", "not a segment at all"));
}

Test(journal, names_and_skips_what_is_torn_or_foreign_and_loads_the_rest)
{
    char *scratch = scratch_new();
    struct go_program target = program(scratch);
    char config[1024];
    char *dir = path_join(scratch, "history");
    write_config(config, sizeof(config), &target, dir);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    (void)daemon_wait_for_metric(&daemon, "goprofd_history_disk_snapshots_total", 20);
    char *folder = kill_it(&daemon);
    damage(dir);
    daemon = daemon_start(folder, config);
    char *output = process_output(&daemon.process);
    cr_assert_not_null(strstr(output, "segment-000000000000.gph: torn at byte"), "%s", output);
    cr_assert_not_null(strstr(output, "segment-000000000777.gph: not a segment"), "%s", output);
    cr_assert_not_null(strstr(output, "segment-000000000778.gph: torn at byte"), "%s", output);
    cr_assert_null(strstr(output, "notes.txt"), "%s", output);
    free(output);
    cr_assert_float_eq(daemon_wait_for_metric(&daemon, "goprofd_history_segments_bad_total", 0), 3, 0.1);
    (void)daemon_wait_for_metric(&daemon, "goprofd_history_disk_snapshots_total", 0);
    json_t *answer = history(&daemon);
    cr_assert_eq(sequence_at(answer, 0), 1, "what was whole is loaded");
    json_decref(answer);
    daemon_stop(&daemon);
    go_program_release(&target);
    free(dir);
    scratch_remove(scratch);
}

Test(journal, goes_on_in_memory_while_the_folder_cannot_be_written_and_then_catches_up)
{
    char *scratch = scratch_new();
    struct go_program target = program(scratch);
    char config[1024];
    char *dir = path_join(scratch, "history");
    free(file_write(scratch, "history", "a file where the folder should be"));
    write_config(config, sizeof(config), &target, dir);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    (void)daemon_wait_for_metric(&daemon, "goprofd_history_disk_errors_total", 0);
    json_t *answer = history(&daemon);
    cr_assert_gt(json_array_size(answer), 0);
    json_decref(answer);
    cr_assert_eq(unlink(dir), 0);
    (void)daemon_wait_for_metric(&daemon, "goprofd_history_disk_snapshots_total", 0);
    char *output = process_output(&daemon.process);
    const char *said = strstr(output, "history cannot be written to disk");
    cr_assert_not_null(said, "%s", output);
    cr_assert_null(strstr(said + 1, "history cannot be written to disk"), "said once:\n%s", output);
    cr_assert_not_null(strstr(output, "history is written to disk again"), "%s", output);
    free(output);
    daemon_stop(&daemon);
    go_program_release(&target);
    free(dir);
    scratch_remove(scratch);
}

/* The rows that another implementation of msgpack reads from [path], by sequence. */
static json_t *read_as_a_stranger(const char *path)
{
    const char *const argv[] = {"/usr/bin/python3", GOPROFD_SOURCE_DIR "/tests/support/read_history.py",
                                path, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(argv, NULL, &output), 0, "%s", output);
    json_t *rows = json_object();
    char *rest = NULL;
    for (char *line = strtok_r(output, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        json_t *row = json_loads(line, 0, NULL);
        char key[32];
        cr_assert_not_null(row, "%s", line);
        (void)snprintf(key, sizeof(key), "%lld",
                       (long long)json_integer_value(json_object_get(row, "sequence")));
        json_object_set_new(rows, key, row);
    }
    free(output);
    return rows;
}

/* Every number of [served] is in [read]. */
static void compare_rows(const json_t *served, const json_t *read)
{
    size_t compared = 0;
    for (size_t i = 0; i < json_array_size(served); i++) {
        const json_t *row = json_array_get(served, i);
        char key[32];
        (void)snprintf(key, sizeof(key), "%lld", (long long)sequence_at(served, i));
        const json_t *other = json_object_get(read, key);
        if (other == NULL)
            continue;
        const char *name;
        const json_t *value;
        json_object_foreach((json_t *)(uintptr_t)row, name, value) {
            if (!json_is_number(value))
                continue;
            const json_t *same = json_object_get(other, name);
            cr_assert(json_is_number(same), "%s of row %s", name, key);
            if (json_is_integer(value) && json_is_integer(same))
                cr_assert_eq(json_integer_value(value), json_integer_value(same), "%s of row %s", name, key);
            else
                cr_assert_eq(json_number_value(value), json_number_value(same), "%s of row %s", name, key);
        }
        cr_assert_eq(json_array_size(json_object_get(row, "top_retentions")),
                     json_array_size(json_object_get(other, "top_retentions")));
        compared++;
    }
    cr_assert_gt(compared, 5, "too few rows in both");
}

Test(journal, is_read_by_another_msgpack_with_the_numbers_that_the_api_serves)
{
    char *scratch = scratch_new();
    struct go_program target = program(scratch);
    char config[1024];
    char *dir = path_join(scratch, "history");
    write_config(config, sizeof(config), &target, dir);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    http_touch(target.port, "/alloc");
    http_touch(target.port, "/gc?n=2");
    (void)daemon_wait_for_metric(&daemon, "goprofd_history_disk_snapshots_total", 30);
    json_t *answer = history(&daemon);
    char *exported = path_join(scratch, "export.msgpack");
    char *segment = path_join(dir, "segment-000000000000.gph");
    http_save(daemon.port, "/v1/export", exported);
    json_t *from_export = read_as_a_stranger(exported);
    json_t *from_segment = read_as_a_stranger(segment);
    compare_rows(answer, from_export);
    compare_rows(answer, from_segment);
    cr_assert_geq(json_object_size(from_export), json_array_size(answer));
    json_decref(from_segment);
    json_decref(from_export);
    json_decref(answer);
    const char *const arguments[] = {"decode", exported, NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(arguments, NULL, &output), 0, "%s", output);
    cr_assert_not_null(strstr(output, "\"top_retentions\":["), "%.2000s", output);
    free(output);
    daemon_stop(&daemon);
    go_program_release(&target);
    free(exported);
    free(segment);
    free(dir);
    scratch_remove(scratch);
}

/* The sequences in what `goprofd decode` makes of [path]; *[last] gets the newest row's time. */
static size_t decode(const char *path, json_int_t sequences[], size_t max, char *last, size_t size)
{
    const char *const arguments[] = {"decode", path, NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(arguments, NULL, &output), 0, "%s", output);
    size_t count = 0;
    char *rest = NULL;
    for (char *line = strtok_r(output, "\n", &rest); line != NULL && count < max;
         line = strtok_r(NULL, "\n", &rest)) {
        json_t *row = json_loads(line, 0, NULL);
        cr_assert_not_null(row, "%s", line);
        sequences[count++] = json_integer_value(json_object_get(row, "sequence"));
        (void)snprintf(last, size, "%s", json_string_value(json_object_get(row, "timestamp")));
        json_decref(row);
    }
    free(output);
    return count;
}

Test(journal, an_export_goes_on_where_the_last_one_ended)
{
    enum { ROWS_MAX = 4000 };
    static json_int_t first[ROWS_MAX];
    static json_int_t second[ROWS_MAX];
    char *scratch = scratch_new();
    struct go_program target = program(scratch);
    char config[1024];
    char last[64] = "";
    char path[128];
    char *dir = path_join(scratch, "history");
    char *exported = path_join(scratch, "export.msgpack");
    write_config(config, sizeof(config), &target, dir);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    (void)daemon_wait_for_metric(&daemon, "goprofd_history_disk_snapshots_total", 10);
    http_save(daemon.port, "/v1/export", exported);
    const size_t begun = decode(exported, first, ROWS_MAX, last, sizeof(last));
    cr_assert_gt(begun, 5);
    (void)daemon_wait_for_metric(&daemon, "goprofd_history_disk_snapshots_total", (double)begun + 5);
    (void)snprintf(path, sizeof(path), "/v1/export?since=%s", last);
    http_save(daemon.port, path, exported);
    const size_t more = decode(exported, second, ROWS_MAX, last, sizeof(last));
    cr_assert_gt(more, 1);
    cr_expect_eq(second[0], first[begun - 1], "from that row on");
    for (size_t i = 1; i < more; i++)
        cr_expect_eq(second[i], second[i - 1] + 1, "without a gap");
    daemon_stop(&daemon);
    go_program_release(&target);
    free(exported);
    free(dir);
    scratch_remove(scratch);
}

Test(journal, two_daemons_do_not_share_a_folder)
{
    char *scratch = scratch_new();
    struct go_program target = program(scratch);
    char config[1024];
    char *dir = path_join(scratch, "history");
    write_config(config, sizeof(config), &target, dir);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    char *other = file_write(scratch, "other.lua", config);
    const char *const arguments[] = {"-c", other, "--metrics-listen-addr=127.0.0.1:0", NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(arguments, NULL, &output), 2, "%s", output);
    cr_assert_not_null(strstr(output, "another goprofd writes there"), "%s", output);
    free(output);
    daemon_stop(&daemon);
    /* It is free again once the first one has ended. */
    daemon = daemon_start(daemon_folder_new(), config);
    daemon_stop(&daemon);
    free(other);
    go_program_release(&target);
    free(dir);
    scratch_remove(scratch);
}
