/* notifications.c - alerts reach Debian's Alertmanager and webhooks, over restarts and refusals. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { SOON_MS = 60000, POLL_MS = 50 };

/* Fires until the target has collected three times more than at the start of goprofd. */
static const char young_rule[] =
    "return {\n"
    "  name = 'young',\n"
    "  doc = 'docs/rules.md',\n"
    "  clear_for = '100ms',\n"
    "  params = { grown_up = 0 },\n"
    "  evaluate = function(target, params)\n"
    "    if target.num_gc < params.grown_up then\n"
    "      alert { id = 'young', severity = 'critical', message = 'it is \"young\"',\n"
    "              value = target.num_gc, labels = { team = 'checkout' } }\n"
    "    end\n"
    "  end,\n"
    "}\n";

static struct go_program start_target(const char *folder)
{
    const struct go_version newest = go_version_newest();
    return go_program_start(&newest, "profile_target", NULL, folder, "target.log", NULL);
}

/* goprofd with the rule above and [notify] as its receivers. */
static struct daemon start_daemon(char *folder, const struct go_program *target, const char *notify)
{
    free(file_write(folder, "rules/young.lua", young_rule));
    char *config = NULL;
    json_t *memstats = http_json(target->port, 200, "/memstats");
    const int grown_up = (int)answer_number(memstats, "NumGC") + 3;
    json_decref(memstats);
    cr_assert(asprintf(&config,
                       "return { sampling_interval_ms = 100, rules_dir = 'rules',"
                       " external_url = 'https://goprofd.example/',"
                       " rules = { young = { grown_up = %d } },"
                       " targets = { { name = 'shop', pid = %d } }, %s }",
                       grown_up, (int)target->process.pid, notify) > 0);
    struct daemon daemon = daemon_start(folder, config);
    free(config);
    return daemon;
}

static void grow_up(const struct go_program *target)
{
    http_touch(target->port, "/gc?n=3");
}

/* ---- Alertmanager ---- */

/* With nothing in its memory: the storage is a folder of its own each time. */
static struct process start_alertmanager(const char *folder, const char *name, uint16_t port)
{
    char *config = file_write(folder, "alertmanager.yml",
                              "route: { receiver: nobody }\nreceivers: [ { name: nobody } ]\n");
    char *config_flag = NULL;
    char *storage = NULL;
    char *listen = NULL;
    char *log_path = path_join(folder, name);
    cr_assert(asprintf(&config_flag, "--config.file=%s", config) > 0);
    cr_assert(asprintf(&storage, "--storage.path=%s.data", log_path) > 0);
    cr_assert(asprintf(&listen, "--web.listen-address=127.0.0.1:%u", (unsigned)port) > 0);
    const char *argv[] = {"prometheus-alertmanager", config_flag, storage, listen,
                          "--cluster.listen-address=", NULL};
    struct process alertmanager = process_start(argv, log_path, NULL);
    free(process_wait_for(&alertmanager, "Listening on", SOON_MS));
    free(log_path);
    free(listen);
    free(storage);
    free(config_flag);
    free(config);
    return alertmanager;
}

static bool has_alerts(const json_t *answer, const void *context)
{
    return json_array_size(answer) == *(const size_t *)context;
}

/* Waits until Alertmanager has [count] active alerts. */
static json_t *wait_for_alerts(uint16_t port, size_t count)
{
    const struct daemon alertmanager = {.port = port,
                                        .process.log_path = (char[]){"/dev/null"}};
    return daemon_wait_for(&alertmanager, "/api/v2/alerts", has_alerts, &count, SOON_MS);
}

static void assert_is_the_alert(const json_t *alerts)
{
    const json_t *alert = json_array_get(alerts, 0);
    const json_t *labels = json_object_get(alert, "labels");
    const json_t *annotations = json_object_get(alert, "annotations");
    cr_assert_str_eq(answer_text(labels, "alertname"), "young");
    cr_assert_str_eq(answer_text(labels, "severity"), "critical");
    cr_assert_str_eq(answer_text(labels, "target"), "shop");
    cr_assert_str_eq(answer_text(labels, "team"), "checkout");
    cr_assert_str_eq(answer_text(labels, "job"), "goprofd");
    cr_assert_str_eq(answer_text(annotations, "summary"), "it is \"young\"");
    cr_assert_str_eq(answer_text(annotations, "doc"), "docs/rules.md");
    cr_assert_str_eq(answer_text(alert, "generatorURL"),
                     "https://goprofd.example/v1/alerts?target=shop");
}

