/* call_stacks.c - from the pcs of a bucket to the frames of a site.
 *
 * Called by buckets.c for each new bucket.  The same pcs recur in thousands of stacks, so what is
 * known of a pc is kept; only misses go to the function tables, and sites share their frames.
 *
 *   pcs of a stack --known_pcs.h--> numbers --> frames kept in the site table, one pointer each */
#include "core/goproc/call_stacks.h"

#include <stdlib.h>
#include <string.h>

#include "core/goproc/alloc_type.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/known_pcs.h"
#include "core/goproc/pclntab.h"
#include "core/store/site.h"
#include "core/store/stack_profile.h"

enum { FRAMES_MAX = CALL_STACK_PCS_MAX + PCLNTAB_INLINE_DEPTH_MAX };
_Static_assert((int)FRAMES_MAX < (int)SITE_FRAMES_MAX, "a site must hold the longest stack");

/* A frame in the site table that is part of the Location at another pc. */
struct joined_frame {
    uint64_t pc; /* 0: free slot */
    uint64_t location;
    const struct frame *frame;
};

struct call_stacks {
    struct site_table *sites;
    const struct go_layout *layout;
    bool decodes_types;
    struct alloc_types_source types_source;
    struct known_pcs known;
    /* The rest is there while stacks are worked on, and given back by call_stacks_rest(). */
    struct alloc_types *types; /* NULL: types stay unknown */
    struct joined_frame *joined;
    size_t joined_slots; /* a power of two; 0: none yet */
    size_t joined_count;
    uint64_t *pcs; /* FRAMES_MAX of each of these: the stack at hand, */
    uint32_t *numbers; /* its pcs in known */
    size_t hidden_pcs; /* of them, the leading ones that pprof hides */
    struct frame *frames;
    struct stack_place *places;
    const struct frame **kept; /* one more for the allocator */
};

struct call_stacks *call_stacks_new(struct pclntab *table, struct site_table *sites,
                                    const struct go_layout *layout)
{
    struct call_stacks *stacks = calloc(1, sizeof(*stacks));
    if (stacks == NULL)
        return NULL;
    stacks->sites = sites;
    stacks->layout = layout;
    stacks->known = (struct known_pcs){.table = table, .sites = sites, .layout = layout};
    return stacks;
}

void call_stacks_free(struct call_stacks *stacks)
{
    if (stacks == NULL)
        return;
    call_stacks_rest(stacks);
    free(stacks);
}

void call_stacks_rest(struct call_stacks *stacks)
{
    alloc_types_free(stacks->types);
    known_pcs_rest(&stacks->known);
    free(stacks->joined);
    free(stacks->pcs);
    free(stacks->numbers);
    free(stacks->frames);
    free(stacks->places);
    free(stacks->kept);
    stacks->types = NULL;
    stacks->joined = NULL;
    stacks->joined_slots = stacks->joined_count = 0;
    stacks->pcs = NULL;
    stacks->numbers = NULL;
    stacks->frames = NULL;
    stacks->places = NULL;
    stacks->kept = NULL;
}

/* Makes sure that there is all that work on a stack needs. */
static bool wake(struct call_stacks *stacks, struct error *err)
{
    if (stacks->kept != NULL && stacks->known.count + FRAMES_MAX < CALL_STACKS_CACHE_MAX &&
        stacks->joined_count < CALL_STACKS_CACHE_MAX)
        return true;
    call_stacks_rest(stacks); /* where the cache is full it begins anew */
    stacks->pcs = malloc(FRAMES_MAX * sizeof(*stacks->pcs));
    stacks->numbers = malloc(FRAMES_MAX * sizeof(*stacks->numbers));
    stacks->frames = malloc(FRAMES_MAX * sizeof(*stacks->frames));
    stacks->places = malloc(FRAMES_MAX * sizeof(*stacks->places));
    stacks->kept = malloc((FRAMES_MAX + 1) * sizeof(*stacks->kept));
    if (stacks->decodes_types)
        stacks->types = alloc_types_new(&stacks->types_source);
    if (stacks->pcs != NULL && stacks->numbers != NULL && stacks->frames != NULL &&
        stacks->places != NULL && stacks->kept != NULL &&
        (stacks->types != NULL || !stacks->decodes_types) && known_pcs_wake(&stacks->known, err))
        return true;
    call_stacks_rest(stacks);
    return error_set(err, ERROR_NO_MEMORY, "no memory to look stacks up");
}

void call_stacks_decode_calls(struct call_stacks *stacks, const struct elf_file *elf,
                              uint64_t bias)
{
    stacks->known.code = elf;
    stacks->known.code_bias = bias;
}

