/* c_client.c - the client for C programs against a server that understands batches as goprofd does (core/track), and
 * that goes away, starts anew, refuses or keeps silent when a test wants it to. */
#include "clients/c/goprofd_track.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/store/profile.h"
#include "core/store/site.h"
#include "core/track/track_batch.h"
#include "core/track/tracker.h"

enum {
    PATIENCE_MS = 60000,
    LOOK_EVERY_MS = 20,
    BODY_MAX_BYTES = 1 << 20, /* goprofd's own bound */
    HEAD_MAX_BYTES = 4096,
    INTERVAL_MS = 10,
};

enum manner {
    ANSWERS,     /* as goprofd would */
    HANGS_UP,    /* takes the batch, and its answer is lost */
    KEEPS_SILENT /* takes nothing and says nothing until the test is over */
};

struct server {
    char folder[32];
    char path[64];
    char url[80];
    int listener;
    pthread_t thread;
    atomic_bool stopping;
    _Atomic enum manner manner;
    atomic_int status;      /* 0: as the batch deserves; else this, and nothing is taken */
    atomic_uint taken;      /* batches that counted */
    atomic_uint repeated;
    atomic_uint asked;      /* requests in all */
    atomic_uint not_understood;
    struct tracker *tracker;
    pthread_mutex_t lock;   /* for those below */
    char head[HEAD_MAX_BYTES]; /* of the last request */
    char problem[256];      /* of the last batch that was not understood */
};

/* --- serving --- */

static int status_of(struct server *server, const char *body, size_t length)
{
    struct track_batch batch;
    struct error err;
    enum track_outcome outcome = TRACK_TAKEN;
    if (length > BODY_MAX_BYTES || !track_batch_read(body, length, &batch, &err)) {
        pthread_mutex_lock(&server->lock);
        (void)snprintf(server->problem, sizeof(server->problem), "%.250s",
                       length > BODY_MAX_BYTES ? "too large" : err.message);
        pthread_mutex_unlock(&server->lock);
        atomic_fetch_add(&server->not_understood, 1);
        return length > BODY_MAX_BYTES ? 413 : 400;
    }
    const bool ok = tracker_take(server->tracker, &batch, 1, 1, &outcome, &err);
    track_batch_release(&batch);
    atomic_fetch_add(outcome == TRACK_REPEATED ? &server->repeated : &server->taken, ok && outcome != TRACK_UNKNOWN);
    return !ok ? 503 : outcome == TRACK_UNKNOWN ? 412 : 200;
}

