/* call_stacks.c - from the pcs of a bucket to the frames of a site.
 *
 * Called by buckets.c for each new bucket.  The same pcs recur in thousands of stacks, so what is
 * known of a pc is kept in a hash table; only misses go to the function tables. */
#include "core/goproc/call_stacks.h"

#include <stdlib.h>
#include <string.h>

#include "core/goproc/alloc_type.h"
#include "core/goproc/call_target.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/pclntab.h"
#include "core/store/site.h"
#include "core/store/stack_profile.h"

enum { CACHE_FIRST_SLOTS = 1024, FRAMES_MAX = CALL_STACK_PCS_MAX + PCLNTAB_INLINE_DEPTH_MAX };
_Static_assert((int)FRAMES_MAX < (int)SITE_FRAMES_MAX, "a site must hold the longest stack");

/* What is known of one return address. */
struct known_pc {
    uint64_t pc; /* 0: free slot */
    const char *function;
    const char *file;
    uint64_t entry; /* 0: in no Go function */
    uint32_t line;
    uint32_t start_line;
    bool inlined;
    bool is_runtime; /* hidden at the top of a stack */
    bool is_goexit;
    bool call_decoded;      /* the call before pc was looked at, and this is what it calls: */
    const char *allocator;  /* a function of the runtime, or NULL */
};

struct call_stacks {
    struct pclntab *table;
    struct site_table *sites;
    const struct go_layout *layout;
    const struct elf_file *code; /* NULL: calls are not decoded */
    uint64_t code_bias;
    bool decodes_types;
    struct alloc_types_source types_source;
    /* The rest is there while stacks are worked on, and given back by call_stacks_rest(). */
    struct alloc_types *types; /* NULL: types stay unknown */
    struct known_pc *slots;
    size_t slot_count; /* a power of two */
    size_t used;
    uint64_t *pcs; /* FRAMES_MAX of each of these */
    struct known_pc *known;
    struct frame *frames; /* one more for the allocator */
    struct stack_place *places;
};

struct call_stacks *call_stacks_new(struct pclntab *table, struct site_table *sites,
                                    const struct go_layout *layout)
{
    struct call_stacks *stacks = calloc(1, sizeof(*stacks));
    if (stacks == NULL)
        return NULL;
    stacks->table = table;
    stacks->sites = sites;
    stacks->layout = layout;
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
    free(stacks->slots);
    free(stacks->pcs);
    free(stacks->known);
    free(stacks->frames);
    free(stacks->places);
    stacks->types = NULL;
    stacks->slots = NULL;
    stacks->slot_count = stacks->used = 0;
    stacks->pcs = NULL;
    stacks->known = NULL;
    stacks->frames = NULL;
    stacks->places = NULL;
}

/* Makes sure that there is all that work on a stack needs. */
static bool wake(struct call_stacks *stacks, struct error *err)
{
    if (stacks->slots != NULL)
        return true;
    stacks->pcs = malloc(FRAMES_MAX * sizeof(*stacks->pcs));
    stacks->known = malloc(FRAMES_MAX * sizeof(*stacks->known));
    stacks->frames = malloc((FRAMES_MAX + 1) * sizeof(*stacks->frames));
    stacks->places = malloc(FRAMES_MAX * sizeof(*stacks->places));
    stacks->slots = calloc(CACHE_FIRST_SLOTS, sizeof(*stacks->slots));
    stacks->slot_count = CACHE_FIRST_SLOTS;
    if (stacks->decodes_types)
        stacks->types = alloc_types_new(&stacks->types_source);
    if (stacks->pcs != NULL && stacks->known != NULL && stacks->frames != NULL &&
        stacks->places != NULL && stacks->slots != NULL &&
        (stacks->types != NULL || !stacks->decodes_types))
        return true;
    call_stacks_rest(stacks);
    return error_set(err, ERROR_NO_MEMORY, "no memory to look stacks up");
}

void call_stacks_decode_calls(struct call_stacks *stacks, const struct elf_file *elf,
                              uint64_t bias)
{
    stacks->code = elf;
    stacks->code_bias = bias;
}

