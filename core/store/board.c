/* board.c - one lock, a few pointers: the published view.
 *
 * Everything that is handed over is built before the lock is taken, and what it replaces
 * is dropped after the lock was given back; between the two only pointers move and holds are
 * counted.
 *
 * One thread (the sampler) publishes pages; it alone changes `slots` and may read them without
 * the lock. */
#include "core/store/board.h"

#include <pthread.h>

#include "core/base/clock.h"
#include "core/store/archive.h"
#include "core/store/finding.h"
#include "core/store/problems.h"
#include "core/store/profile.h"
#include "core/store/profile_history.h"
#include "core/store/ring.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

enum {
    CAPTURE_IDS_MAX = 1024,
    EVICTIONS_PER_TARGET = 4,
    TARGETS_PER_PACKING = 32,
    RUNS_MIN = 4,
};

/* What the board keeps for a target from page to page; in the order of the page. */
struct slot {
    char *id;
    struct ring *ring;       /* the newest, as they are */
    struct archive *archive; /* those before, packed */
    struct profile_history *profiles;
    uint64_t seen_sequence; /* of the page being built: found in it */
    struct board_past past;  /* of what was restored; zero: nothing */
};

/* Captures are counted apart: the target may have left the page when its capture is written. */
struct capture_count {
    char *id; /* NULL: free */
    uint64_t count;
    uint64_t used; /* rises with each use; the least recent is given up first */
};

struct board {
    pthread_mutex_t lock;
    size_t ring_capacity;
    uint64_t history_max_bytes;
    const struct board_page *page;
    struct slot **slots;
    size_t slot_count;
    struct slot **past; /* restored, and their targets not found yet; the publishing thread's */
    size_t past_count;
    const struct finding_set *findings;
    const struct rules_report *rules;
    struct capture_count captures[CAPTURE_IDS_MAX];
    uint64_t capture_uses;
    struct board_counters counters;
    struct problems *problems; /* has a lock of its own */
};

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

static struct board_page *page_new(size_t count)
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

static void release_views(const struct target_view *views, size_t count)
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
    release_views(page->targets, page->target_count);
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

static void slot_free(struct slot *slot)
{
    if (slot == NULL)
        return;
    ring_free(slot->ring);
    archive_free(slot->archive);
    profile_history_free(slot->profiles);
    free(slot->id);
    free(slot);
}