void call_stacks_decode_types(struct call_stacks *stacks, const struct alloc_types_source *source)
{
    call_stacks_rest(stacks);
    stacks->types_source = *source;
    stacks->decodes_types = true;
}

/* What is known of the [at]th pc of the stack at hand. */
static struct known_pc *known_at(const struct call_stacks *stacks, size_t at)
{
    return &stacks->known.known[stacks->numbers[at]];
}

/* Types. */

/* The first logical frame of the machine frame that the [at]th belongs to. */
static size_t machine_frame_start(const struct call_stacks *stacks, size_t at)
{
    while (at > 0 && known_at(stacks, at - 1)->inlined &&
           known_at(stacks, at - 1)->entry == known_at(stacks, at)->entry)
        at--;
    return at;
}

/* The machine frames from the [at]th on, which starts one. */
static size_t machine_frames(const struct call_stacks *stacks, size_t at, size_t count,
                             struct alloc_frame frames[ALLOC_TYPE_CALLERS_MAX])
{
    size_t found = 0;

    while (at < count && found < ALLOC_TYPE_CALLERS_MAX) {
        const struct known_pc *known = known_at(stacks, at);
        frames[found++] = (struct alloc_frame){known->pc, known->entry};
        while (at < count && known_at(stacks, at)->inlined)
            at++;
        at++;
    }
    return found;
}

/* What the call of [called] by the [at]th of [count] frames says that it allocates; a string of the table, or
 * NULL. */
static const char *find_type(struct call_stacks *stacks, size_t at, size_t count,
                             const char *called, uint64_t object_bytes)
{
    struct known_pc *known = known_at(stacks, at);
    struct alloc_frame frames[ALLOC_TYPE_CALLERS_MAX];
    char name[ALLOC_TYPE_NAME_BYTES];
    bool callers_matter;

    if (known->type_known && known->type_bytes == object_bytes)
        return known->type_name;
    const char *found =
        alloc_types_find(stacks->types, called, frames, machine_frames(stacks, at, count, frames),
                         object_bytes, name, &callers_matter)
            ? site_table_string(stacks->sites, name, strlen(name))
            : NULL;
    if (!callers_matter) {
        known->type_known = true;
        known->type_bytes = object_bytes;
        known->type_name = found;
    }
    return found;
}

/* What the outermost call of an allocating runtime function says that it allocates, or NULL.  The first
 * [hidden] of [count] frames are those of the runtime. */
static const char *allocated_type(struct call_stacks *stacks, size_t hidden, size_t count,
                                  uint64_t object_bytes)
{
    size_t at = hidden < count ? hidden : count;

    if (stacks->types == NULL || count == 0)
        return NULL;
    if (at == count)
        at--;
    for (;;) {
        at = machine_frame_start(stacks, at);
        const char *called = known_pcs_allocator(&stacks->known, known_at(stacks, at));
        if (called != NULL && known_at(stacks, at)->allocator_tells)
            return find_type(stacks, at, count, called, object_bytes);
        if (at == 0)
            return NULL;
        at--;
    }
}

/* Frames. */

/* Text with everything from the first '[' to the last ']' taken for the same, as
 * runtime.funcNameForPrint shortens it. */
static bool same_printed_name(const char *a, const char *b)
{
    const char *a_open = strchr(a, '['), *b_open = strchr(b, '[');
    const char *a_close = strrchr(a, ']'), *b_close = strrchr(b, ']');

    if (a_open == NULL || b_open == NULL || a_close == NULL || b_close == NULL)
        return strcmp(a, b) == 0;
    return a_open - a == b_open - b && memcmp(a, b, (size_t)(a_open - a)) == 0 &&
           strcmp(a_close, b_close) == 0;
}

/* Whether [outer] is the caller that [inner] was inlined into, as pprof's pcDeck guesses it. */
static bool joins_location(const struct call_stacks *stacks, const struct known_pc *inner,
                           const struct known_pc *outer)
{
    if (!inner->inlined || inner->entry == 0 || outer->entry != inner->entry)
        return false;
    if (inner->function == outer->function) /* equal texts are one string of the site table */
        return false;
    return !stacks->layout->short_names_merge ||
           !same_printed_name(inner->function, outer->function);
}

static struct frame frame_of(const struct known_pc *known, uint64_t location)
{
    return (struct frame){.function = known->function,
                          .file = known->file,
                          .address = location,
                          .line = known->line,
                          .start_line = known->start_line,
                          .starts_location = location == known->pc};
}