Test(notifications, alertmanager_is_told_again_after_it_restarts_and_hears_of_the_end)
{
    char *scratch = scratch_new();
    const uint16_t port = http_free_port();
    struct process alertmanager = start_alertmanager(scratch, "first.log", port);
    struct go_program target = start_target(scratch);
    char notify[128];
    (void)snprintf(notify, sizeof(notify),
                   "notify = { { alertmanager = 'http://127.0.0.1:%u/', resend_interval = 1 } }",
                   (unsigned)port);
    struct daemon daemon = start_daemon(daemon_folder_new(), &target, notify);

    json_t *alerts = wait_for_alerts(port, 1);
    assert_is_the_alert(alerts);
    json_decref(alerts);

    (void)process_stop(&alertmanager, SIGTERM, SOON_MS);
    process_release(&alertmanager);
    alertmanager = start_alertmanager(scratch, "second.log", port);
    alerts = wait_for_alerts(port, 1);
    assert_is_the_alert(alerts);
    json_decref(alerts);

    grow_up(&target);
    json_decref(wait_for_alerts(port, 0));

    daemon_stop(&daemon);
    go_program_release(&target);
    (void)process_stop(&alertmanager, SIGTERM, SOON_MS);
    process_release(&alertmanager);
    scratch_remove(scratch);
}

/* ---- webhooks ---- */

static struct go_program start_receiver(const char *folder, const char *const *arguments)
{
    const struct go_version newest = go_version_newest();
    return go_program_start(&newest, "webhook_receiver", arguments, folder, "receiver.log", NULL);
}

/* Waits for the next message that [receiver] takes, and reads it. */
static json_t *wait_for_message(const struct go_program *receiver)
{
    char *body = process_wait_for(&receiver->process, "took ", SOON_MS);
    json_t *message = json_loads(body, 0, NULL);
    cr_assert_not_null(message, "no JSON: %s", body);
    free(body);
    return message;
}

static void assert_message(const json_t *message, const char *status)
{
    const json_t *alerts = json_object_get(message, "alerts");
    cr_assert_str_eq(answer_text(message, "version"), "4");
    cr_assert_str_eq(answer_text(message, "status"), status);
    cr_assert_eq(json_array_size(alerts), 1);
    cr_assert_str_eq(answer_text(json_array_get(alerts, 0), "status"), status);
    assert_is_the_alert(alerts);
}

static double counter(const struct daemon *daemon, const char *name)
{
    char *url = NULL;
    cr_assert(asprintf(&url, "http://127.0.0.1:%u/metrics", (unsigned)daemon->port) > 0);
    struct http_reply reply = http_request(url, NULL);
    cr_assert_eq(reply.status, 200);
    char *needle = NULL;
    cr_assert(asprintf(&needle, "\n%s ", name) > 0);
    const char *line = strstr(reply.body, needle);
    cr_assert_not_null(line, "no %s in /metrics", name);
    const double value = strtod(line + strlen(needle), NULL);
    free(needle);
    http_reply_release(&reply);
    free(url);
    return value;
}

static void wait_for_counter(const struct daemon *daemon, const char *name, double least)
{
    for (unsigned waited_ms = 0; counter(daemon, name) < least; waited_ms += POLL_MS) {
        cr_assert_lt(waited_ms, SOON_MS, "%s never reached %g", name, least);
        sleep_ms(POLL_MS);
    }
}