static bool read_request(int fd, char *request, size_t room, const char **body, size_t *body_length)
{
    size_t length = 0;
    size_t wanted = SIZE_MAX;
    while (length < wanted && length < room - 1) {
        const ssize_t got = recv(fd, request + length, room - 1 - length, 0);
        if (got <= 0)
            return false;
        length += (size_t)got;
        request[length] = '\0';
        char *end = strstr(request, "\r\n\r\n");
        const char *size = strstr(request, "Content-Length: ");
        if (wanted == SIZE_MAX && end != NULL && size != NULL && size < end) {
            *body = end + 4;
            *body_length = strtoul(size + strlen("Content-Length: "), NULL, 10);
            wanted = (size_t)(*body - request) + *body_length;
            if (strstr(request, "Expect: 100-continue") != NULL)
                (void)send(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
        }
    }
    return length >= wanted;
}

static void serve(struct server *server, int fd, char *request, size_t room)
{
    const char *body = NULL;
    size_t length = 0;
    char reply[128];
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (!read_request(fd, request, room, &body, &length))
        return;
    pthread_mutex_lock(&server->lock);
    (void)snprintf(server->head, sizeof(server->head), "%.*s", (int)(body - request), request);
    pthread_mutex_unlock(&server->lock);
    atomic_fetch_add(&server->asked, 1);
    if (atomic_load(&server->manner) == KEEPS_SILENT) {
        struct pollfd left = {.fd = fd, .events = POLLIN};
        while (!atomic_load(&server->stopping) && poll(&left, 1, LOOK_EVERY_MS) == 0)
            continue;
        return;
    }
    const int forced = atomic_load(&server->status);
    const int status = forced != 0 ? forced : status_of(server, body, length);
    if (atomic_load(&server->manner) == HANGS_UP)
        return;
    (void)snprintf(reply, sizeof(reply), "HTTP/1.1 %d x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", status);
    (void)send(fd, reply, strlen(reply), MSG_NOSIGNAL);
}

static void *server_main(void *argument)
{
    struct server *server = argument;
    const size_t room = BODY_MAX_BYTES + (1 << 20);
    char *request = malloc(room);
    while (request != NULL && !atomic_load(&server->stopping)) {
        struct pollfd wait = {.fd = server->listener, .events = POLLIN};
        const int fd = poll(&wait, 1, LOOK_EVERY_MS) == 1 ? accept(server->listener, NULL, NULL) : -1;
        if (fd == -1)
            continue;
        serve(server, fd, request, room);
        (void)close(fd);
    }
    free(request);
    return NULL;
}

/* --- life --- */

static struct server server;

static void start_server(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    sigset_t all;
    sigset_t before;
    memcpy(address.sun_path, server.path, strlen(server.path) + 1);
    server.tracker = tracker_new();
    cr_assert_not_null(server.tracker);
    server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(server.listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(server.listener, 16), 0);
    atomic_store(&server.stopping, false);
    sigfillset(&all); /* signals are for the test's own thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    cr_assert_eq(pthread_create(&server.thread, NULL, server_main, &server), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* What it knew is gone with it. */
static void stop_server(void)
{
    atomic_store(&server.stopping, true);
    (void)pthread_join(server.thread, NULL);
    (void)close(server.listener);
    (void)unlink(server.path);
    tracker_free(server.tracker);
    server.tracker = NULL;
}

static void set_up(void)
{
    (void)snprintf(server.folder, sizeof(server.folder), "/tmp/goprofd-client-XXXXXX");
    cr_assert_not_null(mkdtemp(server.folder));
    (void)snprintf(server.path, sizeof(server.path), "%s/socket", server.folder);
    (void)snprintf(server.url, sizeof(server.url), "unix:%s", server.path);
    cr_assert_eq(pthread_mutex_init(&server.lock, NULL), 0);
}

static void tear_down(void)
{
    if (server.tracker != NULL)
        stop_server();
    (void)pthread_mutex_destroy(&server.lock);
    (void)rmdir(server.folder);
}

TestSuite(c_client, .init = set_up, .fini = tear_down);

static struct goprofd_tracker *start_client(void)
{
    const struct goprofd_options options = {.url = server.url, .target = "test", .interval_ms = INTERVAL_MS};
    struct goprofd_tracker *client = goprofd_tracker_new(&options);
    cr_assert_not_null(client);
    return client;
}

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static void wait_for(atomic_uint *count, unsigned least)
{
    for (unsigned waited_ms = 0; atomic_load(count) < least; waited_ms += LOOK_EVERY_MS) {
        cr_assert_lt(waited_ms, PATIENCE_MS, "%u, not %u", atomic_load(count), least);
        pause_ms(LOOK_EVERY_MS);
    }
}

static void wait_until_failed(struct goprofd_tracker *client, unsigned long long least)
{
    for (unsigned waited_ms = 0; goprofd_tracker_failed(client) < least; waited_ms += LOOK_EVERY_MS) {
        cr_assert_lt(waited_ms, PATIENCE_MS);
        pause_ms(LOOK_EVERY_MS);
    }
}

struct known {
    uint64_t instances;
    size_t groups;
    int64_t alloc_objects;
    int64_t alloc_bytes;
    int64_t held_bytes;
    int64_t other_objects;
    size_t longest_text;
};

/* What the server makes of all that it was told, by now. */
static struct known known(void)
{
    struct track_reading reading = {.instances = 0};
    const struct profile *profile = NULL;
    struct error err;
    struct known known = {.instances = 0};
    cr_assert(tracker_read(server.tracker, "test", 2, 1, &reading, &profile, &err), "%s", err.message);
    cr_assert_not_null(profile, "nothing new since the last look");
    known.instances = reading.instances;
    known.groups = profile->entry_count;
    for (size_t i = 0; i < profile->entry_count; i++) {
        const struct profile_entry *entry = &profile->entries[i];
        const size_t type_length = strlen(entry->site->type_name);
        known.alloc_objects += entry->alloc_objects;
        known.alloc_bytes += entry->alloc_bytes;
        known.held_bytes += entry->inuse_bytes;
        if (strcmp(entry->site->type_name, "other") == 0 && strcmp(entry->site->tag, "other") == 0)
            known.other_objects = entry->alloc_objects;
        known.longest_text = type_length > known.longest_text ? type_length : known.longest_text;
    }
    profile_unref(profile);
    cr_assert_eq(atomic_load(&server.not_understood), 0, "%s", server.problem);
    return known;
}

/* --- the server is away, or comes back as another --- */

Test(c_client, loses_nothing_while_the_server_is_away)
{
    struct goprofd_tracker *client = start_client();
    for (int i = 0; i < 100; i++)
        goprofd_track_allocation(client, "tile", "render", 10);
    wait_until_failed(client, 3);
    goprofd_track_free(client, "tile", "render", 10);
    cr_assert_eq(goprofd_tracker_sent(client), 0);
    start_server();
    wait_for(&server.taken, 1);
    goprofd_tracker_free(client);
    const struct known all = known();
    cr_assert_eq(all.alloc_objects, 100);
    cr_assert_eq(all.held_bytes, 990);
}

Test(c_client, tells_a_server_that_was_started_anew_all_there_was)
{
    start_server();
    struct goprofd_tracker *client = start_client();
    goprofd_track_allocation(client, "tile", "render", 1000);
    wait_for(&server.taken, 1);
    stop_server();
    goprofd_track_allocation(client, "tile", "render", 200);
    goprofd_track_allocation(client, "page", "print", 30);
    wait_until_failed(client, 1);
    atomic_store(&server.taken, 0);
    start_server();
    wait_for(&server.taken, 1);
    goprofd_track_free(client, "tile", "render", 1000);
    goprofd_tracker_free(client);
    const struct known all = known();
    cr_assert_eq(all.alloc_bytes, 1230);
    cr_assert_eq(all.held_bytes, 230);
    cr_assert_eq(all.groups, 2);
}

Test(c_client, sends_a_batch_whose_answer_was_lost_again_and_it_counts_once)
{
    start_server();
    atomic_store(&server.manner, HANGS_UP);
    struct goprofd_tracker *client = start_client();
    goprofd_track_allocation(client, "tile", "render", 1000);
    wait_for(&server.repeated, 2);
    goprofd_track_allocation(client, "tile", "render", 10);
    atomic_store(&server.manner, ANSWERS);
    goprofd_tracker_free(client);
    cr_assert_geq(atomic_load(&server.taken), 2);
    const struct known all = known();
    cr_assert_eq(all.alloc_bytes, 1010);
    cr_assert_eq(all.instances, 1);
}

/* --- the server does not want it --- */

Test(c_client, keeps_what_a_busy_server_does_not_take)
{
    static const int statuses[] = {503, 401, 404, 409, 500};
    start_server();
    struct goprofd_tracker *client = start_client();
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        atomic_store(&server.status, statuses[i]);
        goprofd_track_allocation(client, "tile", "render", 1);
        wait_until_failed(client, goprofd_tracker_failed(client) + 2);
    }
    atomic_store(&server.status, 0);
    goprofd_tracker_free(client);
    cr_assert_eq(known().alloc_bytes, 5);
}

/* A batch that is wrong would be wrong again: what comes after it must not wait behind it. */
Test(c_client, drops_what_is_refused_for_good_and_goes_on)
{
    start_server();
    atomic_store(&server.status, 400);
    struct goprofd_tracker *client = start_client();
    goprofd_track_allocation(client, "tile", "render", 1000);
    wait_until_failed(client, 1);
    atomic_store(&server.status, 0);
    goprofd_track_allocation(client, "tile", "render", 7);
    wait_for(&server.taken, 1);
    goprofd_tracker_free(client);
    /* The server does not know the first batch, asks for all there was, and has it after all. */
    cr_assert_eq(known().alloc_bytes, 1007);
}

Test(c_client, ends_though_the_server_keeps_silent)
{
    start_server();
    atomic_store(&server.manner, KEEPS_SILENT);
    struct goprofd_tracker *client = start_client();
    goprofd_track_allocation(client, "tile", "render", 1000);
    wait_for(&server.asked, 1);
    goprofd_tracker_free(client);
    cr_assert_eq(atomic_load(&server.taken), 0);
}

/* --- limits and wrong input --- */

Test(c_client, counts_what_it_has_no_room_for_as_other)
{
    enum { TYPES = 3000 };
    start_server();
    struct goprofd_tracker *client = start_client();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < TYPES; i++) {
            char type[32];
            (void)snprintf(type, sizeof(type), "type-%d", i);
            goprofd_track_allocation(client, type, "tag", 10);
        }
    }
    goprofd_track_allocation(client, "other", "mine", 10);
    goprofd_tracker_free(client);
    const struct known all = known();
    cr_assert_eq(all.groups, 2048);
    cr_assert_eq(all.alloc_objects, 2 * TYPES + 1, "nothing is lost");
    cr_assert_eq(all.other_objects, 2 * (TYPES - 2047) + 1);
}