struct board *board_new(size_t ring_capacity_snapshots)
{
    struct board *board = calloc(1, sizeof(*board));
    if (board == NULL)
        return NULL;
    board->ring_capacity = ring_capacity_snapshots;
    board->history_max_bytes = UINT64_MAX;
    board->page = page_new(0);
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
        slot_free(board->slots[i]);
    free(board->slots);
    for (size_t i = 0; i < board->past_count; i++)
        slot_free(board->past[i]);
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

/* ---- publishing a beat ---- */

/* The slot of [id].  Targets keep their order from beat to beat, so the search starts at [hint]. */
static struct slot *find_slot(const struct board *board, const char *id, size_t hint)
{
    for (size_t i = 0; i < board->slot_count; i++) {
        struct slot *slot = board->slots[(hint + i) % board->slot_count];
        if (strcmp(slot->id, id) == 0)
            return slot;
    }
    return NULL;
}

static struct slot *slot_new(const char *id, size_t ring_capacity)
{
    struct slot *slot = calloc(1, sizeof(*slot));
    if (slot == NULL)
        return NULL;
    slot->id = strdup(id);
    slot->ring = ring_new(ring_capacity < ARCHIVE_TAIL_MAX ? ring_capacity : ARCHIVE_TAIL_MAX);
    /* A short history fits the ring and is never packed. */
    slot->archive = archive_new(ring_capacity);
    slot->profiles = profile_history_new();
    if (slot->id == NULL || slot->ring == NULL || slot->archive == NULL ||
        slot->profiles == NULL) {
        slot_free(slot);
        return NULL;
    }
    return slot;
}

/* A beat under construction; everything in it was made before the lock is taken. */
struct beat {
    struct board_page *page;
    struct slot **slots;              /* one for each view */
    const struct snapshot **incoming; /* a hold to push, or NULL; afterwards what was pushed out */
    const struct snapshot **evicted;  /* room for EVICTIONS_PER_TARGET of each view */
    struct packed **packed;           /* what moves from the ring to the archive, or NULL */
    const struct columns **blocks;    /* blocks pushed out or evicted: room for as many */
    size_t packed_count;
    struct profile_push **pushes;     /* profiles that are new, or NULL */
    struct profile_run **runs;        /* empty; then profiles that were evicted */
    size_t run_count;
    size_t count;                     /* how far the arrays are filled */
};

static bool is_newer(const struct snapshot *snapshot, const struct snapshot *newest)
{
    if (snapshot == NULL || newest == NULL)
        return snapshot != NULL;
    if (snapshot->sequence != newest->sequence)
        return snapshot->sequence > newest->sequence;
    return snapshot->monotonic_ns > newest->monotonic_ns;
}

static struct slot *find_past(const struct board *board, const char *id)
{
    for (size_t i = 0; i < board->past_count; i++) {
        if (strcmp(board->past[i]->id, id) == 0)
            return board->past[i];
    }
    return NULL;
}

/* What was restored of [id] becomes its slot; or NULL. */
static struct slot *claim_past(struct board *board, const char *id)
{
    struct slot *slot = find_past(board, id);
    for (size_t i = 0; slot != NULL && i < board->past_count; i++) {
        if (board->past[i] == slot) {
            board->past[i] = board->past[--board->past_count];
            break;
        }
    }
    return slot;
}

static bool beat_add(struct beat *beat, struct board *board, const struct target_view *view,
                     struct error *err)
{
    if (view->info == NULL)
        return error_set(err, ERROR_USAGE, "a target without an info cannot be published");
    const char *id = view->info->facts.id;
    struct slot *slot = find_slot(board, id, beat->count);
    if (slot == NULL) {
        for (size_t i = 0; i < beat->count; i++) {
            if (strcmp(beat->slots[i]->id, id) == 0)
                slot = beat->slots[i];
        }
    }
    if (slot != NULL && slot->seen_sequence == beat->page->sequence)
        return error_set(err, ERROR_USAGE, "two targets have the id '%s'", id);
    if (slot == NULL)
        slot = claim_past(board, id);
    if (slot == NULL)
        slot = slot_new(id, board->ring_capacity);
    if (slot == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for the history of '%s'", id);

    slot->seen_sequence = beat->page->sequence;
    beat->slots[beat->count] = slot;
    if (is_newer(view->snapshot, ring_newest(slot->ring))) {
        beat->incoming[beat->count] = snapshot_ref(view->snapshot);
        /* Without memory the ring lets its oldest go instead: history gets shorter, the present
         * stays right. */
        (void)ring_make_room(slot->ring);
        /* A share of the targets in one beat: those that started together fill up together. */
        if (board->ring_capacity > ARCHIVE_TAIL_MAX &&
            beat->packed_count <= beat->page->target_count / TARGETS_PER_PACKING) {
            beat->packed[beat->count] = archive_pack(slot->ring);
            beat->packed_count += beat->packed[beat->count] != NULL;
        }
    }
    beat->pushes[beat->count] = profile_history_prepare(slot->profiles, view->profile);
    beat->count++;
    return true;
}

/* Gives back what an unfinished beat made: its new slots and its holds. */
static void beat_undo(struct beat *beat, const struct board *board)
{
    for (size_t i = 0; i < beat->count; i++) {
        snapshot_unref(beat->incoming[i]);
        archive_packed_free(beat->packed[i]);
        profile_push_free(beat->pushes[i]);
        if (find_slot(board, beat->slots[i]->id, i) == NULL)
            slot_free(beat->slots[i]);
        else
            beat->slots[i]->seen_sequence = 0;
    }
    for (size_t i = 0; i < beat->run_count; i++)
        profile_run_free(beat->runs[i]);
    free(beat->slots);
    free(beat->incoming);
    free(beat->evicted);
    free(beat->packed);
    free(beat->blocks);
    free(beat->pushes);
    free(beat->runs);
    free(beat->page);
}

/* Empty runs, made before the lock: a run has up to PROFILE_HISTORY_RUN profiles, and a beat adds at most one a
 * target, so a few of them always catch up.  Without memory there are fewer, and the next beat goes on. */
static void make_runs(struct beat *beat, size_t count)
{
    const size_t wanted = RUNS_MIN + count / (PROFILE_HISTORY_RUN / 2);
    beat->runs = calloc(wanted, sizeof(struct profile_run *));
    while (beat->runs != NULL && beat->run_count < wanted) {
        struct profile_run *run = profile_run_new();
        if (run == NULL)
            break;
        beat->runs[beat->run_count++] = run;
    }
}

static bool beat_build(struct beat *beat, struct board *board,
                       const struct target_view *views, size_t count, uint64_t realtime_ns,
                       struct error *err)
{
    beat->page = page_new(count);
    beat->slots = calloc(count + 1, sizeof(struct slot *));
    beat->incoming = calloc(count + 1, sizeof(const struct snapshot *));
    beat->evicted = calloc(count * EVICTIONS_PER_TARGET + 1, sizeof(const struct snapshot *));
    beat->packed = calloc(count + 1, sizeof(struct packed *));
    beat->blocks = calloc(count * EVICTIONS_PER_TARGET + 1, sizeof(const struct columns *));
    beat->pushes = calloc(count + 1, sizeof(struct profile_push *));
    make_runs(beat, count);
    if (beat->pushes == NULL || beat->page == NULL || beat->slots == NULL || beat->incoming == NULL ||
        beat->evicted == NULL || beat->packed == NULL || beat->blocks == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for a page of %zu targets", count);
    beat->page->sequence = board->page->sequence + 1;
    beat->page->published_realtime_ns = realtime_ns;
    beat->page->target_count = count;
    for (size_t i = 0; i < count; i++) {
        beat->page->targets[i] = views[i];
        if (!beat_add(beat, board, &views[i], err))
            return false;
    }
    return true;
}

static uint64_t slot_bytes(const struct slot *slot)
{
    return ring_bytes(slot->ring) + archive_bytes(slot->archive);
}

/* Whether the oldest profiles of [slot] are of a time that has no snapshot any more. */
static bool has_stale_profiles(const struct slot *slot)
{
    const struct columns *block = archive_oldest(slot->archive);
    const struct snapshot *first = ring_at(slot->ring, 0);
    if (first == NULL)
        return false;
    const uint64_t oldest_ns =
        block != NULL ? columns_oldest_realtime_ns(block) : first->realtime_ns;
    const uint64_t next_ns = profile_history_second_run_ns(slot->profiles);
    return next_ns != 0 && next_ns < oldest_ns;
}

/* The slot with the oldest profiles that may go, or NULL. */
static struct slot *oldest_profiles(const struct board *board)
{
    struct slot *found = NULL;
    for (size_t i = 0; i < board->slot_count; i++) {
        struct slot *slot = board->slots[i];
        if (profile_history_second_run_ns(slot->profiles) != 0 &&
            (found == NULL || profile_history_oldest_ns(slot->profiles) <
                                  profile_history_oldest_ns(found->profiles)))
            found = slot;
    }
    return found;
}

/* Profiles may take half of the history's bound; returns what they take.  Under the lock. */
static uint64_t evict_profiles(struct board *board, struct beat *beat)
{
    uint64_t bytes = 0;
    size_t used = 0;
    for (size_t i = 0; i < board->slot_count; i++) {
        struct slot *slot = board->slots[i];
        while (used < beat->run_count && has_stale_profiles(slot) &&
               profile_history_drop_oldest(slot->profiles, beat->runs[used]))
            used++;
        bytes += profile_history_bytes(slot->profiles);
    }
    while (bytes > board->history_max_bytes / 2 && used < beat->run_count) {
        struct slot *slot = oldest_profiles(board);
        if (slot == NULL)
            break;
        bytes -= profile_history_bytes(slot->profiles);
        if (profile_history_drop_oldest(slot->profiles, beat->runs[used]))
            used++;
        bytes += profile_history_bytes(slot->profiles);
        atomic_fetch_add_explicit(&board->counters.profiles_dropped, 1, memory_order_relaxed);
    }
    return bytes;
}

static uint64_t slot_oldest_ns(const struct slot *slot)
{
    const struct columns *block = archive_oldest(slot->archive);
    return block != NULL ? columns_oldest_monotonic_ns(block) : ring_at(slot->ring, 0)->monotonic_ns;
}

/* The slot whose oldest snapshot is the oldest of all and not also its newest; or NULL. */
static struct slot *oldest_history(const struct board *board)
{
    struct slot *found = NULL;
    for (size_t i = 0; i < board->slot_count; i++) {
        struct slot *slot = board->slots[i];
        if ((ring_count(slot->ring) > 1 || archive_oldest(slot->archive) != NULL) &&
            (found == NULL || slot_oldest_ns(slot) < slot_oldest_ns(found)))
            found = slot;
    }
    return found;
}

/* Keeps the history within its bound, under the lock.  A beat adds at most one snapshot a target, so
 * dropping up to EVICTIONS_PER_TARGET snapshots or blocks of each for every beat always catches up. */
static void evict(struct board *board, struct beat *beat)
{
    uint64_t bytes = evict_profiles(board, beat);
    for (size_t i = 0; i < board->slot_count; i++)
        bytes += slot_bytes(board->slots[i]);
    size_t dropped = 0;
    size_t snapshots = 0;
    size_t blocks = 0;
    while (beat->blocks[blocks] != NULL) /* behind those that were pushed out */
        blocks++;
    const size_t max = board->slot_count * EVICTIONS_PER_TARGET;
    while (bytes > board->history_max_bytes && blocks + snapshots < max) {
        struct slot *slot = oldest_history(board);
        if (slot == NULL)
            break;
        bytes -= slot_bytes(slot);
        const struct columns *block = archive_drop_oldest(slot->archive, slot->ring);
        if (block != NULL)
            beat->blocks[blocks++] = block;
        else
            beat->evicted[snapshots++] = ring_drop_oldest(slot->ring);
        dropped += block != NULL ? columns_count(block) : 1;
        bytes += slot_bytes(slot);
    }
    atomic_store_explicit(&board->counters.history_bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&board->counters.history_dropped, dropped, memory_order_relaxed);
}

/* Moves the beat's snapshots into the history, under the lock. */
static void beat_push(struct beat *beat, size_t count)
{
    size_t blocks = 0;
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = beat->slots[i];
        if (beat->packed[i] != NULL) {
            const struct columns *out = archive_take(slot->archive, beat->packed[i], slot->ring);
            if (out != NULL)
                beat->blocks[blocks++] = out;
        }
        if (beat->pushes[i] != NULL)
            profile_history_push(slot->profiles, beat->pushes[i]);
        if (beat->incoming[i] != NULL)
            beat->incoming[i] = ring_push(slot->ring, beat->incoming[i]);
    }
}

/* Drops what the beat replaced, after the lock. */
static void beat_release(struct beat *beat, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        snapshot_unref(beat->incoming[i]);
        archive_packed_free(beat->packed[i]);
        profile_push_free(beat->pushes[i]);
    }
    for (size_t i = 0; i < beat->run_count; i++)
        profile_run_free(beat->runs[i]);
    for (size_t i = 0; i < count * EVICTIONS_PER_TARGET; i++) {
        snapshot_unref(beat->evicted[i]);
        columns_unref(beat->blocks[i]);
    }
    free(beat->incoming);
    free(beat->evicted);
    free(beat->packed);
    free(beat->blocks);
    free(beat->pushes);
    free(beat->runs);
}

bool board_publish(struct board *board, const struct target_view *views, size_t count,
                   uint64_t realtime_ns, struct error *err)
{
    struct beat beat = {0};
    if (!beat_build(&beat, board, views, count, realtime_ns, err)) {
        beat_undo(&beat, board);
        release_views(views, count);
        return false;
    }

    pthread_mutex_lock(&board->lock);
    const struct board_page *old_page = board->page;
    struct slot **old_slots = board->slots;
    const size_t old_count = board->slot_count;
    board->page = beat.page;
    board->slots = beat.slots;
    board->slot_count = count;
    beat_push(&beat, count);
    evict(board, &beat);
    pthread_mutex_unlock(&board->lock);

    beat_release(&beat, count);
    for (size_t i = 0; i < old_count; i++) {
        if (old_slots[i]->seen_sequence != beat.page->sequence)
            slot_free(old_slots[i]);
    }
    free(old_slots);
    board_page_unref(old_page);
    return true;
}

/* Appends those of [block] that lie in the time, from the newest back; at most [max] in all. */
static size_t unpack(const struct columns *block, uint64_t since_realtime_ns,
                     uint64_t until_realtime_ns, const struct snapshot **out, size_t count,
                     size_t max)
{
    const struct snapshot *rows[COLUMNS_SNAPSHOTS_MAX];
    if (count == max || !columns_decode(block, rows))
        return count;
    for (size_t i = columns_count(block); i > 0; i--) {
        const struct snapshot *row = rows[i - 1];
        if (count < max && row->realtime_ns >= since_realtime_ns &&
            row->realtime_ns <= until_realtime_ns)
            out[count++] = row;
        else
            snapshot_unref(row);
    }
    return count;
}

size_t board_history(struct board *board, const char *id, uint64_t since_realtime_ns,
                     uint64_t until_realtime_ns, const struct snapshot **out, size_t max,
                     bool *found)
{
    size_t count = 0;
    size_t blocks = 0;
    const struct columns **found_blocks =
        calloc(archive_blocks_max(board->ring_capacity), sizeof(*found_blocks));
    if (max > board->ring_capacity)
        max = board->ring_capacity > 0 ? board->ring_capacity : 1;
    pthread_mutex_lock(&board->lock);
    const struct slot *slot = find_slot(board, id, 0);
    *found = slot != NULL;
    /* From the newest back.  Each is looked at: the system's clock may have been set. */
    for (size_t i = slot != NULL ? ring_count(slot->ring) : 0; i > 0 && count < max; i--) {
        const struct snapshot *snapshot = ring_at(slot->ring, i - 1);
        if (snapshot->realtime_ns >= since_realtime_ns &&
            snapshot->realtime_ns <= until_realtime_ns)
            out[count++] = snapshot_ref(snapshot);
    }
    if (slot != NULL && count < max && found_blocks != NULL)
        blocks = archive_find(slot->archive, since_realtime_ns, until_realtime_ns, found_blocks);
    pthread_mutex_unlock(&board->lock);

    for (size_t i = 0; i < blocks; i++) {
        count = unpack(found_blocks[i], since_realtime_ns, until_realtime_ns, out, count, max);
        columns_unref(found_blocks[i]);
    }
    free(found_blocks);
    for (size_t i = 0; i < count / 2; i++) {
        const struct snapshot *swapped = out[i];
        out[i] = out[count - 1 - i];
        out[count - 1 - i] = swapped;
    }
    return count;
}

/* Keeps those of [out] that are wanted; drops the others. */
static size_t keep_after(const struct snapshot **out, size_t count, uint64_t since_realtime_ns,
                         uint64_t after)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (out[i]->sequence > after && out[i]->realtime_ns >= since_realtime_ns)
            out[kept++] = out[i];
        else
            snapshot_unref(out[i]);
    }
    return kept;
}

