/* profile.h - the heap profile of one target as of one GC: every site with its counts.
 *
 * Built by the sampler's source, sealed, then shared by reference count.  Counts are scaled
 * exactly as runtime/pprof scales them (src/runtime/pprof/protomem.go, scaleHeapSample). */
#ifndef GOPROFD_STORE_PROFILE_H
#define GOPROFD_STORE_PROFILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/store/retention_figures.h"
#include "core/store/site.h"

struct profile_entry {
    const struct site *site;
    uint64_t allocs; /* sampled allocations, unscaled: how much evidence there is */
    uint64_t frees;
    int64_t alloc_objects; /* these four are scaled */
    int64_t alloc_bytes;
    int64_t inuse_objects;
    int64_t inuse_bytes;
    int64_t block_bytes; /* pprof's numeric label "bytes"; 0: no label */
};

/* Sums over all entries, scaled. */
struct profile_totals {
    int64_t alloc_objects;
    int64_t alloc_bytes;
    int64_t inuse_objects;
    int64_t inuse_bytes;
};

struct profile {
    _Atomic uint32_t refs_;
    struct site_table *sites; /* one hold */
    uint64_t taken_realtime_ns;
    uint64_t start_realtime_ns; /* when the target started; 0 if unknown */
    uint64_t cycle;             /* the runtime's profile cycle that was read */
    int64_t rate;               /* runtime.MemProfileRate, bytes per sample */
    bool scaled;                /* it came so: `allocs` and `frees` of its entries are not known */
    bool largest_only;          /* the entries are but the largest, of recorded history; `totals` are of all */
    bool partial;               /* a cap was reached or consistency was given up */
    const char *partial_reason; /* constant text, or NULL */
    const struct mapping *mappings; /* in [sites] */
    size_t mapping_count;
    struct profile_totals totals;
    const struct retention_history *history; /* one hold; or NULL: see retention.h */
    size_t entry_count;
    size_t entry_capacity;
    struct profile_entry entries[];
};

/* A profile under construction, with room for [capacity] entries; takes its own hold on
 * [sites].  NULL without memory.  The builder fills the members and entries. */
struct profile *profile_begin(struct site_table *sites, size_t capacity);
/* The same, beginning with the entries of [previous] (or NULL), as many as there is room for: [*kept]. */
struct profile *profile_begin_from(struct site_table *sites, size_t capacity,
                                   const struct profile *previous, size_t *kept);

/* One bucket's counters as the runtime keeps them. */
struct profile_raw {
    uint64_t allocs;
    uint64_t frees;
    uint64_t alloc_bytes; /* unused when [size_exact] */
    uint64_t free_bytes;
};

/* Scales [raw] into [entry] (all but `site`), bit for bit as pprof does: see profile_scale.c.
 * [size_exact]: by the rule of Go 1.27 and later (from [object_bytes]) instead of that of
 * 1.26 and earlier (from the byte counters). */
void profile_scale(struct profile_entry *entry, const struct profile_raw *raw,
                   uint64_t object_bytes, int64_t rate, bool size_exact);

/* The same for many: factors are worked out once for each object size, of which there are few. */
enum { PROFILE_FACTORS = 128 };
struct profile_scaler {
    int64_t rate;
    bool size_exact;
    struct {
        double object_bytes; /* 0: none */
        double factor;
    } known_[PROFILE_FACTORS];
};
void profile_scaler_init(struct profile_scaler *scaler, int64_t rate, bool size_exact);
void profile_scaler_scale(struct profile_scaler *scaler, struct profile_entry *entry,
                          const struct profile_raw *raw, uint64_t object_bytes);

/* Computes the totals, adds it to the history of its sites and makes it const: the caller owns one hold. */
const struct profile *profile_seal(struct profile *profile);
/* The same for one that is not new: the history of its sites, which the sampler's thread keeps, is left alone. */
const struct profile *profile_seal_past(struct profile *profile);
void profile_discard(struct profile *profile); /* instead of sealing */

const struct profile *profile_ref(const struct profile *profile);
void profile_unref(const struct profile *profile); /* NULL is allowed */

/* How sites are put together in the top lists. */
enum group_by { GROUP_TYPE_TAG, GROUP_SITE, GROUP_TYPE, GROUP_TAG, GROUP_PACKAGE };
const char *group_by_name(enum group_by by);
bool group_by_parse(const char *text, enum group_by *by); /* "type_tag", "site", ... */

struct top_entry {
    const char *type_name; /* "" where the grouping leaves it out */
    const char *tag;
    const char *package;     /* of the largest site's blamed function */
    const struct site *site; /* the largest of the group, for function, file and line */
    int64_t alloc_objects;
    int64_t alloc_bytes;
    int64_t inuse_objects;
    int64_t inuse_bytes;
    uint64_t site_count;
    struct retention_figures retention; /* of entries of `retentions`; elsewhere all zero */
};

/* The largest groups of a profile: by bytes ever allocated and by bytes in use. */
struct tops {
    _Atomic uint32_t refs_;
    struct site_table *sites; /* one hold: the strings live there */
    size_t allocation_count;
    size_t retention_count;
    struct top_entry *allocations; /* descending by alloc_bytes; zero ones left out */
    struct top_entry *retentions;  /* descending by inuse_bytes; zero ones left out */
};

/* NULL without memory.  [limit]: most entries in each list.  Ties are broken by name, so that
 * equal profiles give equal lists.  Any thread. */
const struct tops *tops_new(const struct profile *profile, enum group_by by, size_t limit);
/* The same of what changed since [before], an earlier profile of the same process (the same site table), or NULL:
 * of what [profile] has ever allocated and holds.  Groups that hold less than before are left out. */
const struct tops *tops_since(const struct profile *profile, const struct profile *before,
                              enum group_by by, size_t limit);
const struct tops *tops_ref(const struct tops *tops);
void tops_unref(const struct tops *tops); /* NULL is allowed */
size_t tops_bytes(const struct tops *tops); /* without the site table */

#endif
