/* buildinfo_fuzz.c - libFuzzer harness: any bytes as build information.
 *
 * Built with -DGOPROFD_FUZZ=ON. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/fuzz_case.h"
#include "core/goproc/buildinfo.h"
#include "core/goproc/go_layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char header[32] = "\xff Go buildinf:\x08\x02";
    struct arena *arena = arena_new(1 << 20, 4096);
    char *blob = malloc(sizeof(header) + size);
    struct buildinfo info;
    struct error err = {0};

    if (arena != NULL && blob != NULL) {
        memcpy(blob, header, sizeof(header));
        memcpy(blob + sizeof(header), data, size);
        bool ok = buildinfo_parse(blob, sizeof(header) + size, arena, &info, &err);
        if (!ok || go_layout_find(info.go_version, &err) == NULL)
            fuzz_case_refused(&err);
    }
    free(blob);
    arena_free(arena);
    return 0;
}
