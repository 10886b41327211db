/* connection.c - clients that are slow, rude, idle or gone, and a server that stops meanwhile. */
#include "fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"

static struct fixture fixture;

static void set_up(void)
{
    fixture_init(&fixture);
}

static void tear_down(void)
{
    fixture_release(&fixture);
}

TestSuite(connection, .init = set_up, .fini = tear_down, .timeout = 60);

static void send_text(int fd, const char *text)
{
    const size_t length = strlen(text);
    cr_assert_eq(send(fd, text, length, MSG_NOSIGNAL), (ssize_t)length);
}

static void is_alive(void)
{
    struct answer answer = fixture_get(&fixture, "/health/live");
    cr_assert_eq(answer.status, 200);
    answer_release(&answer);
}

static double seconds_since(uint64_t start_ns)
{
    return (double)(clock_monotonic_ns() - start_ns) / 1e9;
}

/* ---- a second thread that answers when the test says so: a stand-in for the rule engine ---- */

struct late_answer {
    pthread_mutex_t lock;
    pthread_cond_t asked_signal;
    int asked;
    void (*done)(void *context, bool ok, const char *problem);
    void *done_context;
};

static void remember_reload(void *context, void (*done)(void *, bool, const char *),
                            void *done_context)
{
    struct late_answer *late = context;
    pthread_mutex_lock(&late->lock);
    late->asked++;
    late->done = done;
    late->done_context = done_context;
    pthread_cond_signal(&late->asked_signal);
    pthread_mutex_unlock(&late->lock);
}

static void wait_until_asked(struct late_answer *late)
{
    pthread_mutex_lock(&late->lock);
    while (late->asked == 0)
        pthread_cond_wait(&late->asked_signal, &late->lock);
    pthread_mutex_unlock(&late->lock);
}

static void start_with_late_answers(struct late_answer *late)
{
    *late = (struct late_answer){.asked = 0};
    pthread_mutex_init(&late->lock, NULL);
    pthread_cond_init(&late->asked_signal, NULL);
    fixture.wiring.reload_rules = remember_reload;
    fixture.wiring.reload_context = late;
    fixture_start(&fixture);
}

static const char reload_request[] =
    "POST /v1/rules/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";

Test(connection, waits_for_an_answer_from_another_thread)
{
    struct late_answer late;
    char text[4096];
    bool closed;
    start_with_late_answers(&late);
    const int fd = fixture_connect(&fixture);
    send_text(fd, reload_request);
    wait_until_asked(&late);
    is_alive(); /* the loop goes on meanwhile */
    late.done(late.done_context, true, NULL);
    cr_assert(fixture_read_until(fd, text, sizeof(text), "{\"status\":\"ok\"}\n"), "%s", text);
    cr_assert_not_null(strstr(text, "HTTP/1.1 200 OK"), "%s", text);
    fixture_read_all(fd, text, sizeof(text), 100, &closed);
    cr_assert_not(closed, "the connection is kept alive");
    close(fd);
}

Test(connection, passes_on_what_is_wrong_with_a_rule)
{
    struct late_answer late;
    char text[4096];
    start_with_late_answers(&late);
    const int fd = fixture_connect(&fixture);
    send_text(fd, reload_request);
    wait_until_asked(&late);
    late.done(late.done_context, false, "rules/a.lua:3: unexpected symbol near '<eof>'");
    cr_assert(fixture_read_until(fd, text, sizeof(text), "\"}\n"), "%s", text);
    cr_assert_not_null(strstr(text, "HTTP/1.1 422 "), "%s", text);
    cr_assert_not_null(
        strstr(text, "{\"error\":\"rules/a.lua:3: unexpected symbol near '<eof>'\"}"));
    close(fd);
}

Test(connection, survives_an_answer_for_a_client_who_hung_up)
{
    struct late_answer late;
    start_with_late_answers(&late);
    const int fd = fixture_connect(&fixture);
    send_text(fd, reload_request);
    wait_until_asked(&late);
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd); /* with a reset */
    is_alive();
    late.done(late.done_context, true, NULL);
    is_alive();
}

Test(connection, survives_an_answer_that_comes_after_the_server_is_gone)
{
    struct late_answer late;
    char text[4096];
    bool closed;
    start_with_late_answers(&late);
    const int fd = fixture_connect(&fixture);
    send_text(fd, reload_request);
    wait_until_asked(&late);
    const uint64_t start_ns = clock_monotonic_ns();
    server_stop(fixture.server, 200 * CLOCK_NS_PER_MS);
    cr_assert_lt(seconds_since(start_ns), 2.0);
    cr_assert_geq(seconds_since(start_ns), 0.19, "it had its grace");
    fixture_read_all(fd, text, sizeof(text), 1000, &closed);
    cr_assert_not_null(strstr(text, "HTTP/1.1 503 "), "%s", text);
    cr_assert(closed);
    close(fd);
    server_free(fixture.server);
    fixture.server = NULL;
    late.done(late.done_context, true, NULL);
}

