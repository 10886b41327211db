/* journal.h - the history on disk: a thread that writes what is published to segments in history_dir.
 *
 *   board's rings --every look--> packer --> deflate --every flush--> frame: length, crc32, bytes --> segment
 *
 * Takes from the board what is newer than what it took last, so that no beat waits for it; what the ring has dropped
 * meanwhile is counted.  A folder that is full or cannot be written is said once and counted; history goes on in
 * memory, and on disk once it works again.  To read segments: journal_reader.h. */
#ifndef GOPROFD_STORE_JOURNAL_H
#define GOPROFD_STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/store/journal_reader.h"

struct board;
struct journal;

struct journal_settings {
    const char *dir;
    uint64_t max_bytes;        /* of all segments */
    uint64_t max_age_ns;       /* segments older than that go; 0: none */
    uint64_t flush_ns;         /* at most so much is lost to a kill -9 */
    uint64_t segment_bytes;    /* a segment is closed at that size, */
    uint64_t segment_age_ns;   /* or at that age */
};

/* NULL without memory.  Makes the folder if it is not there. */
struct journal *journal_new(const struct journal_settings *settings, struct board *board,
                            struct error *err);
void journal_free(struct journal *journal); /* not running any more; NULL is allowed */

/* Before the first beat: puts what the folder holds on the board.  What cannot be read is logged and counted. */
void journal_load(struct journal *journal);

bool journal_start(struct journal *journal, struct error *err) GOPROFD_MUST_CHECK;
void journal_stop(struct journal *journal); /* writes what is left */

#endif
