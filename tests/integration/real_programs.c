/* real_programs.c - programs that other people wrote, busy: as shipped by Debian, stripped.
 *
 * A published profile stands still between two collections, and a busy program collects all the
 * time.  So ours is read before and after the program's own.  Counters of allocations only rise: if
 * the two of ours are the same, nothing was published between them, and the program's own, taken in
 * between, must be the same too, sample for sample.  If they differ nothing is proven, and
 * the load makes longer pauses.  Each profile that counts is another one than the one before. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"
#include "tests/support/raw_profile.h"

enum {
    SOON_MS = 60000,
    COMPARE_MS = 300000, /* a sanitized goprofd on a busy machine is slow */
    WANTED_EQUAL = 3,
    SAMPLES_MIN = 30, /* fewer prove little */
    PAUSE_FIRST_MS = 1,
    PAUSE_MAX_MS = 256,
    LOAD_ANSWER_TIMEOUT_S = 10,
    STOP_MS = 30000,
};

/* ---- load: a thread that does one round after the other, with pauses ---- */

struct load {
    pthread_t thread;
    uint16_t port;
    bool (*round)(uint16_t port); /* false: it was not answered as it should be */
    atomic_bool stop;
    atomic_uint pause_ms;
    atomic_uint rounds;
    atomic_uint failures;
};

static void *run_load(void *context)
{
    struct load *load = context;
    while (!atomic_load(&load->stop)) {
        if (!load->round(load->port))
            atomic_fetch_add(&load->failures, 1);
        atomic_fetch_add(&load->rounds, 1);
        sleep_ms(atomic_load(&load->pause_ms));
    }
    return NULL;
}

static void load_start(struct load *load)
{
    atomic_store(&load->pause_ms, PAUSE_FIRST_MS);
    cr_assert_eq(pthread_create(&load->thread, NULL, run_load, load), 0);
}

static void load_stop(struct load *load)
{
    atomic_store(&load->stop, true);
    cr_assert_eq(pthread_join(load->thread, NULL), 0);
    cr_assert_gt(atomic_load(&load->rounds), 0);
    cr_assert_eq(atomic_load(&load->failures), 0, "%u rounds of %u were not answered",
                 atomic_load(&load->failures), atomic_load(&load->rounds));
}

/* Longer when profiles come faster than they can be compared, shorter when there is nothing new. */
static void load_set_pace(struct load *load, bool slower)
{
    const unsigned pause_ms = atomic_load(&load->pause_ms);
    if (slower && pause_ms < PAUSE_MAX_MS)
        atomic_store(&load->pause_ms, pause_ms * 2);
    else if (!slower && pause_ms > 1)
        atomic_store(&load->pause_ms, pause_ms / 2);
}

/* ---- one program ---- */

struct scene {
    struct go_version judge;
    struct process program;
    uint16_t profile_port;
    struct load load;
    char *folder;
    unsigned tries;
    struct raw_profile last; /* the profile that was last found equal */
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static char *save_ours(const struct scene *scene, const char *name)
{
    char *path = path_join(scene->folder, name);
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)scene->program.pid);
    const char *arguments[] = {"heap", pid, "-o", path, NULL};
    char *output = NULL;
    const int status = goprofd_run(arguments, NULL, &output);
    cr_assert_eq(status, 0, "goprofd heap: %s", output);
    free(output);
    return path;
}

static struct raw_profile read_and_free(const struct scene *scene, char *path)
{
    struct raw_profile profile = raw_profile_read(scene->judge.go, path);
    free(path);
    return profile;
}

static size_t skip_zero(const struct raw_profile *profile, size_t at)
{
    while (at < profile->count && raw_sample_is_zero(profile->samples[at]))
        at++;
    return at;
}

/* As far as published: sites that are new since then are there with nothing but zeros. */
static bool are_same(const struct raw_profile *a, const struct raw_profile *b)
{
    size_t i = 0;
    size_t j = 0;
    for (;; i++, j++) {
        i = skip_zero(a, i);
        j = skip_zero(b, j);
        if (i == a->count || j == b->count)
            return i == a->count && j == b->count;
        if (strcmp(a->samples[i], b->samples[j]) != 0)
            return false;
    }
}