void call_stacks_decode_types(struct call_stacks *stacks, const struct alloc_types_source *source)
{
    call_stacks_rest(stacks);
    stacks->types_source = *source;
    stacks->decodes_types = true;
}

/* The cache of pcs. */

static struct known_pc *slot_of(struct known_pc *slots, size_t slot_count, uint64_t pc)
{
    size_t at = (size_t)((pc * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (slot_count - 1);
    while (slots[at].pc != 0 && slots[at].pc != pc)
        at = (at + 1) & (slot_count - 1);
    return &slots[at];
}

/* Makes room for one more.  False: the cache stays as it is, which costs time and nothing else. */
static bool cache_reserve(struct call_stacks *stacks)
{
    if (stacks->used < stacks->slot_count / 2)
        return true;
    if (stacks->used >= CALL_STACKS_CACHE_MAX)
        return false;
    size_t larger_count = stacks->slot_count * 2;
    struct known_pc *larger = calloc(larger_count, sizeof(*larger));
    if (larger == NULL)
        return false;
    for (size_t i = 0; i < stacks->slot_count; i++)
        if (stacks->slots[i].pc != 0)
            *slot_of(larger, larger_count, stacks->slots[i].pc) = stacks->slots[i];
    free(stacks->slots);
    stacks->slots = larger;
    stacks->slot_count = larger_count;
    return true;
}

static bool has_prefix(const struct pclntab_text *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text->length >= length && memcmp(text->text, prefix, length) == 0;
}

static bool is_runtime_name(const struct call_stacks *stacks, const struct pclntab_text *name)
{
    return has_prefix(name, "runtime.") || (stacks->layout->internal_runtime_hidden &&
                                            has_prefix(name, "internal/runtime/"));
}

static bool look_up(struct call_stacks *stacks, uint64_t pc, struct known_pc *known,
                    struct error *err)
{
    struct pclntab_frame frame;
    struct pclntab_text name;

    *known = (struct known_pc){.pc = pc};
    /* The runtime decides what is hidden by the name at pc, and shows the one at pc - 1. */
    known->is_runtime = pclntab_name_at(stacks->table, pc, &name) && is_runtime_name(stacks, &name);
    if (pclntab_frame_at(stacks->table, pc, &frame)) {
        known->function =
            site_table_string(stacks->sites, frame.function.text, frame.function.length);
        known->file = site_table_string(stacks->sites, frame.file.text, frame.file.length);
        known->entry = frame.entry;
        known->line = frame.line;
        known->start_line = frame.start_line;
        known->inlined = frame.inlined;
        known->is_goexit = known->function != NULL && strcmp(known->function, "runtime.goexit") == 0;
    } else {
        known->function = site_table_string(stacks->sites, "", 0);
        known->file = known->function;
    }
    if (known->function == NULL || known->file == NULL)
        return error_set(err, ERROR_LIMIT, "sites: their table is full");
    return true;
}

static bool known_pc_of(struct call_stacks *stacks, uint64_t pc, struct known_pc *known,
                        struct error *err)
{
    struct known_pc *slot = slot_of(stacks->slots, stacks->slot_count, pc);
    if (slot->pc == pc && pc != 0) {
        *known = *slot;
        return true;
    }
    if (!look_up(stacks, pc, known, err))
        return false;
    if (pc != 0 && cache_reserve(stacks)) {
        *slot_of(stacks->slots, stacks->slot_count, pc) = *known;
        stacks->used++;
    }
    return true;
}

/* The runtime function that the instruction before [pc] calls, or NULL.  Only a target that is the
 * entry of a function counts: a decoded number that hits the middle of one was no call. */
static const char *decode_allocator(struct call_stacks *stacks, uint64_t pc)
{
    uint64_t target;
    struct pclntab_frame called;

    if (!call_target_before(stacks->code, stacks->code_bias, pc, &target) ||
        !pclntab_frame_at(stacks->table, target, &called) || called.entry != target ||
        (!has_prefix(&called.function, "runtime.") &&
         !has_prefix(&called.function, "internal/bytealg.MakeNoZero")))
        return NULL;
    return site_table_string(stacks->sites, called.function.text, called.function.length);
}

static const char *allocator_before(struct call_stacks *stacks, uint64_t pc)
{
    if (stacks->code == NULL)
        return NULL;
    struct known_pc *slot = slot_of(stacks->slots, stacks->slot_count, pc);
    if (slot->pc != pc || pc == 0)
        return decode_allocator(stacks, pc); /* the cache is full */
    if (!slot->call_decoded) {
        slot->allocator = decode_allocator(stacks, pc);
        slot->call_decoded = true;
    }
    return slot->allocator;
}

/* Types. */

/* The first logical frame of the machine frame that known[at] belongs to. */
static size_t machine_frame_start(const struct call_stacks *stacks, size_t at)
{
    while (at > 0 && stacks->known[at - 1].inlined &&
           stacks->known[at - 1].entry == stacks->known[at].entry)
        at--;
    return at;
}

/* The machine frames from known[at] on, which starts one. */
static size_t machine_frames(const struct call_stacks *stacks, size_t at, size_t count,
                             struct alloc_frame frames[ALLOC_TYPE_CALLERS_MAX])
{
    size_t found = 0;

    while (at < count && found < ALLOC_TYPE_CALLERS_MAX) {
        frames[found++] = (struct alloc_frame){stacks->known[at].pc, stacks->known[at].entry};
        while (at < count && stacks->known[at].inlined)
            at++;
        at++;
    }
    return found;
}

/* What the outermost call of an allocating runtime function says that it allocates: [name], or NULL.  The
 * first [hidden] of known[0..count) are frames of the runtime. */
static const char *allocated_type(struct call_stacks *stacks, size_t hidden, size_t count,
                                  uint64_t object_bytes, char name[ALLOC_TYPE_NAME_BYTES])
{
    struct alloc_frame frames[ALLOC_TYPE_CALLERS_MAX];
    size_t at = hidden < count ? hidden : count;

    if (stacks->types == NULL || count == 0)
        return NULL;
    if (at == count)
        at--;
    for (;;) {
        at = machine_frame_start(stacks, at);
        const char *called = allocator_before(stacks, stacks->known[at].pc);
        if (called != NULL && alloc_types_knows(called))
            return alloc_types_find(stacks->types, called, frames,
                                    machine_frames(stacks, at, count, frames), object_bytes, name)
                       ? name
                       : NULL;
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
    return stacks->layout->short_names_merge
               ? !same_printed_name(inner->function, outer->function)
               : strcmp(inner->function, outer->function) != 0;
}

/* Appends frames for known[from..to) to frames[count..] and returns the new count. */
static size_t append_frames(struct call_stacks *stacks, size_t from, size_t to, size_t count)
{
    const struct known_pc *previous = NULL; /* in the same Location so far */
    uint64_t location = 0;

    for (size_t i = from; i < to; i++) {
        const struct known_pc *known = &stacks->known[i];
        if (known->is_goexit) {
            previous = NULL;
            continue;
        }
        bool starts = previous == NULL || !joins_location(stacks, previous, known);
        if (starts)
            location = known->pc;
        stacks->frames[count++] = (struct frame){.function = known->function,
                                                 .file = known->file,
                                                 .address = location,
                                                 .line = known->line,
                                                 .start_line = known->start_line,
                                                 .starts_location = starts};
        previous = known;
    }
    return count;
}

/* Replaces the last pc by what it expands to. */
static size_t expand_last(struct call_stacks *stacks, size_t count)
{
    uint64_t outer[PCLNTAB_INLINE_DEPTH_MAX + 1];
    size_t expanded = pclntab_expand_last(stacks->table, stacks->pcs[count - 1], outer,
                                          sizeof(outer) / sizeof(outer[0]));
    if (expanded == 0)
        return count;
    if (expanded > FRAMES_MAX - (count - 1))
        expanded = FRAMES_MAX - (count - 1);
    memcpy(stacks->pcs + count - 1, outer, expanded * sizeof(outer[0]));
    return count - 1 + expanded;
}

/* Looks up [pcs] and what the last of them was inlined into: stacks->pcs and known.  Returns how many, or
 * 0 after an error (with [count] > 0). */
static size_t look_up_all(struct call_stacks *stacks, const uint64_t *pcs, size_t count,
                          struct error *err)
{
    if (count > CALL_STACK_PCS_MAX) {
        error_set(err, ERROR_LIMIT, "a stack of %zu pcs, allowed are %d", count,
                  CALL_STACK_PCS_MAX);
        return 0;
    }
    memcpy(stacks->pcs, pcs, count * sizeof(pcs[0]));
    if (count > 0)
        count = expand_last(stacks, count);
    for (size_t i = 0; i < count; i++)
        if (!known_pc_of(stacks, stacks->pcs[i], &stacks->known[i], err))
            return 0;
    return count;
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
    if (!wake(stacks, err))
        return false;
    const size_t logical = look_up_all(stacks, pcs, count, err);
    size_t placed = 0;

    if (logical == 0 && count > 0)
        return false;
    for (size_t i = 0; i < logical; i++)
        if (!stacks->known[i].is_goexit)
            stacks->places[placed++] = place_of(&stacks->known[i]);
    *frame_count = append_frames(stacks, 0, logical, 0);
    *frames = stacks->frames;
    *places = stacks->places;
    return true;
}

bool call_stacks_frame(struct call_stacks *stacks, uint64_t pc, struct frame *frame,
                       struct stack_place *place, struct error *err)
{
    struct known_pc known;

    if (!wake(stacks, err) || !known_pc_of(stacks, pc, &known, err))
        return false;
    *place = place_of(&known);
    *frame = (struct frame){.function = known.function,
                            .file = known.file,
                            .address = pc,
                            .line = known.line,
                            .start_line = known.start_line,
                            .starts_location = true};
    return true;
}

const struct site *call_stacks_add(struct call_stacks *stacks, const uint64_t *pcs, size_t count,
                                   uint64_t object_bytes, struct error *err)
{
    size_t hidden_pcs = 0;

    if (!wake(stacks, err))
        return NULL;
    if (count > CALL_STACK_PCS_MAX) {
        error_set(err, ERROR_LIMIT, "a stack of %zu pcs, allowed are %d", count,
                  CALL_STACK_PCS_MAX);
        return NULL;
    }
    memcpy(stacks->pcs, pcs, count * sizeof(pcs[0]));
    for (size_t i = 0; i < count; i++)
        if (!known_pc_of(stacks, stacks->pcs[i], &stacks->known[i], err))
            return NULL;
    while (hidden_pcs < count && stacks->known[hidden_pcs].is_runtime)
        hidden_pcs++;
    if (hidden_pcs == count)
        hidden_pcs = 0; /* the runtime's own allocation: everything is shown */
    if (count > 0) {
        size_t last = count - 1;
        count = expand_last(stacks, count);
        for (size_t i = last; i < count; i++)
            if (!known_pc_of(stacks, stacks->pcs[i], &stacks->known[i], err))
                return NULL;
    }

    size_t hidden = 0;
    const char *allocator = NULL;
    char type_name[ALLOC_TYPE_NAME_BYTES];
    if (count > 0 && !stacks->known[0].is_runtime)
        allocator = allocator_before(stacks, stacks->pcs[0]);
    if (allocator != NULL)
        stacks->frames[hidden++] =
            (struct frame){.function = allocator, .file = "", .starts_location = true};
    hidden = append_frames(stacks, 0, hidden_pcs, hidden);
    size_t total = append_frames(stacks, hidden_pcs, count, hidden);
    if (total == hidden && hidden > 0 && allocator == NULL) {
        /* Nothing but goexit below: pprof then shows what it would have hidden. */
        hidden = 0;
    }
    if (total == 0) {
        const char *empty = site_table_string(stacks->sites, "", 0);
        if (empty == NULL) {
            error_set(err, ERROR_LIMIT, "sites: their table is full");
            return NULL;
        }
        stacks->frames[total++] = (struct frame){
            .function = empty, .file = empty, .starts_location = true};
    }
    return site_table_add(
        stacks->sites,
        &(struct site_facts){.frames = stacks->frames,
                              .frame_count = total,
                              .hidden_count = hidden,
                              .object_bytes = object_bytes,
                              .type_name = allocated_type(stacks, hidden_pcs, count,
                                                          object_bytes, type_name)},
        err);
}
