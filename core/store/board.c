/* board.c - one lock, a few pointers: the published view.
 *
 * Everything that is handed over is built before the lock is taken, and what it replaces
 * is dropped after the lock was given back; between the two only pointers move and holds are
 * counted.
 *
 * One thread (the sampler) publishes pages; it alone changes `slots` and may read them without
 * the lock.  board_parts.h says what is where. */
#include "core/store/board_parts.h"

#include "core/base/clock.h"
#include "core/store/archive.h"
#include "core/store/finding.h"
#include "core/store/problems.h"
#include "core/store/profile.h"
#include "core/store/profile_history.h"
#include "core/store/ring.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

/* clang-format off */
const struct board_counter_field board_counter_fields[BOARD_COUNTER_COUNT] = {
#define DECLARE_FIELD(member, metric, kind, unit, help)                                            \
    {#member, metric, kind, unit, help, offsetof(struct board_counters, member)},
    BOARD_COUNTERS(DECLARE_FIELD)
#undef DECLARE_FIELD
};
/* clang-format on */

uint64_t board_counter_get(const struct board_counters *counters,
                           const struct board_counter_field *field)
{
    const void *member = (const char *)counters + field->offset;
    return atomic_load_explicit((const _Atomic uint64_t *)member, memory_order_relaxed);
}

/* ---- pages ---- */

struct board_page *board_page_new(size_t count)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, sizeof(struct target_view), &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct board_page), &bytes))
        return NULL;
    struct board_page *page = calloc(1, bytes);
    if (page != NULL)
        atomic_init(&page->refs_, 1);
    return page;
}

void board_release_views(const struct target_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        target_info_unref(views[i].info);
        snapshot_unref(views[i].snapshot);
        profile_unref(views[i].profile);
    }
}

/* The count is the one part of a published page that changes: hence the casts. */
static struct board_page *counted(const struct board_page *page)
{
    return (struct board_page *)(uintptr_t)page;
}

const struct board_page *board_page_ref(const struct board_page *page)
{
    atomic_fetch_add_explicit(&counted(page)->refs_, 1, memory_order_relaxed);
    return page;
}

void board_page_unref(const struct board_page *page)
{
    if (page == NULL ||
        atomic_fetch_sub_explicit(&counted(page)->refs_, 1, memory_order_acq_rel) != 1)
        return;
    board_release_views(page->targets, page->target_count);
    free(counted(page));
}

const struct board_page *board_page(struct board *board)
{
    pthread_mutex_lock(&board->lock);
    const struct board_page *page = board_page_ref(board->page);
    pthread_mutex_unlock(&board->lock);
    return page;
}

const struct target_view *board_page_find(const struct board_page *page, const char *id)
{
    for (size_t i = 0; i < page->target_count; i++) {
        if (strcmp(page->targets[i].info->facts.id, id) == 0)
            return &page->targets[i];
    }
    for (size_t i = 0; i < page->target_count; i++) {
        if (strcmp(page->targets[i].info->facts.name, id) == 0)
            return &page->targets[i];
    }
    return NULL;
}

/* ---- life ---- */

struct board *board_new(size_t ring_capacity_snapshots)
{
    struct board *board = calloc(1, sizeof(*board));
    if (board == NULL)
        return NULL;
    board->ring_capacity = ring_capacity_snapshots;
    board->history_max_bytes = UINT64_MAX;
    board->page = board_page_new(0);
    board->findings = finding_set_new(NULL, 0, 0);
    board->problems = problems_new();
    if (board->page == NULL || board->findings == NULL || board->problems == NULL ||
        pthread_mutex_init(&board->lock, NULL) != 0) {
        board_page_unref(board->page);
        finding_set_unref(board->findings);
        problems_free(board->problems);
        free(board);
        return NULL;
    }
    return board;
}

void board_limit_history(struct board *board, uint64_t max_bytes)
{
    board->history_max_bytes = max_bytes;
}

void board_free(struct board *board)
{
    if (board == NULL)
        return;
    board_page_unref(board->page);
    finding_set_unref(board->findings);
    rules_report_unref(board->rules);
    for (size_t i = 0; i < board->slot_count; i++)
        board_slot_free(board->slots[i]);
    free(board->slots);
    for (size_t i = 0; i < board->past_count; i++)
        board_slot_free(board->past[i]);
    free(board->past);
    for (size_t i = 0; i < CAPTURE_IDS_MAX; i++)
        free(board->captures[i].id);
    problems_free(board->problems);
    pthread_mutex_destroy(&board->lock);
    free(board);
}

struct problems *board_problems(struct board *board)
{
    return board->problems;
}

struct board_counters *board_counters(struct board *board)
{
    return &board->counters;
}

/* ---- findings and rules ---- */

void board_publish_findings(struct board *board, const struct finding_set *set)
{
    if (set == NULL)
        return; /* the rule thread had no memory for it: what was known stays */
    pthread_mutex_lock(&board->lock);
    const struct finding_set *old = board->findings;
    board->findings = set;
    pthread_mutex_unlock(&board->lock);
    finding_set_unref(old);
}

const struct finding_set *board_findings(struct board *board)
{
    pthread_mutex_lock(&board->lock);
    const struct finding_set *set = finding_set_ref(board->findings);
    pthread_mutex_unlock(&board->lock);
    return set;
}

void board_publish_rules(struct board *board, const struct rules_report *report)
{
    pthread_mutex_lock(&board->lock);
    const struct rules_report *old = board->rules;
    board->rules = report;
    pthread_mutex_unlock(&board->lock);
    rules_report_unref(old);
}

const struct rules_report *board_rules(struct board *board)
{
    pthread_mutex_lock(&board->lock);
    const struct rules_report *report = board->rules;
    if (report != NULL)
        rules_report_ref(report);
    pthread_mutex_unlock(&board->lock);
    return report;
}

/* ---- captures ---- */

/* The entry of [id], or NULL. */
static struct capture_count *find_capture(struct board *board, const char *id)
{
    for (size_t i = 0; i < CAPTURE_IDS_MAX; i++) {
        struct capture_count *entry = &board->captures[i];
        if (entry->id != NULL && strcmp(entry->id, id) == 0)
            return entry;
    }
    return NULL;
}

/* A free entry, or the one that was used longest ago. */
static struct capture_count *reusable_capture(struct board *board)
{
    struct capture_count *choice = &board->captures[0];
    for (size_t i = 0; i < CAPTURE_IDS_MAX && choice->id != NULL; i++) {
        struct capture_count *entry = &board->captures[i];
        if (entry->id == NULL || entry->used < choice->used)
            choice = entry;
    }
    return choice;
}

void board_count_capture(struct board *board, const char *id)
{
    char *unused = strdup(id); /* made before the lock; freed after it unless it was needed */

    pthread_mutex_lock(&board->lock);
    struct capture_count *entry = find_capture(board, id);
    if (entry == NULL && unused != NULL) {
        entry = reusable_capture(board);
        char *replaced = entry->id;
        entry->id = unused;
        entry->count = 0;
        unused = replaced;
    }
    if (entry != NULL) {
        entry->count++;
        entry->used = ++board->capture_uses;
    }
    pthread_mutex_unlock(&board->lock);
    free(unused);
}

uint64_t board_capture_count(struct board *board, const char *id)
{
    pthread_mutex_lock(&board->lock);
    const struct capture_count *entry = find_capture(board, id);
    const uint64_t count = entry != NULL ? entry->count : 0;
    pthread_mutex_unlock(&board->lock);
    return count;
}
