/* failures.c - what is wrong is said clearly, with the cure, and the daemon goes on or refuses to start. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { SOON_MS = 20000 };

static void assert_says(const char *output, const char *text)
{
    cr_assert_not_null(strstr(output, text), "'%s' is missing in:\n%s", text, output);
}

/* Runs goprofd on a config that must keep it from starting. */
static char *refusal_of(const char *config)
{
    char *folder = daemon_folder_new();
    char *path = file_write(folder, "config.lua", config);
    const struct process_options options = {.folder = folder};
    const char *arguments[] = {"-c", path, NULL};
    char *output = NULL;
    const int status = goprofd_run(arguments, &options, &output);
    cr_assert_eq(status, 2, "ended with %d:\n%s", status, output);
    free(path);
    scratch_remove(folder);
    return output;
}

Test(failures, wrong_config_keys_are_all_listed_with_a_near_miss)
{
    char *output = refusal_of("return {\n"
                              "  sampling_intervall_ms = 500,\n"
                              "  http_threads = 'many',\n"
                              "  high_retention_threshold_percent = 700,\n"
                              "}\n");
    assert_says(output, "sampling_intervall_ms");
    assert_says(output, "sampling_interval_ms"); /* what was meant */
    assert_says(output, "http_threads");
    assert_says(output, "many");
    assert_says(output, "high_retention_threshold_percent");
    assert_says(output, "700");
    free(output);
}

Test(failures, a_config_that_is_no_lua_is_named_with_its_line)
{
    char *output = refusal_of("return {\n  sampling_interval_ms = = 5,\n}\n");
    assert_says(output, "config.lua:2");
    free(output);
}

Test(failures, a_wrong_environment_variable_is_named)
{
    static const char *const environment[] = {"GOPROF_SAMPLING_INTERVAL_MS=soon", NULL};
    const struct process_options options = {.environment = environment};
    const char *arguments[] = {"-t", NULL};
    char *output = NULL;
    cr_assert_neq(goprofd_run(arguments, &options, &output), 0, "%s", output);
    assert_says(output, "GOPROF_SAMPLING_INTERVAL_MS");
    assert_says(output, "soon");
    free(output);
}

/* libcurl and the thirty libraries behind it are there for those who send something. */
Test(failures, a_libcurl_that_cannot_be_loaded_is_named_where_it_is_needed_and_only_there)
{
    char *folder = daemon_folder_new();
    free(file_write(folder, "libcurl.so.4", "no library"));
    char path[512];
    (void)snprintf(path, sizeof(path), "LD_LIBRARY_PATH=%s", folder);
    const char *const environment[] = {path, NULL};
    char *config = file_write(
        folder, "config.lua",
        "return { metrics_listen_addr = '127.0.0.1:0',"
        " notify = { { webhook = 'http://127.0.0.1:9/' } } }");
    const struct process_options options = {.folder = folder, .environment = environment};
    const char *arguments[] = {"-c", config, NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(arguments, &options, &output), 2, "%s", output);
    assert_says(output, "libcurl4");
    free(output);

    const char *ps[] = {"ps", NULL};
    cr_assert_eq(goprofd_run(ps, &options, &output), 0, "%s", output);
    free(output);
    free(config);
    scratch_remove(folder);
}

static int listening_socket(uint16_t *port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    cr_assert(fd != -1 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
              listen(fd, 1) == 0 && getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

Test(failures, a_port_in_use_is_named_and_the_daemon_does_not_start)
{
    uint16_t port = 0;
    const int fd = listening_socket(&port);
    char config[128];
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)port);
    (void)snprintf(config, sizeof(config), "return { metrics_listen_addr = '%s' }", address);
    char *output = refusal_of(config);
    assert_says(output, address);
    assert_says(output, "in use");
    free(output);
    close(fd);
}

Test(failures, a_capture_folder_that_cannot_be_written_is_named_at_the_start)
{
    /* Below a file nobody can make a folder, not even root. */
    char *output = refusal_of("return { metrics_listen_addr = '127.0.0.1:0',"
                              " profile_capture_enabled = true,"
                              " profile_capture_dir = '/dev/null/profiles' }");
    assert_says(output, "profile_capture_dir");
    assert_says(output, "/dev/null/profiles");
    free(output);
}

static struct go_program start_target(const char *folder)
{
    const struct go_version newest = go_version_newest();
    return go_program_start(&newest, "profile_target", NULL, folder, "target.log", NULL);
}

static struct daemon watch(pid_t pid, const char *more)
{
    char config[512];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100,"
                   " targets = { { name = 'target', pid = %d } }, %s }",
                   (int)pid, more);
    return daemon_start(daemon_folder_new(), config);
}

