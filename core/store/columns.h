/* columns.h - a run of snapshots of one target, packed: how the history stays small.
 *
 *   ring's oldest snapshots --columns_new--> columns (immutable, shared) --columns_decode--> snapshots
 *
 * Each field is a column of differences (or of differences of differences, whichever is shorter) as
 * zigzag varints with runs of zeros; numbers with fractions are XORed with the one before.  Top lists
 * are differences against the list before.  What is decoded equals what was packed, bit for bit.  Sites
 * and strings stay in their site tables, on which the block has a hold.  Any thread once made. */
#ifndef GOPROFD_STORE_COLUMNS_H
#define GOPROFD_STORE_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct columns;
struct site_table;
struct snapshot;

enum { COLUMNS_SNAPSHOTS_MAX = 64 };

/* Packs [count] snapshots, oldest first, at most COLUMNS_SNAPSHOTS_MAX; the caller keeps its holds.  NULL
 * without memory. */
const struct columns *columns_new(const struct snapshot *const *snapshots, size_t count);
const struct columns *columns_ref(const struct columns *columns);
void columns_unref(const struct columns *columns); /* NULL is allowed */

/* Unpacks all of them, oldest first, one hold each; [out] has room for columns_count().  False without
 * memory: then nothing is in [out]. */
bool columns_decode(const struct columns *columns, const struct snapshot **out);

size_t columns_count(const struct columns *columns);
size_t columns_bytes(const struct columns *columns); /* without the site tables */
uint64_t columns_oldest_monotonic_ns(const struct columns *columns);
uint64_t columns_oldest_realtime_ns(const struct columns *columns); /* the smallest */

/* Whether any of its snapshots may lie between the two: the system's clock may have been set. */
bool columns_overlap(const struct columns *columns, uint64_t since_realtime_ns,
                     uint64_t until_realtime_ns);

/* The site tables it holds, each once; [*count] gets how many. */
struct site_table *const *columns_site_tables(const struct columns *columns, size_t *count);

#endif
