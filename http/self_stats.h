/* self_stats.h - what the kernel says of this very process, for process_* metrics. */
#ifndef GOPROFD_HTTP_SELF_STATS_H
#define GOPROFD_HTTP_SELF_STATS_H

#include <stdint.h>

/* A number that could not be read is UINT64_MAX and not shown. */
struct self_stats {
    uint64_t cpu_ns;
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    uint64_t open_fds;
    uint64_t max_fds;
    uint64_t threads;
    uint64_t start_realtime_ns;
};

#define SELF_STAT_UNKNOWN UINT64_MAX

void self_stats_read(struct self_stats *stats);

#endif