/* Totals cannot be sent in pieces. */
Test(c_client, makes_no_batch_larger_than_the_server_takes_however_long_the_texts_are)
{
    enum { TYPES = 3000, TEXT_BYTES = 300 };
    char type[TEXT_BYTES + 1];
    char tag[TEXT_BYTES + 1];
    memset(type, 'x', TEXT_BYTES);
    memset(tag, 'y', TEXT_BYTES);
    type[TEXT_BYTES] = tag[TEXT_BYTES] = '\0';
    start_server();
    struct goprofd_tracker *client = start_client();
    for (int i = 0; i < TYPES; i++) {
        char number[8];
        (void)snprintf(number, sizeof(number), "%06d", i);
        memcpy(type, number, 6);
        goprofd_track_allocation(client, type, tag, 10);
    }
    wait_for(&server.taken, 1);
    stop_server();
    goprofd_track_allocation(client, "after", "that", 1);
    wait_until_failed(client, 1);
    atomic_store(&server.taken, 0);
    start_server();
    wait_for(&server.taken, 1);
    goprofd_tracker_free(client);
    const struct known all = known();
    cr_assert_eq(all.alloc_objects, TYPES + 1);
    cr_assert_eq(all.longest_text, 256);
    cr_assert_gt(all.groups, 900);
    cr_assert_gt(all.other_objects, 0);
}

