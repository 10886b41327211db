/* latency.h - how long requests took, as a histogram.
 *
 * One for the whole server; any loop adds, any loop reads.  Relaxed atomics: a scrape may see a request
 * in a bucket before it is in the sum, never the reverse of what a later scrape shows. */
#ifndef GOPROFD_HTTP_LATENCY_H
#define GOPROFD_HTTP_LATENCY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { LATENCY_BUCKETS = 12 };

struct latency {
    _Atomic uint64_t counts[LATENCY_BUCKETS + 1]; /* not cumulative; the last is beyond all bounds */
    _Atomic uint64_t sum_ns;
};

/* Upper bounds, rising, in ns; each includes itself. */
extern const uint64_t latency_bounds_ns[LATENCY_BUCKETS];

void latency_add(struct latency *latency, uint64_t ns);

#endif
