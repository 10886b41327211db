/* service.c - goprofd under a service manager: what systemd would hear on its socket, on a real one. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/daemon.h"

enum { GENEROUS_MS = 60000, TEXT_BYTES = 4096 };

/* The socket of a service manager, and goprofd started by it. */
struct manager {
    int fd;
    char path[64]; /* of the socket; "": it is abstract */
    char folder[32];
    struct daemon daemon;
};

static void listen_at(struct manager *manager, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t length = strlen(name);
    cr_assert_lt(length, sizeof(address.sun_path));
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(manager->fd, (const struct sockaddr *)&address,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                 0, "%s: %s", name, strerrordesc_np(errno));
}

/* [watchdog]: "WATCHDOG_USEC=..." or NULL. */
static struct manager start_at(const char *name, struct manager manager, unsigned interval_ms,
                               const char *watchdog)
{
    char socket_setting[96];
    char config[128];
    (void)snprintf(socket_setting, sizeof(socket_setting), "NOTIFY_SOCKET=%s", name);
    /* One that is sure to live: no target may keep the sampler from sampling. */
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = %u, targets = { { name = 'self', pid = %d } } }",
                   interval_ms, (int)getpid());
    const char *const environment[] = {socket_setting, watchdog, NULL};
    manager.daemon = daemon_start_as(daemon_folder_new(), config,
                                     &(struct process_options){.environment = environment});
    return manager;
}

/* A path as long as that of the build folder may not fit into an address. */
static struct manager start_at_a_path(unsigned interval_ms, const char *watchdog)
{
    struct manager manager = {.folder = "/tmp/goprofd-service-XXXXXX"};
    cr_assert_not_null(mkdtemp(manager.folder));
    (void)snprintf(manager.path, sizeof(manager.path), "%s/notify", manager.folder);
    listen_at(&manager, manager.path);
    return start_at(manager.path, manager, interval_ms, watchdog);
}

static void release(struct manager *manager)
{
    (void)close(manager->fd);
    if (manager->path[0] != '\0') {
        cr_assert_eq(unlink(manager->path), 0);
        cr_assert_eq(rmdir(manager->folder), 0);
    }
}

/* The next message, or false if there is none for so long. */
static bool hear(const struct manager *manager, char text[TEXT_BYTES], int timeout_ms)
{
    struct pollfd wait = {.fd = manager->fd, .events = POLLIN};
    const int ready = poll(&wait, 1, timeout_ms);
    cr_assert_neq(ready, -1);
    if (ready == 0)
        return false;
    const ssize_t length = recv(manager->fd, text, TEXT_BYTES - 1, 0);
    cr_assert_gt(length, 0);
    text[length] = '\0';
    return true;
}

static void hear_just(const struct manager *manager, const char *expected)
{
    char text[TEXT_BYTES];
    cr_assert(hear(manager, text, GENEROUS_MS), "'%s' was not told", expected);
    cr_assert_str_eq(text, expected);
}

static unsigned long long monotonic_usec(void)
{
    struct timespec now;
    cr_assert_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
}

/* systemd takes a READY=1 as the end of the reload only if this time lies behind its request. */
static void hear_that_it_reloads(const struct manager *manager, unsigned long long asked_usec)
{
    static const char head[] = "RELOADING=1\nMONOTONIC_USEC=";
    char text[TEXT_BYTES];
    char *end = NULL;
    cr_assert(hear(manager, text, GENEROUS_MS));
    cr_assert(strncmp(text, head, sizeof(head) - 1) == 0, "%s", text);
    const unsigned long long usec = strtoull(text + sizeof(head) - 1, &end, 10);
    cr_assert_str_eq(end, "\n");
    cr_assert_geq(usec, asked_usec);
    cr_assert_leq(usec, monotonic_usec());
}

static unsigned long long ask_for_reload(const struct manager *manager)
{
    const unsigned long long asked_usec = monotonic_usec();
    cr_assert_eq(kill(manager->daemon.process.pid, SIGHUP), 0);
    return asked_usec;
}

static void stop_and_hear_it(struct manager *manager)
{
    daemon_stop(&manager->daemon);
    hear_just(manager, "STOPPING=1\n");
    char text[TEXT_BYTES];
    cr_assert_not(hear(manager, text, 0), "nothing comes after that, but '%s' did", text);
}

Test(service, is_ready_reloads_and_stops_in_the_words_of_systemd)
{
    struct manager manager = start_at_a_path(100, NULL);
    hear_just(&manager, "READY=1\nSTATUS=watching\n");
    const unsigned long long asked_usec = ask_for_reload(&manager);
    hear_that_it_reloads(&manager, asked_usec);
    hear_just(&manager, "READY=1\nSTATUS=reloaded\n");
    stop_and_hear_it(&manager);
    release(&manager);
}

Test(service, speaks_to_an_abstract_socket)
{
    struct manager manager = {.path = ""};
    char name[64];
    (void)snprintf(name, sizeof(name), "@goprofd-service-%d", (int)getpid());
    listen_at(&manager, name);
    manager = start_at(name, manager, 100, NULL);
    hear_just(&manager, "READY=1\nSTATUS=watching\n");
    stop_and_hear_it(&manager);
    release(&manager);
}