/* Ours, theirs, ours again.  True: all three were of one published profile, and they are equal. */
static bool compare_once(struct scene *scene, const char *name)
{
    char *before_path = save_ours(scene, "before.pb.gz");
    char *theirs_path = path_join(scene->folder, "theirs.pb.gz");
    http_save(scene->profile_port, "/debug/pprof/heap", theirs_path);
    char *after_path = save_ours(scene, "after.pb.gz");
    struct raw_profile before = read_and_free(scene, before_path);
    struct raw_profile after = read_and_free(scene, after_path);
    const bool stood_still = are_same(&before, &after);

    scene->tries++;
    if (stood_still) {
        struct raw_profile theirs = raw_profile_read(scene->judge.go, theirs_path);
        raw_profile_assert_equal(&before, &theirs, name);
        raw_profile_release(&theirs);
    }
    const bool is_new = !are_same(&before, &scene->last);
    if (stood_still) {
        raw_profile_release(&scene->last);
        scene->last = before;
    } else {
        raw_profile_release(&before);
    }
    if (!stood_still || !is_new)
        load_set_pace(&scene->load, !stood_still);
    raw_profile_release(&after);
    free(theirs_path);
    return stood_still && is_new;
}

/* Equal [WANTED_EQUAL] times while the load runs, each time another profile, and once more after it. */
static void assert_equal_under_load(struct scene *scene, const char *name)
{
    const uint64_t deadline_ms = now_ms() + COMPARE_MS;
    unsigned equal = 0;

    load_start(&scene->load);
    /* Before the first GC all allocations are published as they happen: it would never stand still. */
    free(process_wait_for(&scene->program, "gc 3 @", SOON_MS));
    while (equal < WANTED_EQUAL) {
        cr_assert_lt(now_ms(), deadline_ms, "%s: %u of %u tries stood still", name, equal,
                     scene->tries);
        /* A profile of a program that has not done much yet is not worth a comparison. */
        if (compare_once(scene, name) && scene->last.count >= SAMPLES_MIN)
            equal++;
    }
    fprintf(stderr, "equal under load: %s, %u times in %u tries, %zu samples, after %u rounds\n",
            name, equal, scene->tries, scene->last.count, atomic_load(&scene->load.rounds));
    load_stop(&scene->load);

    raw_profile_release(&scene->last);
    while (!compare_once(scene, name))
        cr_assert_lt(now_ms(), deadline_ms + COMPARE_MS, "%s: its profile never stands still", name);
    fprintf(stderr, "equal after load: %s, %zu samples\n", name, scene->last.count);
    cr_assert_geq(scene->last.count, SAMPLES_MIN);
}

/* A sample every 16 KiB instead of every 512: more to be equal.  A line for each GC.  And GCs at 16 MiB,
 * not at 4: a profile of its own costs a program more than one, and would bring on the next. */
static const char *const environment[] = {"GODEBUG=memprofilerate=16384,gctrace=1", "GOGC=400",
                                          NULL};

static struct scene open_scene(bool (*round)(uint16_t port))
{
    return (struct scene){
        .judge = go_version_newest(), .folder = scratch_new(), .load.round = round};
}

static void close_scene(struct scene *scene)
{
    (void)process_stop(&scene->program, SIGTERM, STOP_MS);
    process_release(&scene->program);
    raw_profile_release(&scene->last);
    scratch_remove(scene->folder);
}

/* ---- Prometheus: scrapes itself and answers queries ---- */

static bool query_prometheus(uint16_t port)
{
    static const char *const paths[] = {
        "/metrics",
        "/api/v1/query?query=sum%20by%20(job)%20(rate(prometheus_http_requests_total%5B1m%5D))",
        "/api/v1/series?match%5B%5D=%7Bjob%3D%22self%22%7D",
    };
    bool ok = true;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char url[256];
        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", (unsigned)port, paths[i]);
        struct http_reply reply = http_request(url, NULL);
        ok = ok && reply.status == 200;
        http_reply_release(&reply);
    }
    return ok;
}

