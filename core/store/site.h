/* site.h - allocation sites of one target, each learned once and then immutable.
 *
 * A site is what the Go runtime calls a bucket: one allocation stack with one object size.
 * Its counters change every GC and live in struct profile; what never changes (frames,
 * primitive, type, tag) lives here, in an append-only table that profiles and snapshots
 * share by reference count.
 *
 *   site.runtime_frames: runtime.mallocgc, runtime.growslice   <- hidden in profiles, as pprof does
 *   site.frames:         bytes.growSlice, ..., main.leak, net/http....ServeHTTP, main.main
 *                        leaf first; each a pointer to a frame that many sites may share
 *
 * One thread (the sampler) adds; readers only follow pointers from a sealed profile that the
 * board handed out, which orders the memory.  Nothing moves, nothing is freed before the
 * last hold on the table is dropped. */
#ifndef GOPROFD_STORE_SITE_H
#define GOPROFD_STORE_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

enum {
    SITE_FRAMES_MAX = 4096, /* logical frames of one stack: 1026 stored pcs, with inlining */
};
#define SITE_TABLE_MAX_BYTES ((size_t)256 << 20)

/* What is asked of a function again and again: found out once, by the site table that keeps the frame. */
struct frame_role {
    uint8_t anchor;    /* row of tag_anchors[] + 1; 0: it calls no handlers */
    uint8_t primitive; /* what it says of an allocation that it makes: primitive.h */
    uint8_t traits;    /* bits of enum frame_trait */
};
enum frame_trait {
    FRAME_IS_STANDARD = 1,  /* of the standard library */
    FRAME_IS_FRAMEWORK = 2, /* between anchor and handler: routers, middleware, wrappers */
    FRAME_IS_HANDLER = 4,   /* the user's own http.Handler */
    FRAME_IS_WRAPPER = 8,   /* the compiler's, around the next inner frame */
};

/* One logical frame; an inlined call is a frame of its own. */
struct frame {
    const char *function; /* full Go name, as in the binary's function table */
    const char *file;     /* as compiled in; "" if unknown */
    uint64_t address;     /* return pc of the pprof Location this frame belongs to */
    uint32_t line;
    uint32_t start_line;  /* of the function; 0 if the Go version does not record it */
    bool starts_location; /* innermost frame of its Location; the following frames with
                           * false are the callers it was inlined into */
    struct frame_role role; /* filled in by the site table */
};

struct site {
    uint32_t id; /* 1, 2, ... in order of discovery, unique within the table */
    uint32_t frame_count;
    uint32_t runtime_frame_count;
    const struct frame *const *frames; /* what pprof shows, leaf first; never empty */
    const struct frame *const *runtime_frames; /* leading runtime frames that pprof hides */
    uint64_t object_bytes;              /* size of one object, rounded to its size class */
    const char *primitive; /* how: "runtime.growslice", ...; "" if the stack does not say */
    const char *type_name; /* allocated Go type, or "unknown" */
    const char *tag;       /* on whose behalf: route, handler, job; see tag_book.h */
    uint64_t first_seen_realtime_ns; /* when goprofd met it; 0 if nobody told the time */
    const struct frame *blame; /* innermost frame outside the runtime and standard library; the
                                * innermost visible one if all are inside */
    const char *package;       /* of blame's function: "net/http"; "" if it has none */
};

/* A file mapping of the target, for the pprof Mapping messages. */
struct mapping {
    uint64_t start;
    uint64_t limit;
    uint64_t offset;
    const char *file;
    const char *build_id; /* hex of the GNU build id, or "" */
};

struct profile;
struct retention_history;
struct site_table;
struct site_tagger;

struct site_table *site_table_new(void); /* one hold; NULL without memory */
struct site_table *site_table_ref(struct site_table *table);
void site_table_unref(struct site_table *table);

/* Who says the tags of sites that are added from now on; borrowed.  Without it they get their defaults. */
void site_table_use_tagger(struct site_table *table, const struct site_tagger *tagger);

/* Before each read: sites that are added now were first seen at [realtime_ns], and profiles that are sealed
 * keep the live bytes of all sites over [window_ns] before them (retention.h). */
void site_table_begin_read(struct site_table *table, uint64_t realtime_ns, uint64_t window_ns);

/* For profile_seal(): the history up to [profile], one hold; NULL where none is kept. */
const struct retention_history *site_table_history(struct site_table *table,
                                                   const struct profile *profile);

/* A copy of [text] that lives as long as the table; equal texts give the same pointer.
 * NULL when the table's cap is reached. */
const char *site_table_string(struct site_table *table, const char *text, size_t length);

/* A copy of [frame] that lives as long as the table, for site_facts.kept: thousands of stacks go through the
 * same few frames.  Its strings must come from site_table_string().  NULL when the table's cap is reached. */
const struct frame *site_table_frame(struct site_table *table, const struct frame *frame);

/* What a source knows of a site; the rest of struct site follows from it.  [frames] are leaf first and
 * include the leading runtime frames, of which the first [hidden_count] are those pprof hides; their
 * strings must come from site_table_string().  They are copied, or, if [kept] is set instead, shared. */
struct site_facts {
    const struct frame *frames;
    const struct frame *const *kept; /* each from site_table_frame(); the array is copied */
    size_t frame_count;
    size_t hidden_count;
    uint64_t object_bytes;
    const char *type_name; /* copied (with [kept]: a string of the table); NULL: what the primitive always
                            * allocates, or "unknown" */
};

/* Adds a site.  Returns NULL with ERROR_LIMIT when the table is full.
 *
 * Up to Go 1.25 the runtime leaves the function that called mallocgc out of the stack, so that
 * growslice, makeslice, newobject, convT, slicebytetostring and makechan never show (1.26 and later
 * keep it).  A source that reads it off the call instruction before the leaf's return address may put
 * it in front as one more hidden frame, with address 0: `primitive` follows from it. */
const struct site *site_table_add(struct site_table *table, const struct site_facts *facts,
                                  struct error *err);

/* Adds a site that was recorded: [past] as it is, with copies of its frames and texts, but without runtime_frames and
 * with an id of this table.  `blame` is one of its frames.  NULL with ERROR_LIMIT when the table is full. */
const struct site *site_table_add_past(struct site_table *table, const struct site *past,
                                       struct error *err);

/* Copies [mappings] (and their strings) into the table; the result lives as long as it. */
const struct mapping *site_table_copy_mappings(struct site_table *table,
                                               const struct mapping *mappings, size_t count,
                                               struct error *err);

/* As of now, by any thread: sites are added meanwhile. */
size_t site_table_count(const struct site_table *table);
size_t site_table_bytes(const struct site_table *table);

/* Length of the package path in a full Go function name: "net/http" of
 * "net/http.(*Server).Serve", "github.com/a/b.v2" of "github.com/a/b%2ev2.F" is left escaped. */
size_t go_package_length(const char *function);

/* Whether [function] belongs to Go's standard library (including runtime and assembly functions
 * without a package).  Decided by the import path alone: a program whose own module is called
 * like a standard package ("log") cannot be told apart. */
bool go_function_is_standard(const char *function);

#endif
