/* smaps_fuzz.c - libFuzzer harness: any bytes as /proc/PID/smaps, whose names are the target's own.
 *
 * Built with -DGOPROFD_FUZZ=ON. */
#include <stdint.h>

#include "core/base/fuzz_case.h"
#include "core/goproc/smaps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smaps smaps;
    struct error err = {0};
    if (!smaps_parse((const char *)data, size, &smaps, &err)) {
        fuzz_case_refused(&err);
        return 0;
    }
    for (size_t i = 0; i < smaps.count; i++)
        if (smaps.areas[i].end < smaps.areas[i].start ||
            (i > 0 && smaps.areas[i].start < smaps.areas[i - 1].end))
            __builtin_trap();
    smaps_release(&smaps);
    return 0;
}