size_t board_history_after(struct board *board, const char *id, uint64_t since_realtime_ns,
                           uint64_t after, const struct snapshot **out, size_t max, bool *found)
{
    const struct snapshot *recent[ARCHIVE_TAIL_MAX];
    size_t recent_count = 0;
    size_t blocks = 0;
    size_t count = 0;
    const struct columns **found_blocks =
        calloc(archive_blocks_max(board->ring_capacity), sizeof(*found_blocks));
    *found = false;
    if (found_blocks == NULL || max < ARCHIVE_TAIL_MAX) {
        free(found_blocks);
        return 0;
    }
    pthread_mutex_lock(&board->lock);
    const struct slot *slot = find_slot(board, id, 0);
    *found = slot != NULL;
    for (size_t i = 0; slot != NULL && i < ring_count(slot->ring); i++)
        recent[recent_count++] = snapshot_ref(ring_at(slot->ring, i));
    /* What the ring has is newer than all blocks: those are needed only for what it lacks. */
    if (slot != NULL && (recent_count == 0 || recent[0]->sequence > after + 1))
        blocks = archive_find(slot->archive, since_realtime_ns, UINT64_MAX, found_blocks);
    pthread_mutex_unlock(&board->lock);

    for (size_t i = blocks; i > 0; i--) {
        if (count == 0 && columns_decode(found_blocks[i - 1], out))
            count = keep_after(out, columns_count(found_blocks[i - 1]), since_realtime_ns, after);
        columns_unref(found_blocks[i - 1]);
    }
    free(found_blocks);
    const bool from_ring = count == 0;
    for (size_t i = 0; i < recent_count; i++) {
        if (from_ring)
            out[count++] = recent[i];
        else
            snapshot_unref(recent[i]);
    }
    return from_ring ? keep_after(out, count, since_realtime_ns, after) : count;
}

