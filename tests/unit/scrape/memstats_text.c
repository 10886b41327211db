/* memstats_text.c - the numbers behind /debug/pprof/heap?debug=1. */
#include "core/scrape/memstats_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/base/buffer.h"

/* What a program prints that has done [num_gc] collections, the Nth of which paused for N ns. */
static void print_stats(struct buffer *out, uint64_t num_gc, const char *sys)
{
    buffer_init(out, 1 << 16);
    buffer_printf(out, "heap profile: 1: 2 [3: 4] @ heap/1048576\n\n# runtime.MemStats\n"
                       "# Alloc = 1\n# TotalAlloc = 2\n# Sys = %s\n# Lookups = 0\n# Mallocs = 4\n"
                       "# Frees = 5\n# HeapAlloc = 6\n# HeapSys = 7\n# HeapIdle = 8\n# HeapInuse = 9\n"
                       "# HeapReleased = 10\n# HeapObjects = 11\n# Stack = 12 / 13\n# MSpan = 14 / 15\n"
                       "# MCache = 16 / 17\n# BuckHashSys = 18\n# GCSys = 19\n# OtherSys = 20\n"
                       "# NextGC = 21\n# LastGC = 1700000000999999999\n# PauseNs = [",
                  sys);
    uint64_t pauses[MEMSTATS_PAUSES] = {0};
    for (uint64_t gc = 1; gc <= num_gc; gc++)
        pauses[(gc - 1) % MEMSTATS_PAUSES] = gc;
    for (size_t i = 0; i < MEMSTATS_PAUSES; i++)
        buffer_printf(out, "%s%llu", i == 0 ? "" : " ", (unsigned long long)pauses[i]);
    buffer_printf(out, "]\n# PauseEnd = []\n# NumGC = %llu\n# NumForcedGC = 1\n"
                       "# GCCPUFraction = 2.5e-05\n# DebugGC = false\n# MaxRSS = 99\n",
                  (unsigned long long)num_gc);
    cr_assert_not(out->failed);
}

static struct memstats_text stats_of(uint64_t num_gc)
{
    struct buffer text;
    struct memstats_text stats;
    struct error err;
    print_stats(&text, num_gc, "3");
    cr_assert(memstats_text_parse(text.data, text.length, &stats, &err), "%s", err.message);
    buffer_release(&text);
    return stats;
}

