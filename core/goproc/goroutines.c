/* goroutines.c - all goroutines and their stacks, batch by batch.
 *
 * A batch is read with a few system calls:
 *
 *   g structs of all | stacks of those that stand still, twice, then all g structs again
 *
 * What differs between two looks has moved in between and is tried again, alone. */
#include "core/goproc/goroutines.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/goroutine_record.h"
#include "core/goproc/goroutine_view.h"
#include "core/goproc/labels.h"
#include "core/goproc/memory.h"
#include "core/goproc/profile_depth.h"
#include "core/goproc/stack_walk.h"
#include "core/goproc/symbols.h"
#include "core/store/stack_profile.h"

enum {
    BATCH = 128,
    G_MAX_BYTES = 512,
    WINDOW_BYTES = 4 << 10,     /* of a stack, in a batch: most need no more */
    LONG_STACK_BYTES = 1 << 20, /* of a stack that does */
    ATTEMPTS = 3,
};

/* One goroutine of a batch. */
struct candidate {
    uint64_t address;
    struct goroutine_view view;
    size_t window_bytes; /* of its stack; 0: it has none that stands still */
};

struct goroutines {
    struct stack_source from;
    struct goroutines_limits limits;
    struct stack_profile *profile;
    uint64_t table;       /* allgptr */
    uint64_t count;       /* allglen */
    uint64_t next;        /* first that was not looked at */
    uint64_t bytes_begin; /* read_bytes of the memory at the start */
    uint64_t busy_ns;
    struct goroutine_record record;
    struct candidate batch[BATCH];
    unsigned char g_before[BATCH * G_MAX_BYTES];
    unsigned char g_after[BATCH * G_MAX_BYTES];
    unsigned char stacks[BATCH * WINDOW_BYTES];
    unsigned char stacks_again[BATCH * WINDOW_BYTES];
    unsigned char *long_stack; /* 2 x LONG_STACK_BYTES, once it is needed */
    struct labels labels;
    size_t pcs_wanted; /* of each stack, for the list of them: at least the default depth */
    uint64_t pcs[PROFILE_DEPTH_MAX];
};

/* Beginning and end. */

struct goroutines *goroutines_begin(const struct stack_source *source,
                                    const struct goroutines_limits *limits,
                                    uint64_t taken_realtime_ns, struct error *err)
{
    const uint64_t *address = source->symbols->address;
    uint64_t count = 0, table = 0;

    if (address[SYMBOL_ALLGPTR] == 0 || address[SYMBOL_ALLGLEN] == 0 ||
        source->layout->g_bytes > G_MAX_BYTES) {
        error_set(err, ERROR_UNSUPPORTED,
                  "goroutines: nothing in the program tells where runtime.allgptr is");
        return NULL;
    }
    /* In this order: the table only grows, so it holds at least as many as were counted before. */
    if (!memory_read(source->memory, address[SYMBOL_ALLGLEN], &count, 8, err) ||
        !memory_read(source->memory, address[SYMBOL_ALLGPTR], &table, 8, err)) {
        error_wrap(err, "goroutines");
        return NULL;
    }
    struct goroutines *goroutines = calloc(1, sizeof(*goroutines));
    struct stack_profile *profile = stack_profile_begin(STACK_GOROUTINE, source->sites);
    if (goroutines == NULL || profile == NULL) {
        stack_profile_discard(profile);
        free(goroutines);
        error_set(err, ERROR_NO_MEMORY, "goroutines: no memory");
        return NULL;
    }
    profile->taken_realtime_ns = taken_realtime_ns;
    profile->mappings = source->mappings;
    profile->mapping_count = source->mapping_count;
    goroutines->from = *source;
    goroutines->limits = *limits;
    goroutines->pcs_wanted =
        source->profile_depth > PROFILE_DEPTH_DEFAULT ? source->profile_depth : PROFILE_DEPTH_DEFAULT;
    goroutines->profile = profile;
    goroutines->table = table;
    goroutines->count = count;
    goroutines->bytes_begin = source->memory->read_bytes;
    goroutine_record_begin(&goroutines->record, source, profile);
    return goroutines;
}

void goroutines_free(struct goroutines *goroutines)
{
    if (goroutines == NULL)
        return;
    stack_profile_discard(goroutines->profile);
    free(goroutines->long_stack);
    free(goroutines);
}