/* Fills frames[] from the [count] pcs at hand; returns how many there are. */
static size_t fill_frames(struct call_stacks *stacks, size_t count)
{
    const struct known_pc *previous = NULL; /* in the same Location so far */
    size_t filled = 0;
    uint64_t location = 0;

    for (size_t i = 0; i < count; i++) {
        const struct known_pc *known = known_at(stacks, i);
        if (known->is_goexit) {
            previous = NULL;
            continue;
        }
        const bool starts = previous == NULL || !joins_location(stacks, previous, known);
        if (starts)
            location = known->pc;
        stacks->frames[filled] = frame_of(known, location);
        stacks->frames[filled++].starts_location = starts;
        previous = known;
    }
    return filled;
}

/* Frames that sites share. */

static struct joined_frame *joined_slot(struct joined_frame *joined, size_t slots, uint64_t pc,
                                        uint64_t location)
{
    const uint64_t mixed =
        (pc ^ location << 32 ^ location >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(mixed >> 32) & (slots - 1);
    while (joined[at].pc != 0 && (joined[at].pc != pc || joined[at].location != location))
        at = (at + 1) & (slots - 1);
    return &joined[at];
}

static bool joined_reserve(struct call_stacks *stacks)
{
    enum { JOINED_FIRST = 64 };
    if (stacks->joined_count < stacks->joined_slots / 2)
        return true;
    const size_t slots = stacks->joined_slots == 0 ? JOINED_FIRST : stacks->joined_slots * 2;
    struct joined_frame *larger = calloc(slots, sizeof(*larger));
    if (larger == NULL)
        return false;
    for (size_t i = 0; i < stacks->joined_slots; i++) {
        const struct joined_frame *old = &stacks->joined[i];
        if (old->pc != 0)
            *joined_slot(larger, slots, old->pc, old->location) = *old;
    }
    free(stacks->joined);
    stacks->joined = larger;
    stacks->joined_slots = slots;
    return true;
}

/* The frame of [known] within the Location at [location], which it does not start.  NULL without room. */
static const struct frame *keep_joined(struct call_stacks *stacks, const struct known_pc *known,
                                       uint64_t location)
{
    if (!joined_reserve(stacks))
        return NULL;
    struct joined_frame *slot =
        joined_slot(stacks->joined, stacks->joined_slots, known->pc, location);
    if (slot->pc != 0)
        return slot->frame;
    struct frame frame = frame_of(known, location);
    frame.starts_location = false;
    const struct frame *kept = site_table_frame(stacks->sites, &frame);
    if (kept != NULL && known->pc != 0) {
        *slot = (struct joined_frame){known->pc, location, kept};
        stacks->joined_count++;
    }
    return kept;
}

static const struct frame *keep_start(struct call_stacks *stacks, struct known_pc *known)
{
    const struct frame frame = frame_of(known, known->pc);
    known->frame = site_table_frame(stacks->sites, &frame);
    return known->frame;
}

/* Appends the frames of the pcs from [from] to [to] to kept[*count..].  False when the site table is full. */
static bool keep_frames(struct call_stacks *stacks, size_t from, size_t to, size_t *count)
{
    struct known_pc *const all = stacks->known.known;
    const uint32_t *const numbers = stacks->numbers;
    const struct frame **next = stacks->kept + *count;
    const struct known_pc *inner = NULL; /* inlined into what may be next in the same Location */
    uint64_t location = 0;

    for (size_t i = from; i < to; i++) {
        struct known_pc *known = &all[numbers[i]];
        const struct frame *kept = known->frame;
        if (known->is_goexit) {
            inner = NULL;
            continue;
        }
        if (inner != NULL && joins_location(stacks, inner, known))
            kept = keep_joined(stacks, known, location);
        else {
            location = known->pc;
            if (kept == NULL)
                kept = keep_start(stacks, known);
        }
        if (kept == NULL)
            return false;
        *next++ = kept;
        inner = known->inlined ? known : NULL;
    }
    *count = (size_t)(next - stacks->kept);
    return true;
}

/* The hidden frame of the allocating function that [leaf] called: it has no address.  NULL when the site table
 * is full. */
static const struct frame *keep_called(struct call_stacks *stacks, struct known_pc *leaf)
{
    if (leaf->called == NULL)
        leaf->called = site_table_frame(
            stacks->sites, &(struct frame){.function = leaf->allocator,
                                           .file = "",
                                           .starts_location = true});
    return leaf->called;
}

/* Replaces the last pc by what it expands to. */
static size_t expand_last(struct call_stacks *stacks, size_t count)
{
    uint64_t outer[PCLNTAB_INLINE_DEPTH_MAX + 1];
    size_t expanded = pclntab_expand_last(stacks->known.table, stacks->pcs[count - 1], outer,
                                          sizeof(outer) / sizeof(outer[0]));
    if (expanded == 0)
        return count;
    if (expanded > FRAMES_MAX - (count - 1))
        expanded = FRAMES_MAX - (count - 1);
    memcpy(stacks->pcs + count - 1, outer, expanded * sizeof(outer[0]));
    return count - 1 + expanded;
}

/* Takes [pcs] as the stack at hand: all are looked up, and the last is replaced by what it expands to. */
static bool take_stack(struct call_stacks *stacks, const uint64_t *pcs, size_t *count,
                       struct error *err)
{
    const size_t given = *count;

    if (!wake(stacks, err))
        return false;
    if (given > CALL_STACK_PCS_MAX)
        return error_set(err, ERROR_LIMIT, "a stack of %zu pcs, allowed are %d", given,
                         CALL_STACK_PCS_MAX);
    memcpy(stacks->pcs, pcs, given * sizeof(pcs[0]));
    for (size_t i = 0; i < given; i++)
        if ((stacks->numbers[i] = known_pcs_number(&stacks->known, pcs[i], err)) == 0)
            return false;
    size_t hidden = 0;
    while (hidden < given && known_at(stacks, hidden)->is_runtime)
        hidden++;
    stacks->hidden_pcs = hidden < given ? hidden : 0; /* the runtime's own allocation: all is shown */
    if (given == 0 || known_at(stacks, given - 1)->is_last_alone)
        return true;
    *count = expand_last(stacks, given);
    if (*count == given && stacks->pcs[given - 1] == pcs[given - 1])
        known_at(stacks, given - 1)->is_last_alone = true;
    for (size_t i = given - 1; i < *count; i++)
        if ((stacks->numbers[i] = known_pcs_number(&stacks->known, stacks->pcs[i], err)) == 0)
            return false;
    return true;
}

static struct stack_place place_of(const struct known_pc *known)
{
    return (struct stack_place){
        .pc = known->pc, .entry = known->entry, .inlined = known->inlined};
}

bool call_stacks_frames(struct call_stacks *stacks, const uint64_t *pcs, size_t count,
                        const struct frame **frames, const struct stack_place **places,
                        size_t *frame_count, struct error *err)
{
    size_t placed = 0;

    if (!take_stack(stacks, pcs, &count, err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!known_at(stacks, i)->is_goexit)
            stacks->places[placed++] = place_of(known_at(stacks, i));
    *frame_count = fill_frames(stacks, count);
    *frames = stacks->frames;
    *places = stacks->places;
    return true;
}

bool call_stacks_frame(struct call_stacks *stacks, uint64_t pc, struct frame *frame,
                       struct stack_place *place, struct error *err)
{
    const uint32_t number = wake(stacks, err) ? known_pcs_number(&stacks->known, pc, err) : 0;
    if (number == 0)
        return false;
    *place = place_of(&stacks->known.known[number]);
    *frame = frame_of(&stacks->known.known[number], pc);
    return true;
}

/* Fills kept[] from the [count] pcs at hand: [*total] frames, [*hidden] first.  False when the table is full. */
static bool keep_stack(struct call_stacks *stacks, size_t count, size_t *hidden, size_t *total)
{
    struct known_pc *leaf = count > 0 ? known_at(stacks, 0) : NULL;
    const char *allocator =
        leaf != NULL && !leaf->is_runtime ? known_pcs_allocator(&stacks->known, leaf) : NULL;

    *hidden = 0;
    if (allocator != NULL && (stacks->kept[(*hidden)++] = keep_called(stacks, leaf)) == NULL)
        return false;
    if (!keep_frames(stacks, 0, stacks->hidden_pcs, hidden))
        return false;
    *total = *hidden;
    if (!keep_frames(stacks, stacks->hidden_pcs, count, total))
        return false;
    if (*total == *hidden && *hidden > 0 && allocator == NULL) {
        /* Nothing but goexit below: pprof then shows what it would have hidden. */
        *hidden = 0;
    }
    if (*total == 0) {
        const char *empty = site_table_string(stacks->sites, "", 0);
        const struct frame frame = {.function = empty, .file = empty, .starts_location = true};
        if (empty == NULL ||
            (stacks->kept[(*total)++] = site_table_frame(stacks->sites, &frame)) == NULL)
            return false;
    }
    return true;
}

const struct site *call_stacks_add(struct call_stacks *stacks, const uint64_t *pcs, size_t count,
                                   uint64_t object_bytes, struct error *err)
{
    size_t hidden, total;

    if (!take_stack(stacks, pcs, &count, err))
        return NULL;
    if (!keep_stack(stacks, count, &hidden, &total)) {
        error_set(err, ERROR_LIMIT, "sites: their table is full");
        return NULL;
    }
    return site_table_add(
        stacks->sites,
        &(struct site_facts){.kept = stacks->kept,
                              .frame_count = total,
                              .hidden_count = hidden,
                              .object_bytes = object_bytes,
                              .type_name = allocated_type(stacks, stacks->hidden_pcs, count,
                                                          object_bytes)},
        err);
}
