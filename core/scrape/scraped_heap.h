/* scraped_heap.h - heap profiles that a program wrote of itself, as the ones goprofd reads.
 *
 *   parsed_profile --stack by stack--> sites (new ones are added) --> struct profile
 *
 * The counts came scaled, so how many samples they stand for is not known.  Types neither: what a primitive always
 * allocates is said, all else is "unknown".  One thread: the sampler's, as for all site tables. */
#ifndef GOPROFD_SCRAPE_SCRAPED_HEAP_H
#define GOPROFD_SCRAPE_SCRAPED_HEAP_H

#include <stdint.h>

#include "core/base/error.h"

struct parsed_profile;
struct profile;
struct scraped_heap;
struct site_tagger;

struct scraped_heap *scraped_heap_new(const struct site_tagger *tagger); /* NULL without memory */
void scraped_heap_free(struct scraped_heap *heap);                       /* NULL is allowed */

/* Makes the profile of [parsed], which was taken at [realtime_ns] by our clock; retention is kept over
 * [window_ns].  The caller owns one hold.  NULL with ERROR_CORRUPT if it is no heap profile, ERROR_NO_MEMORY. */
const struct profile *scraped_heap_read(struct scraped_heap *heap,
                                        const struct parsed_profile *parsed, uint64_t realtime_ns,
                                        uint64_t window_ns, struct error *err);

#endif
