/* procfs_maps_fuzz.c - libFuzzer harness: any bytes as the text of /proc/PID/maps.
 *
 * Built with -DGOPROFD_FUZZ=ON.  Also judges manners: a mapping that ends before it starts, and a failure
 * without a message, are bugs. */
#include <stdint.h>
#include <string.h>

#include "core/base/fuzz_case.h"
#include "core/goproc/procfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct procfs_maps maps = {0};
    struct error err = {0};

    if (!procfs_maps_parse((const char *)data, size, &maps, &err)) {
        fuzz_case_refused(&err);
        return 0;
    }
    for (size_t i = 0; i < maps.count; i++)
        if (maps.mappings[i].end < maps.mappings[i].start || strlen(maps.mappings[i].path) > size)
            __builtin_trap();
    procfs_maps_release(&maps);
    return 0;
}
