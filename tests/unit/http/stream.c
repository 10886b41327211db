/* stream.c - those who follow: everything in order, from where they were, and never at others' cost. */
#include "fixture.h"

#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "http/stream_hub.h"

static struct fixture fixture;

static void set_up(void)
{
    fixture_init(&fixture);
}

static void tear_down(void)
{
    fixture_release(&fixture);
}

TestSuite(stream, .init = set_up, .fini = tear_down, .timeout = 60);

/* The next beat: what the page had, with a newer snapshot of its first target. */
static void publish_beat(uint64_t sequence)
{
    const struct board_page *page = board_page(fixture.board);
    struct target_view views[8];
    struct error err = {.message = ""};
    cr_assert_leq(page->target_count, 8);
    for (size_t i = 0; i < page->target_count; i++) {
        const struct target_view *old = &page->targets[i];
        views[i] = (struct target_view){
            .info = target_info_ref(old->info),
            .snapshot = old->snapshot == NULL ? NULL : snapshot_ref(old->snapshot),
            .profile = old->profile == NULL ? NULL : profile_ref(old->profile)};
    }
    snapshot_unref(views[0].snapshot);
    struct snapshot *building =
        snapshot_begin(FIXTURE_TIME_NS + sequence * CLOCK_NS_PER_S, sequence * CLOCK_NS_PER_S);
    building->sequence = sequence;
    building->generation = 1;
    SNAPSHOT_SET(&building->values, num_gc, sequence);
    views[0].snapshot = snapshot_seal(building);
    cr_assert(board_publish(fixture.board, views, page->target_count, building->realtime_ns, &err),
              "%s", err.message);
    board_page_unref(page);
}

static int follow(const char *path, const char *header)
{
    char request[256];
    char text[4096];
    const int fd = fixture_connect(&fixture);
    (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, header);
    cr_assert_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    cr_assert(fixture_read_until(fd, text, sizeof(text), "retry: 2000\n\n"), "%s", text);
    cr_assert_not_null(strstr(text, "content-type: text/event-stream"), "%s", text);
    return fd;
}

static uint64_t dropped(void)
{
    return atomic_load(&board_counters(fixture.board)->streams_dropped);
}

Test(stream, tells_each_snapshot_and_finding_once_in_order)
{
    char text[65536];
    fixture_start(&fixture);
    const int fd = follow("/v1/stream", "");
    publish_beat(1001);
    cr_assert(fixture_read_until(fd, text, sizeof(text), "\"num_gc\":1001"), "%s", text);
    cr_assert_not_null(strstr(text, "event: snapshot\ndata: {"), "%s", text);
    cr_assert_null(strstr(text, "event: alert"), "%s", text);
    fixture_findings(fixture.board);
    cr_assert(fixture_read_until(fd, text, sizeof(text), "event: suggestion"), "%s", text);
    publish_beat(1002);
    cr_assert(fixture_read_until(fd, text, sizeof(text), "\"num_gc\":1002"), "%s", text);
    cr_assert_null(strstr(text, "\"num_gc\":1001"), "%s", text);
    close(fd);
}

Test(stream, tells_only_what_is_asked_for)
{
    char text[65536];
    fixture_start(&fixture);
    const int fd = follow("/v1/stream?events=alert", "");
    publish_beat(1001);
    fixture_findings(fixture.board);
    cr_assert(fixture_read_until(fd, text, sizeof(text), "event: alert\n"), "%s", text);
    cr_assert_null(strstr(text, "event: snapshot"), "%s", text);
    close(fd);
    const int other = follow("/v1/stream?target=api&events=snapshot", "");
    publish_beat(1002); /* of demo */
    bool closed = false;
    const size_t length = fixture_read_all(other, text, sizeof(text), 500, &closed);
    cr_assert_eq(length, 0);
    cr_assert_not(closed);
    close(other);
    struct answer answer = fixture_get(&fixture, "/v1/stream?events=beats");
    cr_assert_eq(answer.status, 400);
    cr_assert_not_null(strstr(answer.body, "parameter events"));
    answer_release(&answer);
    answer = fixture_get(&fixture, "/v1/stream?target=nobody");
    cr_assert_eq(answer.status, 404);
    answer_release(&answer);
}

/* The value of the last "id: " in [text]. */
static void last_id(const char *text, char id[64])
{
    const char *at = NULL;
    for (const char *next = strstr(text, "id: "); next != NULL; next = strstr(next + 1, "id: "))
        at = next + 4;
    cr_assert_not_null(at, "%s", text);
    (void)snprintf(id, 64, "%.*s", (int)strcspn(at, "\n"), at);
}

