/* board_beat.c - publishing: a page and what goes into the rings with it are built outside the lock, put in place under it,
 * and what they replace is dropped after it.  The publishing thread. */
#include "core/store/board_parts.h"

#include "core/store/archive.h"
#include "core/store/columns.h"
#include "core/store/profile.h"
#include "core/store/profile_history.h"
#include "core/store/ring.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

enum {
    EVICTIONS_PER_TARGET = 4,
    TARGETS_PER_PACKING = 32,
    RUNS_MIN = 4,
};

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

static bool beat_add(struct beat *beat, struct board *board, const struct target_view *view,
                     struct error *err)
{
    if (view->info == NULL)
        return error_set(err, ERROR_USAGE, "a target without an info cannot be published");
    const char *id = view->info->facts.id;
    struct slot *slot = board_find_slot(board, id, beat->count);
    if (slot == NULL) {
        for (size_t i = 0; i < beat->count; i++) {
            if (strcmp(beat->slots[i]->id, id) == 0)
                slot = beat->slots[i];
        }
    }
    if (slot != NULL && slot->seen_sequence == beat->page->sequence)
        return error_set(err, ERROR_USAGE, "two targets have the id '%s'", id);
    if (slot == NULL)
        slot = board_claim_past(board, id);
    if (slot == NULL)
        slot = board_slot_new(id, board->ring_capacity);
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
        if (board_find_slot(board, beat->slots[i]->id, i) == NULL)
            board_slot_free(beat->slots[i]);
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
    beat->page = board_page_new(count);
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
        bytes += board_slot_bytes(board->slots[i]);
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
        bytes -= board_slot_bytes(slot);
        const struct columns *block = archive_drop_oldest(slot->archive, slot->ring);
        if (block != NULL)
            beat->blocks[blocks++] = block;
        else
            beat->evicted[snapshots++] = ring_drop_oldest(slot->ring);
        dropped += block != NULL ? columns_count(block) : 1;
        bytes += board_slot_bytes(slot);
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
        board_release_views(views, count);
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
            board_slot_free(old_slots[i]);
    }
    free(old_slots);
    board_page_unref(old_page);
    return true;
}