static const struct profile *past_profile(struct board *board, const char *id,
                                          uint64_t realtime_ns, bool or_oldest, struct error *err)
{
    struct profile_run *run = profile_run_new();
    const struct profile *profile = NULL;
    uint64_t oldest_ns = 0;
    bool known = false;
    bool found = false;
    if (run != NULL) {
        pthread_mutex_lock(&board->lock);
        const struct slot *slot = find_slot(board, id, 0);
        known = slot != NULL;
        found = known && profile_history_find(slot->profiles, realtime_ns, run);
        if (known && !found)
            oldest_ns = profile_history_oldest_ns(slot->profiles);
        if (or_oldest && oldest_ns != 0)
            found = profile_history_find(slot->profiles, oldest_ns, run);
        pthread_mutex_unlock(&board->lock);
    }
    if (found)
        profile = profile_run_build(run);
    if (profile == NULL && (run == NULL || found)) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for a profile of the past");
    } else if (profile == NULL && !known) {
        (void)error_set(err, ERROR_NOT_FOUND, "no target \"%.100s\"", id);
    } else if (profile == NULL) {
        char oldest[CLOCK_RFC3339_BYTES] = "none";
        if (oldest_ns != 0)
            (void)clock_format_rfc3339(oldest_ns, oldest);
        (void)error_set(err, ERROR_NOT_FOUND, "no heap profile of %.100s is so old; the oldest kept: %s",
                        id, oldest);
    }
    profile_run_free(run);
    return profile;
}