Test(failures, a_capture_that_cannot_be_written_is_an_answer_and_the_daemon_goes_on)
{
    char *folder = scratch_new();
    struct go_program program = start_target(folder);
    struct daemon daemon =
        watch(program.process.pid, "profile_capture_dir = '/dev/null/profiles'");
    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0));

    char url[128];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1/capture/heap", (unsigned)daemon.port);
    struct http_reply reply = http_request(url, "");
    cr_assert_geq(reply.status, 500, "status %ld: %s", reply.status, reply.body);
    assert_says(reply.body, "/dev/null/profiles");
    http_reply_release(&reply);
    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0));

    daemon_stop(&daemon);
    go_program_release(&program);
    scratch_remove(folder);
}

static const char *const captures_failed[] = {"target", "goprofd", "rule", "capture_failed",
                                              "state", "firing", NULL};
static const char *const captures_work[] = {"target", "goprofd", "rule", "capture_failed",
                                            "state", "resolved", NULL};

Test(failures, captures_that_cannot_be_written_are_an_alert_until_they_can)
{
    char *folder = scratch_new();
    struct go_program program = start_target(folder);
    char *parent = path_join(folder, "captures");
    char more[512];
    (void)snprintf(more, sizeof(more), "profile_capture_dir = '%s/profiles'", parent);
    cr_assert_eq(mkdir(parent, 0700), 0);
    struct daemon daemon = watch(program.process.pid, more);
    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0));

    /* A file takes the folder's place: nobody can write below it, not even root. */
    char *aside = path_join(folder, "aside");
    cr_assert_eq(rename(parent, aside), 0);
    free(file_write(folder, "captures", "in the way"));
    char url[128];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1/capture/heap", (unsigned)daemon.port);
    struct http_reply reply = http_request(url, "");
    cr_assert_geq(reply.status, 500, "status %ld: %s", reply.status, reply.body);
    http_reply_release(&reply);
    json_t *alerts = daemon_wait_for(&daemon, "/v1/alerts", answer_has, captures_failed, SOON_MS);
    const json_t *alert = answer_find(alerts, captures_failed);
    assert_says(answer_text(alert, "message"), parent);
    json_decref(alerts);

    cr_assert_eq(unlink(parent), 0);
    cr_assert_eq(rename(aside, parent), 0);
    json_decref(daemon_wait_for(&daemon, "/v1/alerts", answer_has, captures_work, 3 * SOON_MS));
    daemon_stop(&daemon);
    free(aside);
    free(parent);
    go_program_release(&program);
    scratch_remove(folder);
}

static long status_with(const struct daemon *daemon, const char *header)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/metrics", (unsigned)daemon->port);
    struct http_reply reply = http_request_with(url, NULL, header);
    const long status = reply.status;
    http_reply_release(&reply);
    return status;
}

Test(failures, without_a_token_nobody_is_answered_but_probes)
{
    char *folder = scratch_new();
    struct go_program program = start_target(folder);
    char *tokens = file_write(folder, "tokens", "first-token\n");
    char more[512];
    (void)snprintf(more, sizeof(more), "auth_token_file = '%s'", tokens);
    struct daemon daemon = watch(program.process.pid, more);
    json_decref(http_json(daemon.port, 200, "/health/live"));
    json_t *refused = http_json(daemon.port, 401, "/v1/targets");
    assert_says(answer_text(refused, "error"), "auth_token_file");
    json_decref(refused);
    json_decref(http_json(daemon.port, 401, "/no/such/path"));

    cr_assert_eq(status_with(&daemon, "Authorization: Bearer first-token"), 200);
    cr_assert_eq(status_with(&daemon, "Authorization: Bearer second-token"), 401);

    /* Another token is let in after SIGHUP; a file that is wrong changes nothing. */
    free(file_write(folder, "tokens", "first-token\nsecond-token\n"));
    cr_assert_eq(kill(daemon.process.pid, SIGHUP), 0);
    long status = 0;
    for (unsigned waited = 0; waited < SOON_MS && status != 200; waited += 50) {
        status = status_with(&daemon, "Authorization: Bearer second-token");
        sleep_ms(50);
    }
    cr_assert_eq(status, 200);
    free(file_write(folder, "tokens", "bad\n"));
    cr_assert_eq(kill(daemon.process.pid, SIGHUP), 0);
    free(process_wait_for(&daemon.process, "the tokens of before are in force", SOON_MS));
    cr_assert_eq(status_with(&daemon, "Authorization: Bearer second-token"), 200);
    free(tokens);
    daemon_stop(&daemon);
    go_program_release(&program);
    scratch_remove(folder);
}

/* A pid that no process has: above what the kernel hands out. */
static const char no_such_pid[] = "4194304";