static void set_partial(struct goroutines *goroutines, const char *reason)
{
    goroutines->profile->partial = true;
    if (goroutines->profile->partial_reason == NULL)
        goroutines->profile->partial_reason = reason;
}

/* A finalizer goroutine has called a finalizer when something on its stack is not the runtime's. */
static bool runs_user_code(const struct goroutines *goroutines, size_t pc_count)
{
    for (size_t i = 0; i < pc_count; i++) {
        const char *name;
        uint64_t entry;
        if (stack_walk_function(goroutines->from.functions, goroutines->pcs[i] - 1, &name,
                                &entry) &&
            strncmp(name, "runtime.", 8) != 0 && strncmp(name, "internal/runtime/", 17) != 0)
            return true;
    }
    return false;
}

/* Reading. */

static bool read_g(struct goroutines *goroutines, uint64_t address, struct goroutine_view *view)
{
    unsigned char g[G_MAX_BYTES];
    if (!memory_read(goroutines->from.memory, address, g, goroutines->from.layout->g_bytes, NULL))
        return false;
    *view = goroutine_view_of(goroutines->from.layout, g);
    return true;
}

/* Labels, if there are any.  False: the goroutine has moved. */
static bool read_labels(struct goroutines *goroutines, const struct candidate *candidate,
                        const struct stack_labels **labels)
{
    struct goroutine_view after;
    const bool is_slice = goroutines->from.layout->minor >= 24;

    *labels = NULL;
    if (candidate->view.labels == 0)
        return true;
    const bool ok =
        labels_read(goroutines->from.memory, candidate->view.labels, is_slice, &goroutines->labels);
    if (!read_g(goroutines, candidate->address, &after) ||
        !goroutine_stood_still(&candidate->view, &after))
        return false;
    if (ok && goroutines->labels.count > 0)
        *labels = stack_profile_add_labels(goroutines->profile, goroutines->labels.list,
                                           goroutines->labels.count, NULL);
    if (!ok || (goroutines->labels.count > 0 && *labels == NULL))
        set_partial(goroutines, "labels of some goroutines could not be read");
    return true;
}

enum look { LOOK_DONE, LOOK_MOVED, LOOK_FAILED };

/* Records a goroutine that stood still, given its stack. */
static enum look take(struct goroutines *goroutines, const struct candidate *candidate,
                      enum goroutine_kind kind, const unsigned char *bytes, size_t length,
                      bool *needs_more, struct error *err)
{
    const struct stack_copy copy = {.sp = goroutine_sp(&candidate->view),
                                    .pc = goroutine_pc(&candidate->view),
                                    .in_syscall = goroutine_is_in_syscall(&candidate->view),
                                    .bytes = bytes,
                                    .length = length};
    const struct stack_labels *labels;
    size_t count = 0;
    const enum stack_walk_end end =
        stack_walk(goroutines->from.functions, &copy, goroutines->pcs, goroutines->pcs_wanted, &count);

    *needs_more = end == STACK_WALK_SHORT && length < goroutine_stack_bytes(&candidate->view);
    if (*needs_more)
        return LOOK_MOVED;
    if (kind == GOROUTINE_KIND_FINALIZER && !runs_user_code(goroutines, count))
        return LOOK_DONE;
    /* A stack that ends in nothing was not what it seemed to be; the runtime shows what it has. */
    if (count == 0 || (end == STACK_WALK_SHORT && length == LONG_STACK_BYTES))
        set_partial(goroutines, "some stacks could not be followed to their end");
    if (!read_labels(goroutines, candidate, &labels))
        return LOOK_MOVED;
    return goroutine_record_add(&goroutines->record, &candidate->view, goroutines->pcs, count,
                                end == STACK_WALK_FULL, labels, err)
               ? LOOK_DONE
               : LOOK_FAILED;
}

/* Looks at one goroutine by itself, with as much of its stack as it takes. */
static enum look look_alone(struct goroutines *goroutines, struct candidate *candidate,
                            struct error *err)
{
    struct goroutine_view after;
    bool needs_more = false;

