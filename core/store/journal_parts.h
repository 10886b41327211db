/* journal_parts.h - what the journal consists of; for journal.c (writing) and journal_load.c (the start). */
#ifndef GOPROFD_STORE_JOURNAL_PARTS_H
#define GOPROFD_STORE_JOURNAL_PARTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buffer.h"
#include "core/store/journal.h"

struct board_counters;
struct packer;
struct segment_writer;
struct snapshot;

enum { JOURNAL_BOOT_ID_BYTES = 64 };

struct journal_target {
    char *id;
    uint64_t packed_sequence;  /* of the newest snapshot that was packed */
    uint64_t flushed_sequence; /* of the newest that is on disk */
    uint64_t placed_ns;        /* while loading: monotonic time of the newest that was put on the board */
};

struct journal {
    struct journal_settings settings;
    char *dir;
    int lock_fd; /* of the folder, which is ours alone; -1: it was not there yet */
    char boot_id[JOURNAL_BOOT_ID_BYTES];
    struct board *board;
    struct board_counters *counters;
    struct journal_reader *loaded; /* texts of the snapshots that were loaded live in it; or NULL */
    struct packer *packer;
    struct buffer plain; /* packed, not flushed */
    uint64_t plain_rows;
    const struct snapshot **taken;
    struct journal_target *targets;
    size_t target_count;
    size_t target_room;
    struct segment_writer *segment; /* NULL: made with the next flush */
    uint64_t next_number;
    uint64_t other_bytes; /* of the segments before this one */
    uint64_t opened_ns;
    uint64_t flushed_ns;
    bool failing;
    uint64_t retry_at_ns;
    pthread_mutex_t lock; /* for the two below */
    pthread_cond_t wake;
    bool stopping;
    pthread_t thread;
    bool started;
};

/* The entry of [id], made if it is new; NULL without memory.  Good until the next call. */
struct journal_target *journal_target(struct journal *journal, const char *id);

#endif