static void *stop_server(void *server)
{
    server_stop(server, 10 * CLOCK_NS_PER_S);
    return NULL;
}

Test(connection, lets_a_waiting_request_finish_within_the_grace)
{
    struct late_answer late;
    char text[4096];
    bool closed;
    start_with_late_answers(&late);
    const int fd = fixture_connect(&fixture);
    send_text(fd, reload_request);
    wait_until_asked(&late);
    pthread_t stopper;
    struct timespec pause = {.tv_nsec = 100000000};
    cr_assert_eq(pthread_create(&stopper, NULL, stop_server, fixture.server), 0);
    nanosleep(&pause, NULL);
    late.done(late.done_context, true, NULL);
    fixture_read_all(fd, text, sizeof(text), 3000, &closed);
    cr_assert_not_null(strstr(text, "{\"status\":\"ok\"}"), "%s", text);
    cr_assert_not_null(strstr(text, "Connection: close"), "%s", text);
    cr_assert(closed);
    pthread_join(stopper, NULL);
    close(fd);
}

Test(connection, survives_captures_for_clients_who_hung_up)
{
    fixture.config->http_threads = 2;
    fixture_start(&fixture);
    for (int i = 0; i < 40; i++) {
        const int fd = fixture_connect(&fixture);
        send_text(fd, "POST /v1/capture/heap?target=all HTTP/1.1\r\nHost: x\r\n"
                      "Content-Length: 0\r\n\r\n");
        if (i % 2 == 0)
            shutdown(fd, SHUT_WR);
        close(fd);
    }
    is_alive();
    server_stop(fixture.server, 0); /* with captures still queued */
}

/* ---- stop ---- */

Test(connection, stops_at_once_although_an_idle_client_stays_connected)
{
    char text[4096];
    bool closed;
    fixture_start(&fixture);
    const int fd = fixture_connect(&fixture);
    send_text(fd, "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert(fixture_read_until(fd, text, sizeof(text), "\"ok\""));
    const int silent = fixture_connect(&fixture);
    const uint64_t start_ns = clock_monotonic_ns();
    server_stop(fixture.server, 10 * CLOCK_NS_PER_S);
    cr_assert_lt(seconds_since(start_ns), 1.0);
    fixture_read_all(fd, text, sizeof(text), 1000, &closed);
    cr_assert(closed);
    close(silent);
    close(fd);
}

Test(connection, stops_at_the_end_of_the_grace_although_a_request_never_ends)
{
    fixture_start(&fixture);
    const int fd = fixture_connect(&fixture);
    send_text(fd, "GET /health/live HTTP/1.1\r\nHost: x"); /* and no more */
    is_alive();
    const uint64_t start_ns = clock_monotonic_ns();
    server_stop(fixture.server, 300 * CLOCK_NS_PER_MS);
    cr_assert_lt(seconds_since(start_ns), 2.0);
    cr_assert_geq(seconds_since(start_ns), 0.29);
    close(fd);
}