Test(c_client, makes_of_any_text_one_that_the_server_takes)
{
    static const char *const texts[] = {
        "",                 "\n",           "a\x7f" "b",     "\xff\xfe",           "\xc3",
        "\xe2\x82",         "\xc0\x80",     "\xe0\x80\x80",  "\xed\xa0\x80",       "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80", "\xf0\x9f\x92",  "\xe2\x82\xac",       "\xf4\x8f\xbf\xbf",
        "map[string]int",   "*main.T",      "\xed\x9f\xbf",  "caf\xc3\xa9\x01\t",
    };
    enum { COUNT = sizeof(texts) / sizeof(texts[0]) };
    char longest[400];
    start_server();
    struct goprofd_tracker *client = start_client();
    for (size_t i = 0; i < COUNT; i++)
        goprofd_track_allocation(client, texts[i], texts[COUNT - 1 - i], 1);
    /* Cut between two characters, wherever the limit falls in one. */
    for (size_t shift = 0; shift < 4; shift++) {
        memset(longest, 'a', shift);
        for (size_t i = shift; i + 4 < sizeof(longest); i += 4)
            memcpy(longest + i, "\xf0\x9f\x92\xa9", 4);
        longest[shift + (sizeof(longest) - 5 - shift) / 4 * 4] = '\0';
        goprofd_track_allocation(client, longest, "cut", 1);
    }
    goprofd_tracker_free(client);
    cr_assert_eq(known().alloc_objects, COUNT + 4);
}

Test(c_client, numbers_without_measure_stand_still_and_do_not_turn_around)
{
    start_server();
    struct goprofd_tracker *client = start_client();
    for (int i = 0; i < 3; i++)
        goprofd_track_allocation(client, "huge", "a", SIZE_MAX);
    goprofd_track_free(client, "never", "b", 100);
    goprofd_track_allocation(client, "fine", "c", 5);
    goprofd_tracker_free(client);
    const struct known all = known();
    cr_assert_eq(all.alloc_objects, 4);
    cr_assert_geq(all.held_bytes, (int64_t)TRACK_NUMBER_MAX);
    cr_assert_eq(all.groups, 3);
}