Test(notifications, a_webhook_that_is_busy_gets_its_message_later)
{
    char *scratch = scratch_new();
    const char *const arguments[] = {"-refuse", "2", NULL};
    struct go_program receiver = start_receiver(scratch, arguments);
    struct go_program target = start_target(scratch);
    char notify[128];
    (void)snprintf(notify, sizeof(notify), "notify = { { webhook = 'http://127.0.0.1:%u/hook' } }",
                   (unsigned)receiver.port);
    struct daemon daemon = start_daemon(daemon_folder_new(), &target, notify);

    json_t *message = wait_for_message(&receiver);
    assert_message(message, "firing");
    json_decref(message);
    cr_assert_eq(counter(&daemon, "goprofd_notifications_failed_total"), 2);
    wait_for_counter(&daemon, "goprofd_notifications_sent_total", 1);

    grow_up(&target);
    wait_for_counter(&daemon, "goprofd_notifications_sent_total", 2);
    char *output = process_output(&receiver.process);
    const char *last = strstr(strstr(output, "took ") + 1, "took ");
    cr_assert_not_null(last, "%s", output);
    cr_assert_not_null(strstr(last, "\"status\":\"resolved\""), "%s", last);
    free(output);

    daemon_stop(&daemon);
    go_program_release(&target);
    go_program_release(&receiver);
    scratch_remove(scratch);
}

/* Of one evaluation, one group, one cause: they open in one message and close in one. */
Test(notifications, a_webhook_hears_of_alerts_of_one_group_in_one_message)
{
    static const char twins[] =
        "return { name = 'twins', doc = 'docs/rules.md', group = 'memory_limit', clear_for = '100ms',\n"
        "  evaluate = function(target)\n"
        "    if target.num_gc >= %d then return end\n"
        "    for _, pool in ipairs { 'a', 'b' } do\n"
        "      alert { id = 'twin-' .. pool, severity = 'warning', message = pool, labels = { pool = pool, team = 'till' } }\n"
        "    end\n"
        "  end }\n";
    char *scratch = scratch_new();
    struct go_program receiver = start_receiver(scratch, NULL);
    struct go_program target = start_target(scratch);
    char *folder = daemon_folder_new();
    char notify[160];
    char *rule = NULL;
    json_t *memstats = http_json(target.port, 200, "/memstats");
    cr_assert(asprintf(&rule, twins, (int)answer_number(memstats, "NumGC") + 3) > 0);
    json_decref(memstats);
    free(file_write(folder, "rules/twins.lua", rule));
    free(rule);
    /* Not of the other rule's, which is critical. */
    (void)snprintf(notify, sizeof(notify),
                   "notify = { { webhook = 'http://127.0.0.1:%u/hook', severities = 'warning' } }",
                   (unsigned)receiver.port);
    struct daemon daemon = start_daemon(folder, &target, notify);

    json_t *message = wait_for_message(&receiver);
    const json_t *common = json_object_get(message, "commonLabels");
    cr_assert_eq(json_array_size(json_object_get(message, "alerts")), 2);
    cr_assert_str_eq(answer_text(message, "status"), "firing");
    cr_assert_str_eq(answer_text(common, "group"), "memory_limit");
    cr_assert_str_eq(answer_text(common, "target"), "shop");
    cr_assert_str_eq(answer_text(common, "team"), "till");
    cr_assert_null(json_object_get(common, "pool"), "which they do not share");
    json_decref(message);

    grow_up(&target);
    wait_for_counter(&daemon, "goprofd_notifications_sent_total", 2);
    char *output = process_output(&receiver.process);
    const char *last = strstr(strstr(output, "took ") + 1, "took ");
    cr_assert_not_null(last, "%s", output);
    message = json_loads(last + strlen("took "), JSON_DISABLE_EOF_CHECK, NULL);
    cr_assert_not_null(message, "%s", last);
    cr_assert_str_eq(answer_text(message, "status"), "resolved");
    cr_assert_eq(json_array_size(json_object_get(message, "alerts")), 2);
    json_decref(message);
    free(output);
    daemon_stop(&daemon);
    go_program_release(&target);
    go_program_release(&receiver);
    scratch_remove(scratch);
}