const struct profile *board_profile_at(struct board *board, const char *id, uint64_t realtime_ns,
                                       struct error *err)
{
    return past_profile(board, id, realtime_ns, false, err);
}

const struct profile *board_profile_before(struct board *board, const char *id,
                                           uint64_t realtime_ns, struct error *err)
{
    return past_profile(board, id, realtime_ns, true, err);
}

/* ---- what was before this run ---- */

static struct slot *add_past(struct board *board, const char *id)
{
    struct slot **grown = realloc(board->past, (board->past_count + 1) * sizeof(struct slot *));
    if (grown == NULL)
        return NULL;
    board->past = grown;
    struct slot *slot = slot_new(id, board->ring_capacity);
    if (slot != NULL)
        board->past[board->past_count++] = slot;
    return slot;
}

/* Half of the bound is for what comes. */
static void bound_past(struct board *board)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < board->past_count; i++)
        bytes += slot_bytes(board->past[i]);
    while (bytes > board->history_max_bytes / 2) {
        struct slot *oldest = NULL;
        for (size_t i = 0; i < board->past_count; i++) {
            struct slot *slot = board->past[i];
            if (archive_oldest(slot->archive) != NULL &&
                (oldest == NULL || columns_oldest_monotonic_ns(archive_oldest(slot->archive)) <
                                       columns_oldest_monotonic_ns(archive_oldest(oldest->archive))))
                oldest = slot;
        }
        if (oldest == NULL)
            return;
        bytes -= slot_bytes(oldest);
        columns_unref(archive_drop_oldest(oldest->archive, oldest->ring));
        bytes += slot_bytes(oldest);
    }
}

