/* primitive.c - from runtime frames to the language construct that allocates.
 *
 * Called by site_table_add for each new site and frame, on the sampler thread.  Names are those of
 * src/runtime (malloc.go, slice.go, string.go, map*.go, iface.go, chan.go, proc.go, panic.go)
 * and, since Go 1.24, src/internal/runtime/maps. */
#include "core/store/primitive.h"

#include <stdbool.h>

#include "core/store/site.h"

static const char UNKNOWN[] = "unknown";

/* A pattern that ends in '*' matches every longer name.  The first match counts.  `name` NULL:
 * the function itself.  What is not listed (runtime.mallocgc, ...) says nothing. */
static const struct {
    const char *pattern;
    const char *name;
    const char *type_name;
} patterns[] = {
    {"runtime.newobject", NULL, UNKNOWN},
    {"runtime.mallocgcSmall*", "runtime.newobject", UNKNOWN}, /* specialised by size, 1.26 */
    {"runtime.mallocgcTiny*", "runtime.newobject", UNKNOWN},
    {"runtime.mallocgc", NULL, UNKNOWN},
    {"internal/bytealg.MakeNoZero", NULL, "[]uint8"}, /* the runtime's, under a pushed name */
    {"runtime.newarray", NULL, UNKNOWN},
    {"runtime.moveSlice*", "runtime.moveSlice", UNKNOWN},
    {"runtime.makeslicecopy", NULL, UNKNOWN},
    {"runtime.makeslice*", "runtime.makeslice", UNKNOWN},
    {"runtime.growslice*", "runtime.growslice", UNKNOWN},
    {"runtime.concatstring*", "runtime.concatstrings", "string"},
    {"runtime.concatbyte*", "runtime.concatbytes", "[]uint8"},
    {"runtime.slicebytetostring", NULL, "string"},
    {"runtime.slicerunetostring", NULL, "string"},
    {"runtime.intstring", NULL, "string"},
    {"runtime.rawstring*", "runtime.rawstring", "string"},
    {"runtime.stringtoslicebyte", NULL, "[]uint8"},
    {"runtime.rawbyteslice", NULL, "[]uint8"},
    {"runtime.stringtoslicerune", NULL, "[]int32"},
    {"runtime.rawruneslice", NULL, "[]int32"},
    {"runtime.convTstring", NULL, "string"},
    {"runtime.convT*", NULL, UNKNOWN},
    {"runtime.makemap*", "runtime.makemap", UNKNOWN},
    {"internal/runtime/maps.NewMap*", "runtime.makemap", UNKNOWN},
    {"internal/runtime/maps.NewEmptyMap*", "runtime.makemap", UNKNOWN},
    {"runtime.mapassign*", "runtime.mapassign", UNKNOWN},
    {"runtime.hashGrow", "runtime.mapassign", UNKNOWN},
    {"runtime.growWork*", "runtime.mapassign", UNKNOWN},
    {"runtime.evacuate*", "runtime.mapassign", UNKNOWN},
    {"runtime.makeBucketArray", "runtime.mapassign", UNKNOWN},
    {"runtime.(*hmap).*", "runtime.mapassign", UNKNOWN},
    {"internal/runtime/maps.*", "runtime.mapassign", UNKNOWN},
    {"runtime.makechan*", "runtime.makechan", UNKNOWN},
    {"runtime.newproc*", "runtime.newproc", "goroutine"},
    {"runtime.malg*", "runtime.newproc", "goroutine"},
    {"runtime.deferproc*", "runtime.deferproc", UNKNOWN},
    {"runtime.newdefer*", "runtime.deferproc", UNKNOWN},
};

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool matches(const char *pattern, const char *function)
{
    const size_t length = strlen(pattern);
    if (pattern[length - 1] == '*')
        return strncmp(pattern, function, length - 1) == 0;
    return strcmp(pattern, function) == 0;
}

_Static_assert(sizeof(patterns) / sizeof(patterns[0]) + PRIMITIVE_FIRST_ROW <= UINT8_MAX,
               "a role keeps the row");

uint8_t primitive_of_function(const char *function)
{
    if (!has_prefix(function, "runtime.") && !has_prefix(function, "internal/runtime/") &&
        strcmp(function, "internal/bytealg.MakeNoZero") != 0)
        return PRIMITIVE_NOT_RUNTIME;
    for (size_t k = 0; k < sizeof(patterns) / sizeof(patterns[0]); k++) {
        if (matches(patterns[k].pattern, function))
            return (uint8_t)(PRIMITIVE_FIRST_ROW + k);
    }
    return PRIMITIVE_SILENT;
}

struct primitive primitive_of_stack(const struct frame *const *frames, size_t frame_count)
{
    struct primitive found = {.name = "", .type_name = UNKNOWN};
    for (size_t i = 0; i < frame_count; i++) {
        const uint8_t primitive = frames[i]->role.primitive;
        if (primitive == PRIMITIVE_NOT_RUNTIME)
            break;
        if (primitive < PRIMITIVE_FIRST_ROW)
            continue;
        const size_t row = primitive - PRIMITIVE_FIRST_ROW;
        found.name = patterns[row].name != NULL ? patterns[row].name : frames[i]->function;
        found.type_name = patterns[row].type_name;
    }
    return found;
}
