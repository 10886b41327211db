/* stack_writer.c - texts of goroutines and contentions, line by line, and the head of the protobuf.
 */
#include "core/pprof/stack_writer.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/store/stack_profile.h"

static struct site_table *sites;

static void open_sites(void)
{
    sites = site_table_new();
    cr_assert_not_null(sites);
}

static void close_sites(void)
{
    site_table_unref(sites);
}

TestSuite(stack_writer, .init = open_sites, .fini = close_sites);

/* runtime.gopark <- main.inner inlined into main.outer */
static const struct stack *add_stack(struct stack_profile *profile, bool cut)
{
    static const uint64_t pcs[] = {0x1011, 0x2021, 0x2016, 0x3001};
    static const struct frame frames[] = {
        {"runtime.gopark", "/go/proc.go", 0x1011, 7, 1, true, {0}},
        {"main.inner[go.shape.int]", "/app/main.go", 0x2021, 20, 19, true, {0}},
        {"main.outer", "/app/main.go", 0x2021, 30, 29, false, {0}},
    };
    static const struct stack_place places[] = {
        {0x1011, 0x1000, false}, {0x2021, 0x2000, true}, {0x2016, 0x2000, false}};
    const struct stack stack = {pcs, frames, places, 4, 3, cut, NULL};
    struct error err;
    return stack_profile_add_stack(profile, &stack, &err);
}

static void expect_text(const struct stack_profile *profile,
                        bool (*write)(const struct stack_profile *, struct buffer *,
                                      struct error *),
                        const char *expected)
{
    struct buffer out;
    struct error err = {0};
    buffer_init(&out, 1 << 20);
    cr_assert(write(profile, &out, &err), "%s", err.message);
    cr_expect_str_eq(buffer_text(&out), expected);
    buffer_release(&out);
    /* Without room it fails and leaves nothing. */
    buffer_init(&out, 8);
    cr_expect_not(write(profile, &out, &err));
    cr_expect_eq(out.length, 0);
    buffer_release(&out);
}

Test(stack_writer, goroutines_as_text_hide_the_runtime_and_show_labels)
{
    struct error err;
    struct stack_profile *building = stack_profile_begin(STACK_GOROUTINE, sites);
    const struct stack_label list[] = {{"route", "/a\"b\n"}, {"id", "7"}};
    const struct stack *stack = add_stack(building, false);
    cr_assert(stack_profile_count(building, stack,
                                  stack_profile_add_labels(building, list, 2, &err), 1, &err));
    cr_assert(stack_profile_count(building, stack,
                                  stack_profile_add_labels(building, list, 2, &err), 1, &err));
    cr_assert(stack_profile_count(building, stack, NULL, 1, &err));
    const struct stack_profile *profile = stack_profile_seal(building);
    expect_text(profile, stack_write_text,
                "goroutine profile: total 3\n"
                "2 @ 0x1011 0x2021 0x2016 0x3001\n"
                "# labels: {\"id\":\"7\", \"route\":\"/a\\\"b\\x0a\"}\n"
                "#\t0x2020\tmain.inner[...]+0x20\t/app/main.go:20\n"
                "#\t0x2015\tmain.outer+0x15\t\t/app/main.go:30\n"
                "\n"
                "1 @ 0x1011 0x2021 0x2016 0x3001\n"
                "#\t0x2020\tmain.inner[...]+0x20\t/app/main.go:20\n"
                "#\t0x2015\tmain.outer+0x15\t\t/app/main.go:30\n"
                "\n");
    stack_profile_unref(profile);
}

