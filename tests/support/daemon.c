/* daemon.c - see daemon.h. */
#include "tests/support/daemon.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/http.h"

enum { READY_TIMEOUT_MS = 30000, STOP_TIMEOUT_MS = 30000, POLL_MS = 100, ARGUMENTS_MAX = 16 };

static const char goprofd_path[] = GOPROFD_BINARY_DIR "/goprofd";
const char *const shipped_rules = GOPROFD_SOURCE_DIR "/rules";

char *daemon_folder_new(void)
{
    char *folder = scratch_new();
    char *rules = path_join(folder, "rules");
    cr_assert_eq(mkdir(rules, 0755), 0);
    free(rules);
    return folder;
}

struct daemon daemon_start_as(char *folder, const char *config,
                              const struct process_options *options)
{
    char *config_path = file_write(folder, "config.lua", config);
    char *log_path = path_join(folder, "goprofd.log");
    const char *argv[] = {goprofd_path, "-c", config_path, "--metrics-listen-addr=127.0.0.1:0",
                          NULL};
    struct process_options run = options == NULL ? (struct process_options){0} : *options;
    if (run.folder == NULL)
        run.folder = folder; /* where relative paths such as rules/ and profiles/ lead */
    struct daemon daemon = {.process = process_start(argv, log_path, &run), .folder = folder};
    char *ready = process_wait_for(&daemon.process, "msg=\"goprofd ready\"", READY_TIMEOUT_MS);
    const char *port = strstr(ready, "port=");
    cr_assert_not_null(port, "no port in '%s'", ready);
    daemon.port = (uint16_t)strtoul(port + strlen("port="), NULL, 10);
    cr_assert_neq(daemon.port, 0);
    free(ready);
    free(config_path);
    free(log_path);
    return daemon;
}

struct daemon daemon_start(char *folder, const char *config)
{
    return daemon_start_as(folder, config, NULL);
}

/* A sanitizer's report must fail the test even where the exit status is lost. */
void assert_no_sanitizer_report(const char *output)
{
    static const char *const marks[] = {"ERROR: AddressSanitizer", "ERROR: LeakSanitizer",
                                        "WARNING: ThreadSanitizer", ": runtime error: "};
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        cr_assert_null(strstr(output, marks[i]), "goprofd:\n%s", output);
}

void daemon_stop(struct daemon *daemon)
{
    const int status = process_stop(&daemon->process, SIGTERM, STOP_TIMEOUT_MS);
    char *output = process_output(&daemon->process);
    assert_no_sanitizer_report(output);
    cr_assert_eq(status, 0, "goprofd ended with %d:\n%s", status, output);
    free(output);
    process_release(&daemon->process);
    scratch_remove(daemon->folder);
    *daemon = (struct daemon){0};
}

json_t *daemon_wait_for(const struct daemon *daemon, const char *path,
                        bool (*is_so)(const json_t *answer, const void *context),
                        const void *context, unsigned timeout_ms)
{
    char *url = NULL;
    cr_assert(asprintf(&url, "http://127.0.0.1:%u%s", (unsigned)daemon->port, path) > 0);
    for (unsigned waited_ms = 0;; waited_ms += POLL_MS) {
        struct http_reply reply = http_request(url, NULL);
        json_t *answer = json_loadb(reply.body, reply.length, 0, NULL);
        if (reply.status == 200 && answer != NULL && is_so(answer, context)) {
            http_reply_release(&reply);
            free(url);
            return answer;
        }
        if (waited_ms >= timeout_ms) {
            char *log = process_output(&daemon->process);
            cr_assert(false, "%s was never as expected; last answer %ld: %s\ngoprofd's log:\n%s",
                      url, reply.status, reply.body, log);
        }
        if (answer != NULL)
            json_decref(answer);
        http_reply_release(&reply);
        sleep_ms(POLL_MS);
    }
}

double daemon_wait_for_metric(const struct daemon *daemon, const char *name, double above)
{
    enum { PATIENCE_MS = 60000, METRIC_POLL_MS = 20 };
    char *url = NULL;
    cr_assert(asprintf(&url, "http://127.0.0.1:%u/metrics", (unsigned)daemon->port) > 0);
    double value = -1;
    for (unsigned waited_ms = 0; value <= above && waited_ms < PATIENCE_MS; waited_ms += METRIC_POLL_MS) {
        struct http_reply reply = http_request(url, NULL);
        char needle[128];
        (void)snprintf(needle, sizeof(needle), "\n%s ", name);
        const char *line = reply.body != NULL ? strstr(reply.body, needle) : NULL;
        if (line != NULL)
            value = strtod(line + strlen(needle), NULL);
        http_reply_release(&reply);
        if (value <= above)
            sleep_ms(METRIC_POLL_MS);
    }
    free(url);
    cr_assert_gt(value, above, "%s is %g", name, value);
    return value;
}

struct snapshot_wish {
    json_int_t num_gc;
    json_int_t sequence;
};

static bool is_wished_for(const json_t *answer, const void *context)
{
    const struct snapshot_wish *wish = context;
    const json_t *num_gc = json_object_get(answer, "num_gc");
    const json_t *sequence = json_object_get(answer, "sequence");
    return json_is_integer(num_gc) && json_integer_value(num_gc) >= wish->num_gc &&
           json_is_integer(sequence) && json_integer_value(sequence) >= wish->sequence;
}

json_t *daemon_wait_for_snapshot(const struct daemon *daemon, const char *target, json_int_t num_gc)
{
    enum { TIMEOUT_MS = 60000 };
    char *path = NULL;
    cr_assert(asprintf(&path, "/v1/metrics/latest?target=%s", target) > 0);
    struct snapshot_wish wish = {0};
    json_t *snapshot = daemon_wait_for(daemon, path, is_wished_for, &wish, TIMEOUT_MS);
    /* The one after the newest may have been under way when we were called. */
    wish.sequence = json_integer_value(json_object_get(snapshot, "sequence")) + 2;
    wish.num_gc = num_gc;
    json_decref(snapshot);
    snapshot = daemon_wait_for(daemon, path, is_wished_for, &wish, TIMEOUT_MS);
    free(path);
    return snapshot;
}

int goprofd_run(const char *const *arguments, const struct process_options *options, char **output)
{
    const char *argv[ARGUMENTS_MAX + 2] = {goprofd_path};
    for (size_t i = 0; arguments[i] != NULL; i++) {
        cr_assert(i < ARGUMENTS_MAX);
        argv[i + 1] = arguments[i];
    }
    const int status = process_run(argv, options, output);
    assert_no_sanitizer_report(*output);
    return status;
}
