/* stack_profile.h - a profile that is read on demand: goroutines, block, mutex, threads.
 *
 * Not part of a snapshot: someone asked for it.  Built by the reader of a process, sealed, then
 * shared by reference count; the functions' texts live in the target's site table, all else in an
 * arena of its own.
 *
 *   entries:     stack + labels -> values       what pprof shows; largest first
 *   goroutines:  id, state, stack, creator      one by one, for debug=2; goroutine profile only */
#ifndef GOPROFD_STORE_STACK_PROFILE_H
#define GOPROFD_STORE_STACK_PROFILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/store/site.h"

/*  identifier     name as in /debug/pprof/NAME */
#define STACK_KINDS(X)                                                                             \
    X(GOROUTINE, "goroutine")                                                                      \
    X(BLOCK, "block")                                                                              \
    X(MUTEX, "mutex")                                                                              \
    X(THREADCREATE, "threadcreate")

enum stack_kind {
#define STACK_KINDS_DECLARE(id, name) STACK_##id,
    STACK_KINDS(STACK_KINDS_DECLARE)
#undef STACK_KINDS_DECLARE
        STACK_KIND_COUNT
};

const char *stack_kind_name(enum stack_kind kind);
bool stack_kind_parse(const char *text, enum stack_kind *kind);
/* Block and mutex profiles: contentions and delay; the others count only. */
bool stack_kind_is_contention(enum stack_kind kind);

enum {
    STACK_VALUES = 2,
    STACK_LABELS_MAX = 64, /* of one goroutine */
    STACK_PROFILE_ENTRIES_MAX = 1 << 20,
    STACK_PROFILE_GOROUTINES_MAX = 1 << 20,
};
#define STACK_PROFILE_MAX_BYTES ((size_t)192 << 20)

/* Where a frame is, beside its struct frame: what texts show. */
struct stack_place {
    uint64_t pc;    /* return address; made up for a call that was inlined */
    uint64_t entry; /* of the physical function; 0: in no Go function */
    bool inlined;
};

struct stack {
    const uint64_t *pcs; /* one for each logical frame, goexit too */
    const struct frame *frames;
    const struct stack_place *places; /* of frames */
    uint32_t pc_count;
    uint32_t frame_count;
    bool cut; /* it is longer than what was read */
    const struct frame *const *each; /* of frames, as encoders take them: set by stack_profile_add_stack() */
};

struct stack_label {
    const char *key;
    const char *value;
};

struct stack_labels {
    uint32_t count;
    struct stack_label list[]; /* by key */
};

struct stack_entry {
    const struct stack *stack;         /* of no pcs for what has none that can be read */
    const struct stack_labels *labels; /* NULL: none */
    int64_t values[STACK_VALUES];      /* count, or contentions and delay_ns */
    int64_t cycles;                    /* the delay in ticks of the CPU's clock */
};

struct goroutine {
    uint64_t id;
    uint64_t parent_id;    /* 0: unknown */
    const char *state;     /* "chan receive", "syscall", "running", ... */
    uint64_t wait_minutes; /* as far as the garbage collector has noticed */
    bool locked_to_thread;
    const struct stack *stack; /* NULL: it ran while it was looked at */
    struct frame creator;      /* of the go statement; function NULL: unknown */
    struct stack_place creator_place;
};

struct stack_profile {
    _Atomic uint32_t refs_;
    struct site_table *sites_;
    struct arena *arena_;
    struct stack_index *stack_index_;
    struct stack_index *entry_index_;
    struct stack_index *label_index_;
    size_t entry_capacity_;
    size_t goroutine_capacity_;

    enum stack_kind kind;
    uint64_t taken_realtime_ns;
    bool has_delay;             /* values[1] is known: the clock's rate could be found */
    uint64_t ticks_per_second;  /* 0: not known */
    int64_t period;             /* mutex: SetMutexProfileFraction; 0: not known */
    uint64_t without_stack;     /* goroutines that ran, or never stood still, while looked at */
    bool partial;               /* a cap was reached */
    const char *partial_reason; /* constant text, or NULL */
    int64_t totals[STACK_VALUES];
    const struct mapping *mappings; /* in the site table */
    size_t mapping_count;
    struct stack_entry *entries;
    size_t entry_count;
    struct goroutine *goroutines;
    size_t goroutine_count;
};

/* A profile under construction; takes its own hold on [sites].  NULL without memory. */
struct stack_profile *stack_profile_begin(enum stack_kind kind, struct site_table *sites);

/* The stack with these pcs if it was added before, else NULL. */
const struct stack *stack_profile_find(const struct stack_profile *profile, const uint64_t *pcs,
                                       size_t pc_count, bool cut);
/* Copies [stack] in.  NULL with ERROR_LIMIT. */
const struct stack *stack_profile_add_stack(struct stack_profile *profile,
                                            const struct stack *stack, struct error *err);
/* Copies at most STACK_LABELS_MAX labels in, sorted by key; equal ones give the same pointer. */
const struct stack_labels *stack_profile_add_labels(struct stack_profile *profile,
                                                    const struct stack_label *labels, size_t count,
                                                    struct error *err);
/* A copy of [text]. */
const char *stack_profile_text(struct stack_profile *profile, const char *text, size_t length);

/* Adds to the entry of [stack] and [labels], or a new one. */
bool stack_profile_count(struct stack_profile *profile, const struct stack *stack,
                         const struct stack_labels *labels, int64_t value,
                         struct error *err) GOPROFD_MUST_CHECK;
/* A new entry in any case: pprof keeps records apart. */
bool stack_profile_add_entry(struct stack_profile *profile, const struct stack_entry *entry,
                             struct error *err) GOPROFD_MUST_CHECK;
bool stack_profile_add_goroutine(struct stack_profile *profile, const struct goroutine *goroutine,
                                 struct error *err) GOPROFD_MUST_CHECK;

/* Sorts, sums up and makes it const: the caller owns one hold. */
const struct stack_profile *stack_profile_seal(struct stack_profile *profile);
void stack_profile_discard(struct stack_profile *profile); /* NULL is allowed */

const struct stack_profile *stack_profile_ref(const struct stack_profile *profile);
void stack_profile_unref(const struct stack_profile *profile); /* NULL is allowed */

#endif