/* A manager that never heard READY=1 again would hold the reload for running, and time it out. */
Test(service, a_reload_that_changed_nothing_ends_too_and_its_status_says_why)
{
    static const char why[] = "READY=1\nSTATUS=reload failed, what was before is in force: ";
    struct manager manager = start_at_a_path(100, NULL);
    char text[TEXT_BYTES];
    hear_just(&manager, "READY=1\nSTATUS=watching\n");

    free(file_write(manager.daemon.folder, "config.lua", "return { sampling_intervall_ms = 1 }"));
    hear_that_it_reloads(&manager, ask_for_reload(&manager));
    cr_assert(hear(&manager, text, GENEROUS_MS));
    cr_assert(strncmp(text, why, sizeof(why) - 1) == 0, "%s", text);
    cr_assert_not_null(strstr(text, "sampling_intervall_ms"), "%s", text);

    free(file_write(manager.daemon.folder, "config.lua", "return {}"));
    free(file_write(manager.daemon.folder, "rules/broken.lua", "return {\n  name = 'broken'\n  evaluate = 1 }\n"));
    hear_that_it_reloads(&manager, ask_for_reload(&manager));
    cr_assert(hear(&manager, text, GENEROUS_MS));
    cr_assert(strncmp(text, why, sizeof(why) - 1) == 0, "%s", text);
    cr_assert_not_null(strstr(text, "broken.lua:3"), "%s", text);

    free(file_write(manager.daemon.folder, "rules/broken.lua",
                    "return { name = 'broken', doc = 'mended', evaluate = function() end }\n"));
    hear_that_it_reloads(&manager, ask_for_reload(&manager));
    hear_just(&manager, "READY=1\nSTATUS=reloaded\n");
    stop_and_hear_it(&manager);
    release(&manager);
}

/* --- watchdog --- */

static pid_t thread_of(const struct manager *manager, const char *name)
{
    char path[128];
    pid_t found = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)manager->daemon.process.pid);
    DIR *tasks = opendir(path);
    cr_assert_not_null(tasks);
    for (const struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        const pid_t tid = (pid_t)strtol(task->d_name, NULL, 10);
        if (tid == 0)
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)manager->daemon.process.pid, (int)tid);
        char *comm = file_read(path);
        if (strncmp(comm, name, strlen(name)) == 0)
            found = tid;
        free(comm);
    }
    closedir(tasks);
    cr_assert_neq(found, 0, "goprofd has no thread '%s'", name);
    return found;
}

/* As if it hung in the kernel; the other threads go on. */
static void hold_thread(pid_t tid)
{
    int status = 0;
    cr_assert_eq(ptrace(PTRACE_SEIZE, tid, NULL, NULL), 0, "%s", strerrordesc_np(errno));
    cr_assert_eq(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL), 0);
    cr_assert_eq(waitpid(tid, &status, __WALL), tid);
    cr_assert(WIFSTOPPED(status));
}

/* Takes [count] of them, and READY=1, in whatever order. */
static void hear_beats(const struct manager *manager, unsigned count)
{
    char text[TEXT_BYTES];
    bool ready = false;
    for (unsigned beats = 0; beats < count || !ready;) {
        cr_assert(hear(manager, text, GENEROUS_MS), "it beat %u times", beats);
        if (strcmp(text, "READY=1\nSTATUS=watching\n") == 0) {
            ready = true;
        } else {
            cr_assert_str_eq(text, "WATCHDOG=1\n");
            beats++;
        }
    }
}

static void stop_while_it_beats(struct manager *manager)
{
    char text[TEXT_BYTES];
    daemon_stop(&manager->daemon);
    do
        cr_assert(hear(manager, text, 0), "it stopped without a word");
    while (strcmp(text, "STOPPING=1\n") != 0);
}

Test(service, the_watchdog_hears_of_it_twice_a_period_while_the_sampler_gets_on_and_not_when_it_hangs)
{
    enum { PERIOD_MS = 1000, BEATS = 5 };
    struct manager manager = start_at_a_path(100, "WATCHDOG_USEC=1000000");
    char text[TEXT_BYTES];
    hear_beats(&manager, BEATS);

    const pid_t sampler = thread_of(&manager, "sampler");
    hold_thread(sampler);
    unsigned heard = 0;
    while (hear(&manager, text, 2 * PERIOD_MS)) {
        cr_assert_str_eq(text, "WATCHDOG=1\n");
        cr_assert_lt(++heard, 20, "it is told that a sampler gets on that does not");
    }
    char *log = process_output(&manager.daemon.process);
    cr_assert_not_null(strstr(log, "the sampler is stuck"), "%s", log);
    free(log);

    cr_assert_eq(ptrace(PTRACE_DETACH, sampler, NULL, NULL), 0);
    hear_just(&manager, "WATCHDOG=1\n");
    stop_while_it_beats(&manager);
    release(&manager);
}

Test(service, a_sampler_that_sleeps_longer_than_the_watchdogs_period_does_not_hang)
{
    struct manager manager = start_at_a_path(60000, "WATCHDOG_USEC=200000");
    hear_beats(&manager, 10);
    stop_while_it_beats(&manager);
    release(&manager);
}