Test(c_client, refuses_options_that_make_no_sense)
{
    static const struct goprofd_options wrong[] = {
        {.url = ""},
        {.url = "127.0.0.1:8080"},
        {.url = "ftp://127.0.0.1"},
        {.url = "file:///etc/passwd"},
        {.url = "http://"},
        {.url = "https:///path"},
        {.url = "unix:relative"},
        {.url = "unix:"},
        {.target = ""},
        {.target = "all"},
        {.target = ".hidden"},
        {.target = "a/b"},
        {.target = "a b"},
        {.target = "a\nb"},
        {.target = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789x"},
        {.token = "two\r\nX-Lines: 1"},
        {.token = "two\nlines"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert_null(goprofd_tracker_new(&wrong[i]), "case %zu", i);
    /* And does nothing without a tracker. */
    goprofd_track_allocation(NULL, "a", "b", 1);
    goprofd_track_free(NULL, "a", "b", 1);
    goprofd_tracker_free(NULL);
    cr_assert_eq(goprofd_tracker_sent(NULL) + goprofd_tracker_failed(NULL), 0);
}

Test(c_client, leaves_out_what_has_no_name)
{
    start_server();
    struct goprofd_tracker *client = start_client();
    goprofd_track_allocation(client, NULL, "b", 1);
    goprofd_track_allocation(client, "a", NULL, 1);
    goprofd_track_free(client, NULL, NULL, 1);
    goprofd_track_allocation(client, "a", "b", 1);
    goprofd_tracker_free(client);
    cr_assert_eq(known().alloc_objects, 1);
}

/* --- manners --- */

Test(c_client, sends_its_token_and_goes_through_no_proxy)
{
    cr_assert_eq(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    cr_assert_eq(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
    start_server();
    const struct goprofd_options options = {
        .url = server.url, .target = "test", .token = "s3cr3t-t0ken", .interval_ms = INTERVAL_MS};
    struct goprofd_tracker *client = goprofd_tracker_new(&options);
    cr_assert_not_null(client);
    wait_for(&server.taken, 1);
    goprofd_tracker_free(client);
    cr_assert_not_null(strstr(server.head, "\r\nAuthorization: Bearer s3cr3t-t0ken\r\n"), "%s", server.head);
    cr_assert_not_null(strstr(server.head, "\r\nContent-Type: application/msgpack\r\n"), "%s", server.head);
    cr_assert_eq(strncmp(server.head, "POST /v1/track ", 15), 0, "%s", server.head);
}

/* A program that waits for its signals in one thread must get them there. */
Test(c_client, takes_no_signal_away_from_its_host)
{
    sigset_t usr1;
    siginfo_t info;
    struct goprofd_tracker *client = start_client(); /* before the host blocks it */
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &usr1, NULL), 0);
    for (int i = 0; i < 10; i++) {
        const struct timespec patience = {.tv_sec = PATIENCE_MS / 1000};
        cr_assert_eq(kill(getpid(), SIGUSR1), 0);
        cr_assert_eq(sigtimedwait(&usr1, &info, &patience), SIGUSR1);
    }
    goprofd_tracker_free(client);
}

enum { THREADS = 4, EACH = 2000 };

static void *track_a_lot(void *context)
{
    struct goprofd_tracker *client = context;
    for (int i = 0; i < EACH; i++) {
        goprofd_track_allocation(client, i % 2 == 0 ? "even" : "odd", "threads", 3);
        if (i % 2 == 0)
            goprofd_track_free(client, "even", "threads", 3);
    }
    return NULL;
}

Test(c_client, counts_exactly_for_many_threads_while_it_sends)
{
    pthread_t threads[THREADS];
    start_server();
    struct goprofd_tracker *client = start_client();
    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, track_a_lot, client), 0);
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    goprofd_tracker_free(client);
    const struct known all = known();
    cr_assert_eq(all.alloc_objects, THREADS * EACH);
    cr_assert_eq(all.held_bytes, THREADS * EACH / 2 * 3);
}
