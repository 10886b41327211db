/* board_slot.c - what the board keeps of one target: its ring, its archive, its profiles; and what was restored of it.
 *
 * board_restore() runs before the first beat, the rest on the publishing thread. */
#include "core/store/board_parts.h"

#include "core/store/archive.h"
#include "core/store/columns.h"
#include "core/store/profile_history.h"
#include "core/store/ring.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

void board_slot_free(struct slot *slot)
{
    if (slot == NULL)
        return;
    ring_free(slot->ring);
    archive_free(slot->archive);
    profile_history_free(slot->profiles);
    free(slot->id);
    free(slot);
}

struct slot *board_slot_new(const char *id, size_t ring_capacity)
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
        board_slot_free(slot);
        return NULL;
    }
    return slot;
}

/* The slot of [id].  Targets keep their order from beat to beat, so the search starts at [hint]. */
struct slot *board_find_slot(const struct board *board, const char *id, size_t hint)
{
    for (size_t i = 0; i < board->slot_count; i++) {
        struct slot *slot = board->slots[(hint + i) % board->slot_count];
        if (strcmp(slot->id, id) == 0)
            return slot;
    }
    return NULL;
}

uint64_t board_slot_bytes(const struct slot *slot)
{
    return ring_bytes(slot->ring) + archive_bytes(slot->archive);
}

/* ---- what was before this run ---- */

static struct slot *find_past(const struct board *board, const char *id)
{
    for (size_t i = 0; i < board->past_count; i++) {
        if (strcmp(board->past[i]->id, id) == 0)
            return board->past[i];
    }
    return NULL;
}

/* What was restored of [id] becomes its slot; or NULL. */
struct slot *board_claim_past(struct board *board, const char *id)
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

static struct slot *add_past(struct board *board, const char *id)
{
    struct slot **grown = realloc(board->past, (board->past_count + 1) * sizeof(struct slot *));
    if (grown == NULL)
        return NULL;
    board->past = grown;
    struct slot *slot = board_slot_new(id, board->ring_capacity);
    if (slot != NULL)
        board->past[board->past_count++] = slot;
    return slot;
}

/* Half of the bound is for what comes. */
static void bound_past(struct board *board)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < board->past_count; i++)
        bytes += board_slot_bytes(board->past[i]);
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
        bytes -= board_slot_bytes(oldest);
        columns_unref(archive_drop_oldest(oldest->archive, oldest->ring));
        bytes += board_slot_bytes(oldest);
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