Test(stack_writer, goroutines_one_by_one_look_like_a_traceback)
{
    struct error err;
    struct stack_profile *building = stack_profile_begin(STACK_GOROUTINE, sites);
    const struct goroutine parked = {
        .id = 18,
        .parent_id = 1,
        .state = "chan receive",
        .wait_minutes = 5,
        .locked_to_thread = true,
        .stack = add_stack(building, true),
        .creator = {.function = "main.main", .file = "/app/main.go", .line = 9},
        .creator_place = {0x4005, 0x4000, false},
    };
    const struct goroutine running = {.id = 19, .state = "running"};
    cr_assert(stack_profile_add_goroutine(building, &parked, &err));
    cr_assert(stack_profile_add_goroutine(building, &running, &err));
    const struct stack_profile *profile = stack_profile_seal(building);
    expect_text(profile, stack_write_goroutines,
                "goroutine 18 [chan receive, 5 minutes, locked to thread]:\n"
                "main.inner[...](...)\n"
                "\t/app/main.go:20\n"
                "main.outer(...)\n"
                "\t/app/main.go:30 +0x21\n"
                "...additional frames elided...\n"
                "created by main.main in goroutine 1\n"
                "\t/app/main.go:9 +0x5\n"
                "\n"
                "goroutine 19 [running]:\n"
                "\tgoroutine running on other thread; stack unavailable\n");
    stack_profile_unref(profile);
}

Test(stack_writer, contentions_as_text_show_all_frames_largest_delay_first)
{
    struct error err;
    struct stack_profile *building = stack_profile_begin(STACK_MUTEX, sites);
    const struct stack *stack = add_stack(building, false);
    const struct stack_entry small = {.stack = stack, .values = {9, 10}, .cycles = 20};
    const struct stack_entry large = {.stack = stack, .values = {1, 50}, .cycles = 100};
    building->has_delay = true;
    building->ticks_per_second = 2000000000;
    cr_assert(stack_profile_add_entry(building, &small, &err));
    cr_assert(stack_profile_add_entry(building, &large, &err));
    const struct stack_profile *profile = stack_profile_seal(building);
    cr_expect_eq(profile->totals[0], 10);
    expect_text(profile, stack_write_text,
                "--- mutex:\n"
                "cycles/second=2000000000\n"
                "sampling period=1\n"
                "100 1 @ 0x1011 0x2021 0x2016 0x3001\n"
                "#\t0x1010\truntime.gopark+0x10\t/go/proc.go:7\n"
                "#\t0x2020\tmain.inner[...]+0x20\t/app/main.go:20\n"
                "#\t0x2015\tmain.outer+0x15\t\t/app/main.go:30\n"
                "\n"
                "20 9 @ 0x1011 0x2021 0x2016 0x3001\n"
                "#\t0x1010\truntime.gopark+0x10\t/go/proc.go:7\n"
                "#\t0x2020\tmain.inner[...]+0x20\t/app/main.go:20\n"
                "#\t0x2015\tmain.outer+0x15\t\t/app/main.go:30\n"
                "\n");
    stack_profile_unref(profile);
}

static bool holds(const struct buffer *bytes, const char *text)
{
    return memmem(bytes->data, bytes->length, text, strlen(text)) != NULL;
}

Test(stack_writer, without_the_clocks_rate_there_is_no_delay_and_a_comment_says_why)
{
    struct error err;
    struct buffer out;
    for (int known = 0; known < 2; known++) {
        struct stack_profile *building = stack_profile_begin(STACK_BLOCK, sites);
        const struct stack_entry entry = {.stack = add_stack(building, false), .values = {1, 5}};
        building->has_delay = known == 1;
        building->partial = true;
        building->partial_reason = "a cap was reached";
        cr_assert(stack_profile_add_entry(building, &entry, &err));
        const struct stack_profile *profile = stack_profile_seal(building);
        buffer_init(&out, 1 << 20);
        cr_assert(stack_write_proto(profile, &out, &err), "%s", err.message);
        cr_expect(holds(&out, "contentions"));
        cr_expect_eq(holds(&out, "nanoseconds"), known == 1);
        cr_expect_eq(holds(&out, "no delays"), known == 0);
        cr_expect(holds(&out, "a cap was reached"));
        buffer_release(&out);
        stack_profile_unref(profile);
    }
}