static void assert_refused(const char *text, size_t length, const char *why)
{
    struct memstats_text stats;
    struct error err = {0};
    cr_assert_not(memstats_text_parse(text, length, &stats, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    cr_assert_not_null(strstr(err.message, why), "%s", err.message);
}

Test(memstats_text, reads_every_number_by_its_name)
{
    const struct memstats_text stats = stats_of(3);
    const struct snapshot_values *values = &stats.values;
    cr_assert_eq(values->total_alloc_bytes, 2);
    cr_assert_eq(values->sys_bytes, 3);
    cr_assert_eq(values->mallocs, 4);
    cr_assert_eq(values->frees, 5);
    cr_assert_eq(values->heap_alloc_bytes, 6);
    cr_assert_eq(values->heap_sys_bytes, 7);
    cr_assert_eq(values->heap_idle_bytes, 8);
    cr_assert_eq(values->heap_inuse_bytes, 9);
    cr_assert_eq(values->heap_released_bytes, 10);
    cr_assert_eq(values->heap_objects, 11);
    cr_assert_eq(values->stack_inuse_bytes, 12);
    cr_assert_eq(values->stack_sys_bytes, 13);
    cr_assert_eq(values->mspan_inuse_bytes, 14);
    cr_assert_eq(values->mspan_sys_bytes, 15);
    cr_assert_eq(values->mcache_inuse_bytes, 16);
    cr_assert_eq(values->mcache_sys_bytes, 17);
    cr_assert_eq(values->buck_hash_sys_bytes, 18);
    cr_assert_eq(values->gc_sys_bytes, 19);
    cr_assert_eq(values->other_sys_bytes, 20);
    cr_assert_eq(values->next_gc_bytes, 21);
    cr_assert_eq(values->last_gc_unix, 1700000000);
    cr_assert_eq(values->num_gc, 3);
    cr_assert_eq(values->num_forced_gc, 1);
    cr_assert_eq(values->last_gc_pause_ns, 3);
    cr_assert_float_eq(values->gc_cpu_fraction, 2.5e-05, 1e-12);
}

Test(memstats_text, leaves_out_what_the_text_does_not_tell)
{
    const struct memstats_text stats = stats_of(0);
    cr_assert_not(SNAPSHOT_HAS(&stats.values, goroutines));
    cr_assert_not(SNAPSHOT_HAS(&stats.values, heap_live_bytes));
    cr_assert_not(SNAPSHOT_HAS(&stats.values, gogc_percent));
    cr_assert_not(SNAPSHOT_HAS(&stats.values, gc_pause_total_ns));
    cr_assert_not(SNAPSHOT_HAS(&stats.values, last_gc_pause_ns), "there was no collection yet");
}

Test(memstats_text, believes_the_last_block_only)
{
    /* A function's name may look like a heading: the profile comes first, the statistics last. */
    struct buffer text, all;
    struct memstats_text stats;
    struct error err;
    buffer_init(&all, 1 << 16);
    print_stats(&text, 5, "777");
    buffer_append(&all, text.data, text.length);
    buffer_release(&text);
    print_stats(&text, 6, "3");
    buffer_append(&all, text.data, text.length);
    cr_assert(memstats_text_parse(all.data, all.length, &stats, &err), "%s", err.message);
    cr_assert_eq(stats.values.num_gc, 6);
    cr_assert_eq(stats.values.sys_bytes, 3);
    buffer_release(&text);
    buffer_release(&all);
}

Test(memstats_text, refuses_what_is_cut_off_or_was_never_one)
{
    struct buffer text;
    print_stats(&text, 5, "3");
    assert_refused(text.data, strlen("heap profile: 1: 2"), "no runtime.MemStats");
    assert_refused(text.data, text.length / 2, "incomplete");
    assert_refused("", 0, "no runtime.MemStats");
    assert_refused("<html>", 6, "no runtime.MemStats");
    buffer_release(&text);
}

Test(memstats_text, refuses_numbers_that_are_none)
{
    static const char *const bad[] = {"99999999999999999999999", "-3", "3 / 4", "x", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buffer text;
        print_stats(&text, 5, bad[i]);
        assert_refused(text.data, text.length, "incomplete");
        buffer_release(&text);
    }
}

/* ---- one program or two ---- */

Test(memstats_text, tells_a_program_that_went_on_from_one_that_was_started_anew)
{
    static const uint64_t looks[] = {0, 0, 3, 100, 256, 300, 1000};
    for (size_t i = 1; i < sizeof(looks) / sizeof(looks[0]); i++) {
        const struct memstats_text before = stats_of(looks[i - 1]);
        const struct memstats_text after = stats_of(looks[i]);
        cr_assert(memstats_text_continues(&before, &after), "%zu", i);
        if (looks[i] != looks[i - 1])
            cr_assert_not(memstats_text_continues(&after, &before), "collections are not undone");
    }
    const struct memstats_text before = stats_of(100);
    struct memstats_text after = stats_of(100);
    after.values.total_alloc_bytes--;
    cr_assert_not(memstats_text_continues(&before, &after));

    /* Already further than the one before it: only the pauses are not those. */
    after = stats_of(150);
    after.pause_ns[99]++;
    cr_assert_not(memstats_text_continues(&before, &after));
    after = stats_of(150);
    after.pause_ns[100]++;
    cr_assert(memstats_text_continues(&before, &after), "that one is new");
    after = stats_of(400);
    cr_assert(memstats_text_continues(&before, &after), "nothing is left that both tell of");
}

/* ---- the total of the pauses ---- */

static bool follow(struct pause_total *total, uint64_t num_gc, uint64_t *total_ns)
{
    struct memstats_text stats = stats_of(num_gc);
    pause_total_follow(total, &stats);
    *total_ns = stats.values.gc_pause_total_ns;
    return SNAPSHOT_HAS(&stats.values, gc_pause_total_ns);
}

static uint64_t sum_to(uint64_t count)
{
    return count * (count + 1) / 2;
}

Test(pause_total, is_the_sum_of_all_pauses_as_long_as_none_was_missed)
{
    static const uint64_t looks[] = {0, 3, 3, 200, 256, 500, 756};
    struct pause_total total = {.lost = false};
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        uint64_t total_ns = 0;
        cr_assert(follow(&total, looks[i], &total_ns));
        cr_assert_eq(total_ns, sum_to(looks[i]), "after %llu", (unsigned long long)looks[i]);
    }
}

Test(pause_total, is_unknown_once_a_pause_was_missed)
{
    struct pause_total total = {.lost = false};
    uint64_t total_ns = 0;
    cr_assert_not(follow(&total, 257, &total_ns), "the first of them is overwritten");
    cr_assert_not(follow(&total, 258, &total_ns));
    total = (struct pause_total){.lost = false};
    cr_assert(follow(&total, 10, &total_ns));
    cr_assert_not(follow(&total, 9, &total_ns), "counters do not fall");
}
