/* tag_defaults.h - on whose behalf a stack allocates, when no rule of the user says so.
 *
 * First the handler: a frame of a framework that calls handlers (an anchor, one row of the table each) is
 * looked for from the leaf outwards; the tag is what it calls, past other code of frameworks:
 *
 *   main.encode
 *   main.(*shop).checkout            <- taken: the first user's frame inside the innermost anchor
 *   net/http.HandlerFunc.ServeHTTP   <- anchor
 *   main.logged.func1
 *   net/http.HandlerFunc.ServeHTTP   <- anchor
 *   net/http.(*conn).serve           <- entry of the goroutine: taken where there is no anchor
 *
 * else the entry of the goroutine: its outermost function; `main.main`, `init`, `runtime`. */
#ifndef GOPROFD_STORE_TAG_DEFAULTS_H
#define GOPROFD_STORE_TAG_DEFAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame;
struct frame_role;

/* What a function is to the search: anchor and traits, the same for each occurrence of one function and file. */
struct frame_role tag_role_of(const struct frame *frame);

enum anchor_manners {
    CALLS_ONLY_HANDLERS = 1, /* whatever it calls is one; else its helpers are passed by */
    NAMES_THE_ROUTE = 2,     /* its own name is the tag where no user's handler is on the stack */
};

struct tag_anchor {
    const char *framework;
    const char *function; /* glob over the full name */
    unsigned manners;     /* bits of enum anchor_manners */
};
extern const struct tag_anchor tag_anchors[];
extern const size_t tag_anchor_count;

/* What names the tag of [frames], whose roles are known; at least one: the name of a function, which
 * [*is_function] says and which is then to be shortened, or the tag itself, a constant. */
const char *tag_default(const struct frame *const *frames, size_t count, bool *is_function);

#endif
