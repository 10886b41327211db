/* primitive.h - how memory was allocated, told by the runtime frames at the head of a stack.
 *
 * The compiler turns append, string concatenation, map assignment and so on into calls of
 * runtime functions; the outermost of the leading runtime frames that is one of these names
 * the construct in the source. */
#ifndef GOPROFD_STORE_PRIMITIVE_H
#define GOPROFD_STORE_PRIMITIVE_H

#include <stddef.h>
#include <stdint.h>

struct frame;

/* What frame_role.primitive holds: whether a function is one of the runtime's, and which row it is in the table of
 * those that say how memory was allocated. */
enum { PRIMITIVE_NOT_RUNTIME = 0, PRIMITIVE_SILENT = 1, PRIMITIVE_FIRST_ROW = 2 };
uint8_t primitive_of_function(const char *function);

struct primitive {
    const char *name;      /* "runtime.growslice", ...; "" if the stack does not say */
    const char *type_name; /* what it always allocates, or "unknown" */
};

/* [frames] leaf first, with the runtime frames that pprof hides; their roles are known. */
struct primitive primitive_of_stack(const struct frame *const *frames, size_t frame_count);

#endif