Test(connection, stops_although_a_client_does_not_read_its_answer)
{
    fixture_start(&fixture);
    const int fd = fixture_connect(&fixture);
    for (int i = 0; i < 2000; i++) {
        static const char get[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        if (send(fd, get, sizeof(get) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
            break;
    }
    is_alive();
    const uint64_t start_ns = clock_monotonic_ns();
    server_stop(fixture.server, 300 * CLOCK_NS_PER_MS);
    cr_assert_lt(seconds_since(start_ns), 3.0);
    close(fd);
}

/* ---- slow and rude clients ---- */

Test(connection, cuts_a_client_that_sends_its_request_byte_by_byte)
{
    char text[1024];
    bool closed;
    fixture.wiring.limits.read_ms = 500;
    fixture_start(&fixture);
    const int fd = fixture_connect(&fixture);
    const uint64_t start_ns = clock_monotonic_ns();
    send_text(fd, "GET / HTTP/1.1\r\n");
    closed = false;
    while (!closed && seconds_since(start_ns) < 10) {
        if (send(fd, "X-A: b\r\n", 8, MSG_NOSIGNAL) == -1)
            break;
        fixture_read_all(fd, text, sizeof(text), 100, &closed);
    }
    cr_assert_lt(seconds_since(start_ns), 5.0);
    close(fd);
    is_alive();
}

Test(connection, cuts_a_client_that_does_not_read)
{
    fixture.wiring.limits.write_ms = 500;
    fixture_start(&fixture);
    const int fd = fixture_connect(&fixture);
    const int small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    const uint64_t start_ns = clock_monotonic_ns();
    bool cut = false;
    while (!cut && seconds_since(start_ns) < 15) {
        static const char get[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        const struct timespec pause = {.tv_nsec = 1000000};
        if (send(fd, get, sizeof(get) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) == -1 &&
            (errno == EPIPE || errno == ECONNRESET))
            cut = true;
        nanosleep(&pause, NULL);
    }
    cr_assert(cut, "still connected after %.1f s", seconds_since(start_ns));
    close(fd);
    is_alive();
}

Test(connection, drops_a_connection_that_idles_too_long)
{
    char text[1024];
    bool closed;
    fixture.wiring.limits.idle_ms = 300;
    fixture_start(&fixture);
    const int fd = fixture_connect(&fixture);
    fixture_read_all(fd, text, sizeof(text), 5000, &closed);
    cr_assert(closed);
    close(fd);
}

Test(connection, lets_new_clients_wait_beyond_the_limit_and_then_in)
{
    char text[1024];
    bool closed;
    fixture.wiring.limits.connections_max = 2;
    fixture_start(&fixture);
    const int first = fixture_connect(&fixture);
    const int second = fixture_connect(&fixture);
    const int third = fixture_connect(&fixture);
    static const char get[] = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    send_text(first, get);
    send_text(second, get);
    send_text(third, get);
    cr_assert(fixture_read_until(first, text, sizeof(text), "\"ok\""));
    cr_assert(fixture_read_until(second, text, sizeof(text), "\"ok\""));
    cr_assert_eq(fixture_read_all(third, text, sizeof(text), 300, &closed), 0);
    close(first);
    cr_assert(fixture_read_until(third, text, sizeof(text), "\"ok\""));
    close(second);
    close(third);
}

Test(connection, answers_bytes_that_are_no_http_with_400)
{
    char text[1024];
    bool closed;
    fixture_start(&fixture);
    static const char *const garbage[] = {
        "\x16\x03\x01\x02\x01\x01\xFC\x03\x03\r\n\r\n",
        "GET\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
        "POST /v1/capture/heap HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        "POST /v1/capture/heap HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST /v1/capture/heap HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        const int fd = fixture_connect(&fixture);
        send_text(fd, garbage[i]);
        fixture_read_all(fd, text, sizeof(text), 1000, &closed);
        cr_assert_eq(strncmp(text, "HTTP/1.1 400", 12), 0, "%zu: %s", i, text);
        cr_assert(closed);
        close(fd);
    }
    is_alive();
}

Test(connection, refuses_headers_without_end)
{
    char text[1024];
    bool closed = false;
    fixture_start(&fixture);
    const int fd = fixture_connect(&fixture);
    send_text(fd, "GET / HTTP/1.1\r\n");
    static const char line[] = "X-Filler: 0123456789012345678901234567890123456789\r\n";
    for (int i = 0; i < 100000; i++) {
        if (send(fd, line, sizeof(line) - 1, MSG_NOSIGNAL) == -1)
            break;
    }
    fixture_read_all(fd, text, sizeof(text), 3000, &closed);
    cr_assert(closed);
    close(fd);
    is_alive();
}

Test(connection, reads_an_absolute_request_target_as_a_proxy_sends_it)
{
    char text[4096];
    bool closed;
    fixture_start(&fixture);
    const int fd = fixture_connect(&fixture);
    send_text(fd, "GET http://goprofd.example:8080/health/live?x=1 HTTP/1.0\r\n\r\n");
    fixture_read_all(fd, text, sizeof(text), 1000, &closed);
    cr_assert_not_null(strstr(text, "{\"status\":\"ok\"}"), "%s", text);
    cr_assert(closed, "HTTP/1.0 closes");
    close(fd);
}

Test(connection, answers_requests_that_come_in_one_packet)
{
    char text[8192];
    bool closed;
    fixture_start(&fixture);
    const int fd = fixture_connect(&fixture);
    send_text(fd, "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    fixture_read_all(fd, text, sizeof(text), 2000, &closed);
    cr_assert_not_null(strstr(text, "\"ok\""));
    cr_assert_not_null(strstr(text, "\"ready\""));
    cr_assert(closed);
    close(fd);
}