    if (!read_g(goroutines, candidate->address, &candidate->view))
        return LOOK_MOVED;
    const struct goroutine_view *view = &candidate->view;
    if (!goroutine_is_alive(view))
        return LOOK_DONE;
    const enum goroutine_kind kind = goroutine_kind_of(goroutines->from.functions, view);
    if (kind == GOROUTINE_KIND_SYSTEM)
        return LOOK_DONE;
    uint64_t length = goroutine_has_still_stack(view) ? goroutine_stack_bytes(view) : 0;
    if (length == 0)
        return LOOK_MOVED;
    if (length > LONG_STACK_BYTES)
        length = LONG_STACK_BYTES;
    if (goroutines->long_stack == NULL)
        goroutines->long_stack = malloc(2 * (size_t)LONG_STACK_BYTES);
    if (goroutines->long_stack == NULL) {
        error_set(err, ERROR_NO_MEMORY, "goroutines: no memory for a stack");
        return LOOK_FAILED;
    }
    unsigned char *again = goroutines->long_stack + LONG_STACK_BYTES;
    const struct memory_part parts[] = {
        {goroutine_sp(view), goroutines->long_stack, (size_t)length},
        {goroutine_sp(view), again, (size_t)length},
    };
    if (!memory_read_parts(goroutines->from.memory, parts, 2, NULL) ||
        !read_g(goroutines, candidate->address, &after) || !goroutine_stood_still(view, &after) ||
        memcmp(goroutines->long_stack, again, (size_t)length) != 0)
        return LOOK_MOVED;
    return take(goroutines, candidate, kind, goroutines->long_stack, (size_t)length, &needs_more,
                err);
}

/* Until it stands still, or for the last time as one that does not. */
static bool look_again(struct goroutines *goroutines, struct candidate *candidate,
                       struct error *err)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++)
        switch (look_alone(goroutines, candidate, err)) {
        case LOOK_DONE:
            return true;
        case LOOK_FAILED:
            return false;
        case LOOK_MOVED:
            if (candidate->view.status == G_RUNNING)
                attempt = ATTEMPTS; /* it will run on */
            break;
        }
    if (!goroutine_is_alive(&candidate->view))
        return true;
    switch (goroutine_kind_of(goroutines->from.functions, &candidate->view)) {
    case GOROUTINE_KIND_USER:
        return goroutine_record_add_running(&goroutines->record, &candidate->view, err);
    case GOROUTINE_KIND_FINALIZER: /* busy with something, its own or the user's: not known */
    case GOROUTINE_KIND_SYSTEM:
        break;
    }
    return true;
}

/* Batches. */

/* The g structs of the next [count] elements of allgs; returns how many of them could be read. */
static size_t read_batch(struct goroutines *goroutines, size_t count)
{
    const size_t g_bytes = goroutines->from.layout->g_bytes;
    uint64_t addresses[BATCH];
    struct memory_part parts[BATCH];
    size_t kept = 0;

    if (!memory_read(goroutines->from.memory, goroutines->table + goroutines->next * 8, addresses,
                     count * 8, NULL))
        return 0;
    for (size_t i = 0; i < count; i++)
        if (addresses[i] != 0 && addresses[i] % 8 == 0) {
            parts[kept] = (struct memory_part){addresses[i],
                                               goroutines->g_before + kept * G_MAX_BYTES, g_bytes};
            goroutines->batch[kept++] = (struct candidate){.address = addresses[i]};
        }
    if (kept < count)
        set_partial(goroutines, "the list of goroutines holds something else");
    if (memory_read_parts(goroutines->from.memory, parts, kept, NULL))
        return kept;
    /* One of them is rubbish: each by itself. */
    size_t readable = 0;
    for (size_t i = 0; i < kept; i++) {
        unsigned char *g = goroutines->g_before + readable * G_MAX_BYTES;
        if (memory_read(goroutines->from.memory, parts[i].address, g, g_bytes, NULL))
            goroutines->batch[readable++].address = parts[i].address;
    }
    set_partial(goroutines, "the list of goroutines holds something else");
    return readable;
}

/* Stacks of the candidates that stand still, twice, then their g structs again.  False: one of the
 * pieces could not be read. */
static bool read_windows(struct goroutines *goroutines, size_t count)
{
    struct memory_part parts[3 * BATCH];
    size_t used = 0;

    for (int look = 0; look < 2; look++) {
        unsigned char *into = look == 0 ? goroutines->stacks : goroutines->stacks_again;
        for (size_t i = 0; i < count; i++)
            if (goroutines->batch[i].window_bytes > 0)
                parts[used++] = (struct memory_part){goroutine_sp(&goroutines->batch[i].view),
                                                     into + i * WINDOW_BYTES,
                                                     goroutines->batch[i].window_bytes};
    }
    for (size_t i = 0; i < count; i++)
        parts[used++] = (struct memory_part){goroutines->batch[i].address,
                                             goroutines->g_after + i * G_MAX_BYTES,
                                             goroutines->from.layout->g_bytes};
    return memory_read_parts(goroutines->from.memory, parts, used, NULL);
}

