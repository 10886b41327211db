/* board_parts.h - what the board consists of; for board*.c only.
 *
 *   board.c          pages, life, findings, captures
 *   board_beat.c     publishing
 *   board_history.c  the past of a target
 *   board_slot.c     what is kept of one target, and what was restored of it */
#ifndef GOPROFD_STORE_BOARD_PARTS_H
#define GOPROFD_STORE_BOARD_PARTS_H

#include <pthread.h>

#include "core/store/board.h"

struct archive;
struct profile_history;
struct ring;

enum { CAPTURE_IDS_MAX = 1024 };

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

/* ---- board.c ---- */

struct board_page *board_page_new(size_t count); /* one hold; NULL without memory */
void board_release_views(const struct target_view *views, size_t count);

/* ---- board_slot.c ---- */

struct slot *board_slot_new(const char *id, size_t ring_capacity); /* NULL without memory */
void board_slot_free(struct slot *slot);                           /* NULL is allowed */
/* The slot of [id].  Targets keep their order from beat to beat, so the search starts at [hint]. */
struct slot *board_find_slot(const struct board *board, const char *id, size_t hint);
uint64_t board_slot_bytes(const struct slot *slot);
/* What was restored of [id] becomes its slot; or NULL. */
struct slot *board_claim_past(struct board *board, const char *id);

#endif
