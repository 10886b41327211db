/* spool.h - messages that wait to be delivered, oldest first, in memory or in a folder.
 *
 *   DIR/0000000000000001.json   one file a message, written to a temporary name, synced, renamed;
 *   DIR/0000000000000002.json   what a crash left half-written has another name and is removed
 *
 * Bounded: a message that does not fit pushes the oldest out, counted.  A folder that cannot be written
 * (a full disk) costs durability, not messages: those are kept in memory.  One thread. */
#ifndef GOPROFD_EXPORT_SPOOL_H
#define GOPROFD_EXPORT_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct buffer;
struct spool;

enum { SPOOL_MESSAGES_MAX = 65536, SPOOL_MESSAGE_MAX_BYTES = 4 << 20 };

/* [dir]: made if missing, with what an earlier run left in it, oldest first; NULL: in memory.  False
 * without memory or if the folder cannot be used. */
struct spool *spool_open(const char *dir, uint64_t max_bytes, struct error *err);
void spool_close(struct spool *spool); /* what is in memory only is lost; NULL is allowed */

/* Adds a copy of [bytes].  False with the reason if the message is lost, or is kept in memory because it
 * could not be written; *[kept] tells which. */
bool spool_push(struct spool *spool, const void *bytes, size_t length, bool *kept,
                struct error *err) GOPROFD_MUST_CHECK;

/* Replaces the content of [out] by the oldest message and names it in [*number].  False if there is none;
 * one whose file can no longer be read is dropped, counted and logged. */
bool spool_peek(struct spool *spool, struct buffer *out, uint64_t *number);
/* The message [number] is done with; harmless if a newer one has pushed it out meanwhile. */
void spool_pop(struct spool *spool, uint64_t number);

size_t spool_count(const struct spool *spool);
uint64_t spool_bytes(const struct spool *spool);
uint64_t spool_dropped(const struct spool *spool); /* since it was opened */
size_t spool_in_memory(const struct spool *spool); /* messages that a crash would lose */

#endif
