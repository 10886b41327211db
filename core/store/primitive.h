/* primitive.h - how memory was allocated, told by the runtime frames at the head of a stack.
 *
 * The compiler turns append, string concatenation, map assignment and so on into calls of
 * runtime functions; the outermost of the leading runtime frames that is one of these names
 * the construct in the source. */
#ifndef GOPROFD_STORE_PRIMITIVE_H
#define GOPROFD_STORE_PRIMITIVE_H

#include <stddef.h>

struct frame;

struct primitive {
    const char *name;      /* "runtime.growslice", ...; "" if the stack does not say */
    const char *type_name; /* what it always allocates, or "unknown" */
};

/* [frames] leaf first, with the runtime frames that pprof hides. */
struct primitive primitive_of_stack(const struct frame *frames, size_t frame_count);

#endif
