/* latency.c - how long requests took, as a histogram. */
#include "http/latency.h"

const uint64_t latency_bounds_ns[LATENCY_BUCKETS] = {
    50000,   100000,   250000,   500000,    1000000,   2500000,
    5000000, 10000000, 50000000, 250000000, 1000000000, 5000000000,
};

void latency_add(struct latency *latency, uint64_t ns)
{
    size_t bucket = 0;
    while (bucket < LATENCY_BUCKETS && ns > latency_bounds_ns[bucket])
        bucket++;
    atomic_fetch_add_explicit(&latency->counts[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&latency->sum_ns, ns, memory_order_relaxed);
}