Test(failures, a_dead_pid_is_a_state_with_a_reason)
{
    struct daemon daemon = watch((pid_t)strtol(no_such_pid, NULL, 10), "");
    static const char *const by_name[] = {"name", "target", NULL};
    json_t *targets = daemon_wait_for(&daemon, "/v1/targets", answer_has, by_name, SOON_MS);
    const json_t *target = answer_find(targets, by_name);
    const char *state = answer_text(target, "state");
    cr_assert(strcmp(state, "gone") == 0 || strcmp(state, "waiting") == 0, "state '%s'", state);
    assert_says(answer_text(target, "reason"), no_such_pid);
    json_decref(targets);
    json_decref(http_json(daemon.port, 200, "/health/live"));
    json_decref(http_json(daemon.port, 503, "/health/ready"));
    daemon_stop(&daemon);
}

Test(failures, the_profile_of_a_dead_pid_is_an_error_with_its_number)
{
    const char *arguments[] = {"heap", no_such_pid, NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(arguments, NULL, &output), 1, "%s", output);
    assert_says(output, no_such_pid);
    free(output);
}

Test(failures, a_process_that_is_no_go_program_is_said_to_be_none)
{
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid()); /* this test: C */
    const char *arguments[] = {"heap", pid, NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(arguments, NULL, &output), 1, "%s", output);
    assert_says(output, "Go");
    assert_says(output, pid);
    free(output);

    struct daemon daemon = watch(getpid(), "");
    static const char *const unsupported[] = {"name", "target", "state", "unsupported", NULL};
    json_decref(daemon_wait_for(&daemon, "/v1/targets", answer_has, unsupported, SOON_MS));
    daemon_stop(&daemon);
}

/* A process that goprofd, as it is run below, may not read: with root at hand our own target, read by
 * nobody; without, somebody else's: the first process. */
struct unreadable {
    struct go_program program; /* port 0: not ours */
    char *folder;
    pid_t pid;
    struct process_options reader;
};

static struct unreadable find_unreadable(void)
{
    struct unreadable found = {.pid = 1};
    if (geteuid() == 0) {
        const struct passwd *nobody = getpwnam("nobody");
        cr_assert_not_null(nobody, "there is no user 'nobody'");
        found.folder = scratch_new();
        found.program = start_target(found.folder);
        found.pid = found.program.process.pid;
        found.reader.user = nobody->pw_uid;
    } else {
        cr_assert_neq(access("/proc/1/environ", R_OK), 0,
                      "process 1 is readable and there is no root: no unreadable process at hand");
    }
    return found;
}

static void release_unreadable(struct unreadable *found)
{
    if (found->folder != NULL) {
        go_program_release(&found->program);
        scratch_remove(found->folder);
    }
}

/* A folder outside of the build tree, with goprofd and the rules in it, for a user who may not enter that. */
static char *public_copy(void)
{
    char *folder = strdup("/tmp/goprofd-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder), "cannot make %s", folder);
    char *command = NULL;
    cr_assert(asprintf(&command,
                       "cp " GOPROFD_BINARY_DIR "/goprofd %s/goprofd && cp -r %s %s/rules &&"
                       " chmod -R a+rX %s",
                       folder, shipped_rules, folder, folder) > 0);
    const char *argv[] = {"sh", "-c", command, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(argv, NULL, &output), 0, "%s", output);
    free(output);
    free(command);
    return folder;
}

Test(failures, a_process_that_may_not_be_read_is_denied_with_the_cure)
{
    struct unreadable found = find_unreadable();
    char *folder = public_copy();
    char *goprofd = path_join(folder, "goprofd");
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)found.pid);
    const char *argv[] = {goprofd, "heap", pid, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(argv, &found.reader, &output), 1, "%s", output);
    assert_says(output, pid);
    assert_says(output, "CAP_SYS_PTRACE");
    assert_no_sanitizer_report(output);
    free(output);

    /* And the daemon lives with it. */
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, rules_dir = '%s/rules',"
                   " targets = { { name = 'target', pid = %d } } }",
                   folder, (int)found.pid);
    char *config_path = file_write(folder, "config.lua", config);
    cr_assert_eq(chmod(config_path, 0644), 0);
    const char *daemon_argv[] = {goprofd, "-c", config_path,
                                 "--metrics-listen-addr=127.0.0.1:0", NULL};
    char *log_path = path_join(folder, "log");
    struct daemon daemon = {.process = process_start(daemon_argv, log_path, &found.reader)};
    char *ready = process_wait_for(&daemon.process, "port=", SOON_MS);
    daemon.port = (uint16_t)strtoul(ready, NULL, 10);
    static const char *const denied[] = {"name", "target", "state", "denied", NULL};
    json_t *targets = daemon_wait_for(&daemon, "/v1/targets", answer_has, denied, SOON_MS);
    cr_assert(answer_mentions(targets, "CAP_SYS_PTRACE"));
    json_decref(targets);
    cr_assert_eq(process_stop(&daemon.process, SIGTERM, SOON_MS), 0);
    output = process_output(&daemon.process);
    assert_no_sanitizer_report(output);
    free(output);

    process_release(&daemon.process);
    free(ready);
    free(log_path);
    free(config_path);
    free(goprofd);
    scratch_remove(folder);
    release_unreadable(&found);
}