Test(stream, goes_on_where_a_client_was)
{
    char text[65536];
    char id[64];
    char header[128];
    fixture_start(&fixture);
    const int keeps_on = follow("/v1/stream", ""); /* somebody looks meanwhile */
    const int fd = follow("/v1/stream", "");
    publish_beat(1001);
    cr_assert(fixture_read_until(fd, text, sizeof(text), "\"num_gc\":1001"));
    last_id(text, id);
    close(fd);
    publish_beat(1002);
    cr_assert(fixture_read_until(keeps_on, text, sizeof(text), "\"num_gc\":1002"));
    publish_beat(1003);
    (void)snprintf(header, sizeof(header), "Last-Event-ID: %s\r\n", id);
    char request[256];
    const int again = fixture_connect(&fixture);
    (void)snprintf(request, sizeof(request), "GET /v1/stream HTTP/1.1\r\nHost: x\r\n%s\r\n", header);
    cr_assert_eq(send(again, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    cr_assert(fixture_read_until(again, text, sizeof(text), "\"num_gc\":1003"), "%s", text);
    cr_assert_not_null(strstr(text, "\"num_gc\":1002"), "%s", text);
    cr_assert_null(strstr(text, "event: lost"), "%s", text);
    close(again);
    close(keeps_on);
}

Test(stream, says_when_what_came_between_is_not_known)
{
    char text[4096];
    fixture_start(&fixture);
    const int fd = fixture_connect(&fixture);
    static const char request[] =
        "GET /v1/stream HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 1234-99\r\n\r\n";
    cr_assert_eq(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), (ssize_t)sizeof(request) - 1);
    cr_assert(fixture_read_until(fd, text, sizeof(text), "event: lost\n"), "%s", text);
    close(fd);
}

Test(stream, ends_at_once_when_the_server_stops)
{
    char text[4096];
    bool closed = false;
    fixture_start(&fixture);
    const int fd = follow("/v1/stream", "");
    const uint64_t begun_ns = clock_monotonic_ns();
    server_stop(fixture.server, 30 * CLOCK_NS_PER_S);
    cr_assert_lt(clock_monotonic_ns() - begun_ns, 20 * CLOCK_NS_PER_S);
    (void)fixture_read_all(fd, text, sizeof(text), 1000, &closed);
    cr_assert(closed);
    close(fd);
}

/* One alert, the [number]th, that takes [bytes] to tell. */
static void publish_alert(unsigned number, size_t bytes)
{
    char id[32];
    char *message = malloc(bytes + 1);
    memset(message, 'x', bytes);
    message[bytes] = '\0';
    (void)snprintf(id, sizeof(id), "demo/large/%u", number);
    const struct finding alert = {.kind = FINDING_ALERT,
                                  .state = FINDING_FIRING,
                                  .id = id,
                                  .rule = "large",
                                  .target = "demo",
                                  .message = message,
                                  .since_realtime_ns = number};
    board_publish_findings(fixture.board, finding_set_new(&alert, 1, 100 + number));
    free(message);
}

/* A client that reads nothing, while more is told than kernel and ring together keep for it. */
Test(stream, drops_who_does_not_keep_up_and_nobody_else)
{
    enum { ALERTS_MAX = 200, ALERT_BYTES = 512 << 10 };
    static char text[1 << 20];
    fixture_start(&fixture);
    const int lazy = follow("/v1/stream?events=alert", "");
    const int eager = follow("/v1/stream?events=snapshot", "");
    unsigned told = 0;
    for (; told < ALERTS_MAX && told * ALERT_BYTES < 4 * STREAM_BYTES_MAX; told++) {
        publish_alert(told + 1, ALERT_BYTES);
        publish_beat(2000 + told);
        char beat[32];
        (void)snprintf(beat, sizeof(beat), "\"num_gc\":%u", 2000 + told);
        cr_assert(fixture_read_until(eager, text, sizeof(text), beat), "%s", text);
    }
    for (int i = 0; i < 100 && dropped() == 0; i++) {
        /* It takes a little now, and is told that it has lost something. */
        bool closed = false;
        (void)fixture_read_all(lazy, text, sizeof(text), 100, &closed);
    }
    cr_assert_eq(dropped(), 1);
    close(lazy);
    close(eager);
}

/* ---- the ring by itself ---- */

Test(stream_hub, forgets_what_it_had_after_a_pause_in_which_nobody_looked)
{
    fixture_init(&fixture);
    struct stream_hub *hub = stream_hub_new(fixture.board, 0xABC);
    bool lost = false;
    stream_hub_look(hub, 1000);
    publish_beat(1001);
    stream_hub_look(hub, 1100);
    cr_assert_eq(stream_hub_newest(hub), 1);
    struct stream_event *event = stream_hub_next(hub, 0, &lost);
    cr_assert_not_null(event);
    cr_assert_eq(strncmp(event->text, "id: abc-1\nevent: snapshot\n", 26), 0);
    uint64_t number = 0;
    cr_assert(stream_hub_resume(hub, "abc-1", 5, &number));
    cr_assert_eq(number, 1);
    cr_assert_not(stream_hub_resume(hub, "abc-2", 5, &number), "that is still to come");
    cr_assert_not(stream_hub_resume(hub, "abd-1", 5, &number));
    cr_assert_not(stream_hub_resume(hub, "abc-1x", 6, &number));
    cr_assert_not(stream_hub_resume(hub, "", 0, &number));
    publish_beat(1002);
    stream_hub_look(hub, 60000);
    cr_assert_not(stream_hub_resume(hub, "abc-1", 5, &number), "what came in the pause is unknown");
    cr_assert_null(stream_hub_next(hub, 1, &lost));
    cr_assert(lost);
    cr_assert_not_null(event->text, "what was handed out stays");
    stream_event_unref(event);
    stream_hub_free(hub);
    fixture_release(&fixture);
}
