/* json_read_fuzz.c - any bytes as JSON: read or refused with a reason, never more. */
#include "core/base/arena.h"
#include "core/base/json_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(1 << 20, 4096);
    struct config_node node;
    struct error err = {.code = ERROR_NONE};
    if (arena != NULL && !json_read((const char *)data, size, arena, &node, &err) &&
        err.message[0] == '\0')
        __builtin_trap(); /* a failure without a message is a bug too */
    arena_free(arena);
    return 0;
}
