/* board_threads.c - a publisher and many readers at once; for ThreadSanitizer's eyes as well. */
#include <criterion/criterion.h>
#include <pthread.h>

#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "tests/unit/store/samples.h"

enum {
    BEATS = 1500,        /* published at least */
    BEATS_MAX = 1000000, /* and at most, should the readers not get on */
    READS = 300,         /* rounds of all readers together, at least */
    RING_CAPACITY = 300, /* enough that older ones are packed */
    TARGETS = 3,
    READERS = 3,
};

struct shared {
    struct board *board;
    _Atomic bool done;
    _Atomic uint64_t problems;
    _Atomic uint64_t reads;
};

static void expect(struct shared *shared, bool condition)
{
    if (!condition)
        atomic_fetch_add(&shared->problems, 1);
}

/* Publishes three targets; the third comes and goes. */
static void *run_publisher(void *argument)
{
    struct shared *shared = argument;
    static const char *const ids[TARGETS] = {"a", "b", "guest"};
    for (uint64_t beat = 1;
         beat <= BEATS || (atomic_load(&shared->reads) < READS && beat <= BEATS_MAX); beat++) {
        struct site_table *table = site_table_new();
        struct target_view views[TARGETS] = {0};
        const size_t count = beat / 10 % 2 == 0 ? TARGETS : TARGETS - 1;
        for (size_t i = 0; i < count; i++) {
            struct profile *profile = profile_begin(table, 1);
            sample_entry(profile, sample_site(table, "main.leak", 0, 16), 16, 16);
            views[i] = (struct target_view){
                .info = sample_info(ids[i], "app"),
                .snapshot = sample_snapshot(beat),
                .profile = profile_seal(profile),
            };
        }
        site_table_unref(table);
        struct error err;
        expect(shared, board_publish(shared->board, views, count, beat, &err));
        atomic_fetch_add_explicit(&board_counters(shared->board)->sampler_beats, 1,
                                  memory_order_relaxed);
    }
    atomic_store(&shared->done, true);
    return NULL;
}

static void *run_rules(void *argument)
{
    struct shared *shared = argument;
    for (uint64_t sequence = 1; !atomic_load(&shared->done); sequence++) {
        const struct finding finding = {.id = "x", .message = "text"};
        board_publish_findings(shared->board, finding_set_new(&finding, 1, sequence));
        const struct rules_report report = {.generation = sequence};
        board_publish_rules(shared->board, rules_report_new(&report));
        board_count_capture(shared->board, sequence % 2 == 0 ? "a" : "b");
    }
    return NULL;
}

static void read_history(struct shared *shared, const char *id)
{
    const struct snapshot *history[RING_CAPACITY + 1];
    bool found = false;
    const size_t count =
        board_history(shared->board, id, 0, UINT64_MAX, history, RING_CAPACITY + 1, &found);
    expect(shared, count <= RING_CAPACITY);
    for (size_t i = 0; i < count; i++) {
        expect(shared, i == 0 || history[i]->sequence == history[i - 1]->sequence + 1);
        expect(shared, history[i]->values.heap_alloc_bytes == history[i]->sequence * 1000);
    }
    for (size_t i = 0; i < count; i++)
        snapshot_unref(history[i]);
}

static void *run_reader(void *argument)
{
    struct shared *shared = argument;
    uint64_t last_page = 0;
    uint64_t last_findings = 0;
    while (!atomic_load(&shared->done)) {
        const struct board_page *page = board_page(shared->board);
        expect(shared, page->sequence >= last_page);
        last_page = page->sequence;
        for (size_t i = 0; i < page->target_count; i++) {
            const struct profile *profile = page->targets[i].profile;
            expect(shared, strcmp(profile->entries[0].site->tag, "main.leak") == 0);
            const struct tops *tops = tops_new(profile, GROUP_TAG, 5);
            expect(shared, tops->allocation_count == 1);
            tops_unref(tops);
        }
        board_page_unref(page);
        read_history(shared, "a");
        read_history(shared, "guest");
        const struct finding_set *set = board_findings(shared->board);
        expect(shared, set->sequence >= last_findings);
        last_findings = set->sequence;
        finding_set_unref(set);
        rules_report_unref(board_rules(shared->board));
        (void)board_capture_count(shared->board, "b");
        for (size_t i = 0; i < BOARD_COUNTER_COUNT; i++)
            (void)board_counter_get(board_counters(shared->board), &board_counter_fields[i]);
        atomic_fetch_add_explicit(&shared->reads, 1, memory_order_relaxed);
    }
    return NULL;
}

Test(board_threads, see_whole_pages_and_unbroken_histories_while_others_publish)
{
    struct shared shared = {.board = board_new(RING_CAPACITY)};
    pthread_t publisher, rules, readers[READERS];
    pthread_create(&publisher, NULL, run_publisher, &shared);
    pthread_create(&rules, NULL, run_rules, &shared);
    for (size_t i = 0; i < READERS; i++)
        pthread_create(&readers[i], NULL, run_reader, &shared);
    pthread_join(publisher, NULL);
    pthread_join(rules, NULL);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    cr_assert_eq(shared.problems, 0);
    cr_assert_geq(shared.reads, READS);
    cr_assert_geq(atomic_load(&board_counters(shared.board)->sampler_beats), BEATS);
    board_free(shared.board);
}
