/* samples.h - small sites, profiles and snapshots for the tests of this room. */
#ifndef GOPROFD_TESTS_STORE_SAMPLES_H
#define GOPROFD_TESTS_STORE_SAMPLES_H

#include <stdint.h>

#include "core/store/profile.h"
#include "core/store/site.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

/* A site whose stack is [functions], leaf first, separated by spaces; the first [hidden] frames are
 * those that pprof hides.  NULL without memory. */
const struct site *sample_site(struct site_table *table, const char *functions, size_t hidden,
                               uint64_t object_bytes);

/* Adds an entry with these scaled bytes; objects are bytes / 16. */
void sample_entry(struct profile *profile, const struct site *site, int64_t alloc_bytes,
                  int64_t inuse_bytes);

/* A sealed snapshot at [second]: sequence and both clocks follow from it. */
const struct snapshot *sample_snapshot(uint64_t second);

const struct target_info *sample_info(const char *id, const char *name);

/* xorshift: the same numbers in every run. */
uint64_t sample_random(uint64_t *state);

#endif
