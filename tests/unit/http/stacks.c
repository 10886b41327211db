/* stacks.c - profiles on demand: asked of another thread, answered in each form, to clients who may
 * be gone. */
#include "fixture.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/store/stack_profile.h"

/* Who is asked for a profile: answers at once, or keeps the request for the test to answer. */
struct reader {
    bool at_once;
    struct error err; /* code other than ERROR_NONE: the answer */
    pthread_mutex_t lock;
    pthread_cond_t asked_signal;
    int asked;
    enum stack_kind kind;
    char target_id[64];
    void (*reply)(void *context, const struct stack_profile *profile, const struct error *err);
    void *reply_context;
};

static struct fixture fixture;
static struct reader reader;

static const struct stack_profile *make_profile(enum stack_kind kind)
{
    struct error err;
    struct site_table *sites = site_table_new();
    struct stack_profile *profile = stack_profile_begin(kind, sites);
    const uint64_t pc = 0x1001;
    const struct frame frame = {"main.wait", "/app/main.go", pc, 5, 4, true, {0}};
    const struct stack_place place = {pc, 0x1000, false};
    const struct stack stack = {&pc, &frame, &place, 1, 1, false, NULL};
    const struct stack *added = stack_profile_add_stack(profile, &stack, &err);
    const struct goroutine goroutine = {.id = 7, .state = "select", .stack = added};
    cr_assert(stack_profile_count(profile, added, NULL, 1, &err));
    cr_assert(stack_profile_add_goroutine(profile, &goroutine, &err));
    site_table_unref(sites);
    return stack_profile_seal(profile);
}

static void answer_now(void)
{
    if (reader.err.code != ERROR_NONE)
        reader.reply(reader.reply_context, NULL, &reader.err);
    else
        reader.reply(reader.reply_context, make_profile(reader.kind), NULL);
}

static void read_stacks(void *context, const char *target_id, enum stack_kind kind,
                        void (*reply)(void *, const struct stack_profile *, const struct error *),
                        void *reply_context)
{
    cr_assert_eq(context, &reader);
    pthread_mutex_lock(&reader.lock);
    reader.kind = kind;
    (void)snprintf(reader.target_id, sizeof(reader.target_id), "%s", target_id);
    reader.reply = reply;
    reader.reply_context = reply_context;
    if (reader.at_once)
        answer_now();
    reader.asked++;
    pthread_cond_signal(&reader.asked_signal);
    pthread_mutex_unlock(&reader.lock);
}

static void set_up(void)
{
    reader = (struct reader){.at_once = true};
    pthread_mutex_init(&reader.lock, NULL);
    pthread_cond_init(&reader.asked_signal, NULL);
    fixture_init(&fixture);
    fixture.wiring.read_stacks = read_stacks;
    fixture.wiring.stacks_context = &reader;
    fixture_start(&fixture);
}

static void tear_down(void)
{
    fixture_release(&fixture);
}

TestSuite(stacks, .init = set_up, .fini = tear_down, .timeout = 60);

static void expect(const char *path, int status, const char *text)
{
    struct answer answer = fixture_get(&fixture, path);
    cr_expect_eq(answer.status, status, "%s: %d %s", path, answer.status, answer.body);
    cr_expect_not_null(strstr(answer.body, text), "%s: %s", path, answer.body);
    answer_release(&answer);
}

Test(stacks, are_asked_of_the_target_and_kind_that_the_path_names)
{
    expect("/debug/pprof/goroutine?target=api&debug=1", 200, "goroutine profile: total 1\n");
    cr_expect_eq(reader.kind, STACK_GOROUTINE);
    cr_expect_str_eq(reader.target_id, "api");
    expect("/debug/pprof/goroutine?debug=2", 200, "goroutine 7 [select]:\nmain.wait(...)\n");
    cr_expect_str_eq(reader.target_id, "demo");
    expect("/debug/pprof/block?debug=1", 200, "--- contention:\n");
    cr_expect_eq(reader.kind, STACK_BLOCK);
    expect("/debug/pprof/mutex?debug=2", 200, "--- mutex:\n");
    expect("/debug/pprof/threadcreate?debug=1", 200, "threadcreate profile: total 1\n");
    expect("/debug/pprof/goroutine?target=nobody", 404, "nobody");
    expect("/debug/pprof/goroutine?debug=x", 400, "parameter debug");
    cr_expect_eq(reader.asked, 5);
}

Test(stacks, are_gzipped_files_without_debug)
{
    struct answer answer = fixture_get(&fixture, "/debug/pprof/goroutine");
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    cr_assert_gt(answer.length, 20);
    cr_expect_eq((unsigned char)answer.body[0], 0x1f);
    cr_expect_eq((unsigned char)answer.body[1], 0x8b);
    cr_expect_not_null(strcasestr(answer.headers, "filename=\"goroutine\""), "%s", answer.headers);
    answer_release(&answer);
}

Test(stacks, that_cannot_be_read_have_a_status_that_says_what_to_do)
{
    static const struct {
        enum error_code code;
        int status;
    } cases[] = {{ERROR_GONE, 503},        {ERROR_DENIED, 503},  {ERROR_BUSY, 503},
                 {ERROR_UNSUPPORTED, 422}, {ERROR_CORRUPT, 500}, {ERROR_NO_MEMORY, 500}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)error_set(&reader.err, cases[i].code, "because of %zu", i);
        char reason[32];
        (void)snprintf(reason, sizeof(reason), "because of %zu", i);
        expect("/debug/pprof/goroutine", cases[i].status, reason);
    }
}

static int ask_and_wait(void)
{
    static const char request[] = "GET /debug/pprof/goroutine?debug=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    const int fd = fixture_connect(&fixture);
    reader.at_once = false;
    cr_assert_eq(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL),
                 (ssize_t)(sizeof(request) - 1));
    pthread_mutex_lock(&reader.lock);
    while (reader.asked == 0)
        pthread_cond_wait(&reader.asked_signal, &reader.lock);
    pthread_mutex_unlock(&reader.lock);
    return fd;
}

Test(stacks, may_come_late)
{
    char text[4096];
    const int fd = ask_and_wait();
    expect("/health/live", 200, "ok"); /* the loop goes on meanwhile */
    answer_now();
    cr_assert(fixture_read_until(fd, text, sizeof(text), "main.wait"), "%s", text);
    close(fd);
}

Test(stacks, for_a_client_who_hung_up_are_let_go)
{
    const int fd = ask_and_wait();
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd); /* with a reset */
    expect("/health/live", 200, "ok");
    answer_now();
    expect("/health/live", 200, "ok");
}

Test(stacks, that_come_after_the_server_is_gone_are_let_go)
{
    const int fd = ask_and_wait();
    server_stop(fixture.server, 50 * CLOCK_NS_PER_MS);
    close(fd);
    server_free(fixture.server);
    fixture.server = NULL;
    answer_now();
}