/* Keeps the candidates that belong into a profile. */
static size_t choose(struct goroutines *goroutines, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct candidate candidate = goroutines->batch[i];
        candidate.view =
            goroutine_view_of(goroutines->from.layout, goroutines->g_before + i * G_MAX_BYTES);
        if (!goroutine_is_alive(&candidate.view) ||
            goroutine_kind_of(goroutines->from.functions, &candidate.view) == GOROUTINE_KIND_SYSTEM)
            continue;
        const uint64_t bytes =
            goroutine_has_still_stack(&candidate.view) ? goroutine_stack_bytes(&candidate.view) : 0;
        candidate.window_bytes = bytes < WINDOW_BYTES ? (size_t)bytes : WINDOW_BYTES;
        goroutines->batch[kept++] = candidate;
    }
    return kept;
}

static bool take_batch(struct goroutines *goroutines, size_t count, bool windows_read,
                       struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct candidate *candidate = &goroutines->batch[i];
        const struct goroutine_view after =
            goroutine_view_of(goroutines->from.layout, goroutines->g_after + i * G_MAX_BYTES);
        const unsigned char *stack = goroutines->stacks + i * WINDOW_BYTES;
        enum look look = LOOK_MOVED;
        bool needs_more = false;

        if (windows_read && candidate->window_bytes > 0 &&
            goroutine_stood_still(&candidate->view, &after) &&
            memcmp(stack, goroutines->stacks_again + i * WINDOW_BYTES, candidate->window_bytes) ==
                0)
            look = take(goroutines, candidate,
                        goroutine_kind_of(goroutines->from.functions, &candidate->view), stack,
                        candidate->window_bytes, &needs_more, err);
        if (look == LOOK_FAILED || (look == LOOK_MOVED && !look_again(goroutines, candidate, err)))
            return false;
    }
    return true;
}

static bool step_batch(struct goroutines *goroutines, struct error *err)
{
    const uint64_t left = goroutines->count - goroutines->next;
    const size_t wanted = left < BATCH ? (size_t)left : BATCH;
    size_t count = read_batch(goroutines, wanted);

    if (count == 0 && wanted > 0)
        return error_set(err, ERROR_CORRUPT, "goroutines: their list at 0x%llx cannot be read",
                         (unsigned long long)goroutines->table);
    goroutines->next += wanted;
    count = choose(goroutines, count);
    return take_batch(goroutines, count, read_windows(goroutines, count), err);
}

static bool at_a_limit(struct goroutines *goroutines)
{
    const char *reason = NULL;

    if (goroutines->next >= goroutines->limits.goroutines)
        reason = "more goroutines than goprofd reads";
    else if (goroutines->from.memory->read_bytes - goroutines->bytes_begin >
             goroutines->limits.read_bytes)
        reason = "more memory in stacks than goprofd reads";
    else if (goroutines->busy_ns > goroutines->limits.busy_ns)
        reason = "reading the goroutines took too long";
    if (reason != NULL)
        set_partial(goroutines, reason);
    return reason != NULL;
}

enum reading_step goroutines_step(struct goroutines *goroutines, uint64_t deadline_ns,
                                  const struct stack_profile **profile, struct error *err)
{
    struct error cause = {.code = ERROR_NONE};
    uint64_t now_ns = clock_monotonic_ns();

    *profile = NULL;
    while (goroutines->next < goroutines->count && !at_a_limit(goroutines)) {
        if (now_ns >= deadline_ns)
            return READING_MORE;
        if (!step_batch(goroutines, &cause)) {
            if (cause.code != ERROR_LIMIT) {
                error_set(err, cause.code, "%s", cause.message);
                return READING_FAILED;
            }
            set_partial(goroutines, "more goroutines or stacks than goprofd keeps");
            break;
        }
        const uint64_t then_ns = now_ns;
        now_ns = clock_monotonic_ns();
        goroutines->busy_ns += now_ns - then_ns;
    }
    *profile = stack_profile_seal(goroutines->profile);
    goroutines->profile = NULL;
    return READING_DONE;
}
