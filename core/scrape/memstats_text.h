/* memstats_text.h - runtime.MemStats as /debug/pprof/heap?debug=1 prints them below the profile.
 *
 *   # runtime.MemStats
 *   # Alloc = 5345712
 *   # Stack = 622592 / 622592              in use / from the system
 *   # PauseNs = [37625 0 0 ...]            of the last 256 collections, by number modulo 256
 *
 * src/runtime/pprof/pprof.go, writeHeapInternal, the same from Go 1.19 to 1.27.  PauseTotalNs is not in it: see
 * struct pause_total. */
#ifndef GOPROFD_SCRAPE_MEMSTATS_TEXT_H
#define GOPROFD_SCRAPE_MEMSTATS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/store/fields.h"

enum { MEMSTATS_PAUSES = 256 };

struct memstats_text {
    struct snapshot_values values;
    uint64_t pause_ns[MEMSTATS_PAUSES];
    size_t pause_count; /* MEMSTATS_PAUSES, or 0: not told */
};

/* Reads the block at the end of [text].  ERROR_CORRUPT if there is none, or it lacks what every Go version
 * prints: then it is somebody else's text. */
bool memstats_text_parse(const char *text, size_t length, struct memstats_text *stats,
                         struct error *err) GOPROFD_MUST_CHECK;

/* Whether [after] can be a later word of the program that said [before]: counters never fall, and the pauses
 * that both tell of are the same ones. */
bool memstats_text_continues(const struct memstats_text *before,
                             const struct memstats_text *after);

/* The sum of all pauses, as far as it can be followed: from a look within the first 256 collections on, while
 * never more than 256 pass between two looks.  Zero at the start of a program. */
struct pause_total {
    bool lost; /* too many passed once: unknown until the program starts again */
    uint64_t num_gc;
    uint64_t total_ns;
};
/* Adds the collections since the last look and sets gc_pause_total_ns of [stats] if it is known. */
void pause_total_follow(struct pause_total *total, struct memstats_text *stats);

#endif
