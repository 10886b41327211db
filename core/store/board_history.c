/* board_history.c - the past of a target: snapshots and profiles of any moment, unpacked outside the lock.  Any thread. */
#include "core/store/board_parts.h"

#include "core/base/clock.h"
#include "core/store/archive.h"
#include "core/store/columns.h"
#include "core/store/profile.h"
#include "core/store/profile_history.h"
#include "core/store/ring.h"
#include "core/store/snapshot.h"

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
    const struct slot *slot = board_find_slot(board, id, 0);
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
    const struct slot *slot = board_find_slot(board, id, 0);
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
        const struct slot *slot = board_find_slot(board, id, 0);
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