static void start_prometheus(struct scene *scene)
{
    char config[256];
    const struct process_options options = {.environment = environment};
    scene->profile_port = scene->load.port = http_free_port();
    (void)snprintf(config, sizeof(config),
                   "scrape_configs:\n"
                   "  - job_name: self\n"
                   "    scrape_interval: 1s\n"
                   "    scrape_timeout: 1s\n"
                   "    static_configs: [ { targets: ['127.0.0.1:%u'] } ]\n",
                   (unsigned)scene->profile_port);
    char *config_path = file_write(scene->folder, "prometheus.yml", config);
    char *log_path = path_join(scene->folder, "prometheus.log");
    char *config_flag = NULL;
    char *storage = NULL;
    char *listen = NULL;
    cr_assert(asprintf(&config_flag, "--config.file=%s", config_path) > 0);
    cr_assert(asprintf(&storage, "--storage.tsdb.path=%s/tsdb", scene->folder) > 0);
    cr_assert(asprintf(&listen, "--web.listen-address=127.0.0.1:%u",
                       (unsigned)scene->profile_port) > 0);
    const char *argv[] = {"prometheus", config_flag, storage, listen, NULL};
    scene->program = process_start(argv, log_path, &options);
    free(process_wait_for(&scene->program, "Server is ready to receive web requests", SOON_MS));
    free(listen);
    free(storage);
    free(config_flag);
    free(log_path);
    free(config_path);
}

Test(real_programs, debians_prometheus_is_read_exactly_while_it_scrapes_and_answers)
{
    struct scene scene = open_scene(query_prometheus);
    start_prometheus(&scene);
    assert_equal_under_load(&scene, "prometheus");
    close_scene(&scene);
}

/* ---- NATS: clients come, subscribe, publish to themselves, and go ---- */

enum { MESSAGES = 200, MESSAGE_BYTES = 1024 };

static bool send_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        const ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* "MSG s 1 1024" and 1024 bytes, MESSAGES times; the payload holds no capital letter. */
static bool receive_messages(int fd)
{
    char block[16384];
    size_t headers = 0;
    while (headers < MESSAGES) {
        const ssize_t got = recv(fd, block, sizeof(block), 0);
        if (got <= 0)
            return false;
        for (ssize_t i = 0; i < got; i++)
            headers += block[i] == 'G';
    }
    return true;
}

static bool publish_and_subscribe(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval timeout = {.tv_sec = LOAD_ANSWER_TIMEOUT_S};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char info[4096];
    char payload[MESSAGE_BYTES + 1];
    memset(payload, 'x', MESSAGE_BYTES);
    payload[MESSAGE_BYTES] = '\0';

    char *messages = NULL;
    size_t length = 0;
    FILE *script = open_memstream(&messages, &length);
    if (script == NULL || fd == -1)
        abort();
    fputs("CONNECT {\"verbose\":false}\r\nSUB s 1\r\n", script);
    for (int i = 0; i < MESSAGES; i++)
        fprintf(script, "PUB s %d\r\n%s\r\n", MESSAGE_BYTES, payload);
    (void)fclose(script);

    /* The server speaks first: INFO and what it can do. */
    const bool ok =
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
        recv(fd, info, sizeof(info), 0) > 5 && memcmp(info, "INFO ", 5) == 0 &&
        send_all(fd, messages, length) && receive_messages(fd);
    free(messages);
    close(fd);
    return ok;
}

static uint16_t port_after(const struct process *program, const char *needle)
{
    char *text = process_wait_for(program, needle, SOON_MS);
    const char *colon = strrchr(text, ':');
    const unsigned long port = strtoul(colon == NULL ? text : colon + 1, NULL, 10);
    cr_assert(port > 0 && port < 65536, "no port in '%s%s'", needle, text);
    free(text);
    return (uint16_t)port;
}

Test(real_programs, debians_nats_server_is_read_exactly_while_it_passes_messages_on)
{
    struct scene scene = open_scene(publish_and_subscribe);
    const struct process_options options = {.environment = environment};
    /* Not in everyone's PATH.  It takes any port where it is told -1, and says which. */
    const char *argv[] = {"/usr/sbin/nats-server", "-a", "127.0.0.1", "-p", "-1",
                          "-m", "0", "--profile", "-1", NULL};
    char *log_path = path_join(scene.folder, "nats.log");
    scene.program = process_start(argv, log_path, &options);
    scene.profile_port = port_after(&scene.program, "profiling port: ");
    scene.load.port = port_after(&scene.program, "Listening for client connections on ");
    free(process_wait_for(&scene.program, "Server is ready", SOON_MS));

    assert_equal_under_load(&scene, "nats-server");
    free(log_path);
    close_scene(&scene);
}