static void push_past(struct board *board, struct slot *slot, const struct snapshot *kept)
{
    (void)ring_make_room(slot->ring);
    if (board->ring_capacity > ARCHIVE_TAIL_MAX) {
        struct packed *packed = archive_pack(slot->ring);
        if (packed != NULL) {
            columns_unref(archive_take(slot->archive, packed, slot->ring));
            archive_packed_free(packed);
            bound_past(board);
        }
    }
    snapshot_unref(ring_push(slot->ring, kept));
}

void board_restore(struct board *board, const struct target_info *info,
                   const struct snapshot *snapshot, const struct snapshot *kept, bool same_boot)
{
    struct slot *slot = find_past(board, info->facts.id);
    if (slot == NULL)
        slot = add_past(board, info->facts.id);
    if (slot == NULL || snapshot->sequence <= slot->past.sequence) {
        snapshot_unref(kept); /* no memory, or out of order: told already */
        return;
    }
    slot->past = (struct board_past){.sequence = snapshot->sequence,
                                     .generation = snapshot->generation,
                                     .pid = same_boot ? info->facts.pid : 0,
                                     .start_ticks = info->facts.start_ticks};
    if (kept != NULL)
        push_past(board, slot, kept);
}

bool board_past(const struct board *board, const char *id, struct board_past *past)
{
    const struct slot *slot = find_past(board, id);
    if (slot != NULL)
        *past = slot->past;
    return slot != NULL;
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
