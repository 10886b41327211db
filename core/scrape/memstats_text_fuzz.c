/* memstats_text_fuzz.c - libFuzzer harness: any bytes as the text of /debug/pprof/heap?debug=1.
 *
 * Built with -DGOPROFD_FUZZ=ON. */
#include "core/base/fuzz_case.h"
#include "core/scrape/memstats_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memstats_text stats;
    struct pause_total total = {.lost = false};
    struct error err = {0};
    if (!memstats_text_parse((const char *)data, size, &stats, &err)) {
        fuzz_case_refused(&err);
        return 0;
    }
    if (!SNAPSHOT_HAS(&stats.values, num_gc) ||
        (stats.pause_count != 0 && stats.pause_count != MEMSTATS_PAUSES))
        __builtin_trap();
    pause_total_follow(&total, &stats);
    if (SNAPSHOT_HAS(&stats.values, gc_pause_total_ns) == total.lost)
        __builtin_trap();
    return 0;
}