Test(notifications, a_refused_message_is_dropped_and_said)
{
    char *scratch = scratch_new();
    const char *const arguments[] = {"-refuse", "100", "-status", "400", NULL};
    struct go_program receiver = start_receiver(scratch, arguments);
    struct go_program target = start_target(scratch);
    char notify[128];
    (void)snprintf(notify, sizeof(notify), "notify = { { webhook = 'http://127.0.0.1:%u/hook' } }",
                   (unsigned)receiver.port);
    struct daemon daemon = start_daemon(daemon_folder_new(), &target, notify);
    wait_for_counter(&daemon, "goprofd_notifications_dropped_total", 1);
    char *why = process_wait_for(&daemon.process, "the receiver refuses a message", SOON_MS);
    cr_assert_not_null(strstr(why, "status=400 answer=\"not now"), "%s", why);
    free(why);
    daemon_stop(&daemon);
    go_program_release(&target);
    go_program_release(&receiver);
    scratch_remove(scratch);
}

Test(notifications, over_https_only_the_right_issuer_and_token_will_do)
{
    char *scratch = scratch_new();
    char *issuer = path_join(scratch, "issuer.pem");
    char *token = file_write(scratch, "token", "s3cret\n");
    const char *const arguments[] = {"-tls", issuer, "-token", "s3cret", NULL};
    struct go_program receiver = start_receiver(scratch, arguments);
    struct go_program target = start_target(scratch);
    char *notify = NULL;
    cr_assert(asprintf(&notify,
                       "notify = {"
                       " { name = 'stranger', webhook = 'https://127.0.0.1:%u/hook' },"
                       " { name = 'friend', webhook = 'https://127.0.0.1:%u/hook', ca_file = '%s',"
                       "   bearer_token_file = '%s' } }",
                       (unsigned)receiver.port, (unsigned)receiver.port, issuer, token) > 0);
    struct daemon daemon = start_daemon(daemon_folder_new(), &target, notify);

    json_t *message = wait_for_message(&receiver);
    assert_message(message, "firing");
    cr_assert_str_eq(answer_text(message, "receiver"), "friend");
    json_decref(message);
    char *why = process_wait_for(&daemon.process, "cannot be reached", SOON_MS);
    cr_assert_not_null(strstr(why, "receiver=stranger"), "%s", why);
    cr_assert_not_null(strstr(why, "certificate"), "%s", why);
    free(why);

    daemon_stop(&daemon);
    go_program_release(&target);
    go_program_release(&receiver);
    free(notify);
    free(token);
    free(issuer);
    scratch_remove(scratch);
}

Test(notifications, what_waits_on_disk_is_delivered_by_the_next_daemon)
{
    char *scratch = scratch_new();
    struct go_program target = start_target(scratch);
    char *notify = NULL;
    cr_assert(asprintf(&notify,
                       "notify_queue_dir = '%s/queue',"
                       "notify = { { webhook = 'http://127.0.0.1:%u/hook', name = 'pager' } }",
                       scratch, (unsigned)http_free_port()) > 0);
    struct daemon daemon = start_daemon(daemon_folder_new(), &target, notify);
    wait_for_counter(&daemon, "goprofd_notifications_failed_total", 1);
    cr_assert_eq(counter(&daemon, "goprofd_notifications_queued"), 1);
    /* As a crash would end it. */
    cr_assert_eq(process_stop(&daemon.process, SIGKILL, SOON_MS), 128 + SIGKILL);
    process_release(&daemon.process);
    scratch_remove(daemon.folder);
    free(notify);

    grow_up(&target); /* nothing new to tell */
    struct go_program receiver = start_receiver(scratch, NULL);
    cr_assert(asprintf(&notify,
                       "notify_queue_dir = '%s/queue',"
                       "notify = { { webhook = 'http://127.0.0.1:%u/hook', name = 'pager' } }",
                       scratch, (unsigned)receiver.port) > 0);
    daemon = start_daemon(daemon_folder_new(), &target, notify);
    json_t *message = wait_for_message(&receiver);
    assert_message(message, "firing");
    json_decref(message);
    daemon_stop(&daemon);
    go_program_release(&target);
    go_program_release(&receiver);
    free(notify);
    scratch_remove(scratch);
}
