/* stack_walk.c - unwinds by the pcsp tables, as the runtime does.
 *
 * Called by goroutines.c for each goroutine that does not run, and by contention.c. */
#include "core/goproc/stack_walk.h"

#include <string.h>

#include "core/goproc/go_layout.h"
#include "core/goproc/pclntab_parts.h"

enum {
    FUNC_PCSP = 16,
    FLAG_TOP_FRAME = 1,
    FLAG_SP_WRITE = 2,
    FUNC_ID_NORMAL = 0,
    POINTER_BYTES = 8,
    AMD64_QUANTUM = 1,
    /* src/runtime/symtab.go, Frames.Next: goroutine stacks are shorter than that by far */
    FRAME_MAX_BYTES = 1 << 30,
};

static uint32_t u32_at(const unsigned char *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static uint32_t func_id(const struct go_layout *layout, const struct pclntab_function *function)
{
    return function->record[layout->func_id];
}

static uint32_t func_flags(const struct go_layout *layout, const struct pclntab_function *function)
{
    return function->record[layout->func_id + 1];
}

/* elideWrapperCalling: a wrapper is left out unless what it calls is a panic. */
static bool is_elided(const struct go_layout *layout, uint32_t id, uint32_t callee)
{
    return id == layout->funcid_wrapper && callee != layout->funcid_gopanic &&
           callee != layout->funcid_panicwrap && callee != layout->funcid_sigpanic;
}

/* Logical frames. */

struct pc_list {
    uint64_t *pcs;
    size_t count;
    size_t capacity;
};

/* Appends what was inlined at [at] and the physical function; false when the list is full and more
 * was to come.  [*callee] gets the function of the outermost. */
static bool add_logical(struct pclntab *table, const struct pclntab_function *function, uint64_t at,
                        uint32_t *callee, struct pc_list *list)
{
    const struct go_layout *layout = pclntab_layout(table);

    for (size_t depth = 0; depth <= PCLNTAB_INLINE_DEPTH_MAX; depth++) {
        struct pclntab_inlining inlining;
        const bool inlined = pclntab_inlined_at(function, at, &inlining);
        const uint32_t id = inlined ? inlining.func_id : func_id(layout, function);
        if (!is_elided(layout, id, *callee)) {
            if (list->count == list->capacity)
                return false;
            list->pcs[list->count++] = at + 1;
        }
        *callee = id;
        if (!inlined)
            return true;
        at = inlining.parent_pc;
    }
    return true;
}

/* Physical frames. */

struct walk {
    struct pclntab *table;
    const struct go_layout *layout;
    const struct stack_copy *stack;
    struct pclntab_function function;
    uint64_t pc;
    uint64_t sp;
    bool trapped; /* pc is an instruction that was interrupted, not a return address */
};

static bool read_word(const struct stack_copy *stack, uint64_t address, uint64_t *word)
{
    const uint64_t offset = address - stack->sp;
    if (address < stack->sp || offset % POINTER_BYTES != 0 || stack->length < POINTER_BYTES ||
        offset > stack->length - POINTER_BYTES)
        return false;
    memcpy(word, stack->bytes + offset, sizeof(*word));
    return true;
}

/* A function called by a signal handler in place of the interrupted instruction. */
static bool is_injected(const struct go_layout *layout, uint32_t id)
{
    if (id == layout->funcid_sigpanic)
        return true;
    /* Up to 1.20 the others were looked up like plain calls. */
    return layout->minor >= 21 &&
           (id == layout->funcid_async_preempt || id == layout->funcid_debug_call);
}

static bool is_last(const struct walk *walk, bool innermost)
{
    uint32_t flags = func_flags(walk->layout, &walk->function);

    /* These write the stack pointer, but the stack stays walkable (resolveInternal). */
    if (func_id(walk->layout, &walk->function) == walk->layout->funcid_cgocallback ||
        (innermost && walk->stack->in_syscall))
        flags &= ~(uint32_t)FLAG_SP_WRITE;
    return (flags & (FLAG_TOP_FRAME | FLAG_SP_WRITE)) != 0 ||
           u32_at(walk->function.record + FUNC_PCSP) == 0;
}

enum step { STEP_ON, STEP_SHORT, STEP_BROKEN };

/* To the caller's frame. */
static enum step step_out(struct walk *walk)
{
    const int32_t delta = pclntab_value_at(&walk->function,
                                           u32_at(walk->function.record + FUNC_PCSP), walk->pc);
    const bool pushes = pclntab_quantum(walk->table) == AMD64_QUANTUM; /* else: the link register */
    uint64_t caller_pc;

    if (delta < 0 || delta > FRAME_MAX_BYTES)
        return STEP_BROKEN;
    const uint64_t frame_end = walk->sp + (uint64_t)delta + (pushes ? POINTER_BYTES : 0);
    if (!read_word(walk->stack, pushes ? frame_end - POINTER_BYTES : walk->sp, &caller_pc))
        return frame_end > walk->sp ? STEP_SHORT : STEP_BROKEN;
    if (caller_pc == walk->pc && frame_end == walk->sp)
        return STEP_BROKEN;
    walk->trapped = is_injected(walk->layout, func_id(walk->layout, &walk->function));
    walk->pc = caller_pc;
    walk->sp = frame_end;
    return pclntab_find_function(walk->table, walk->pc, &walk->function) ? STEP_ON : STEP_BROKEN;
}

/* A call of a nil function: the stack goes on in its caller. */
static bool begin(struct walk *walk)
{
    if (walk->pc == 0) {
        if (!read_word(walk->stack, walk->sp, &walk->pc))
            return false;
        if (pclntab_quantum(walk->table) == AMD64_QUANTUM)
            walk->sp += POINTER_BYTES;
    }
    return pclntab_find_function(walk->table, walk->pc, &walk->function);
}

enum stack_walk_end stack_walk(struct pclntab *table, const struct stack_copy *stack, uint64_t *pcs,
                               size_t capacity, size_t *count)
{
    struct pc_list list = {.pcs = pcs, .capacity = capacity};
    struct walk walk = {.table = table,
                        .layout = pclntab_layout(table),
                        .stack = stack,
                        .pc = stack->pc,
                        .sp = stack->sp};
    uint32_t callee = FUNC_ID_NORMAL;

    *count = 0;
    if (!begin(&walk))
        return STACK_WALK_BROKEN;
    for (size_t depth = 0; depth < STACK_WALK_PHYSICAL_MAX; depth++) {
        /* A return address is looked up inside of the call that it follows. */
        const bool is_return = !walk.trapped && walk.pc > walk.function.entry;
        const uint32_t id = func_id(walk.layout, &walk.function);
        const bool room =
            add_logical(table, &walk.function, is_return ? walk.pc - 1 : walk.pc, &callee, &list);
        callee = id;
        *count = list.count;
        if (!room)
            return STACK_WALK_FULL;
        if (is_last(&walk, depth == 0))
            return STACK_WALK_COMPLETE;
        switch (step_out(&walk)) {
        case STEP_ON:
            break;
        case STEP_SHORT:
            return STACK_WALK_SHORT;
        case STEP_BROKEN:
            return STACK_WALK_BROKEN;
        }
    }
    return STACK_WALK_FULL;
}

/* Stored stacks. */

/* The implied pc after [at] in the inlining of [function], unless what follows in the record is
 * that very pc; 0: none. */
static uint64_t implied_pc(struct pclntab *table, const struct pclntab_function *function,
                           uint64_t at, bool more, uint64_t next_stored)
{
    const struct go_layout *layout = pclntab_layout(table);
    struct pclntab_inlining inlining;

    if (!pclntab_inlined_at(function, at, &inlining))
        return 0;
    const uint32_t inner = inlining.func_id;
    for (size_t depth = 0; depth < PCLNTAB_INLINE_DEPTH_MAX; depth++) {
        const uint64_t outer_at = inlining.parent_pc;
        const bool inlined = pclntab_inlined_at(function, outer_at, &inlining);
        if (!more || next_stored == outer_at + 1)
            return 0;
        if (!is_elided(layout, inlined ? inlining.func_id : func_id(layout, function), inner))
            return outer_at + 1;
        if (!inlined)
            return 0;
    }
    return 0;
}

size_t stack_walk_expand(struct pclntab *table, const uint64_t *stored, size_t stored_count,
                         uint64_t *pcs, size_t capacity)
{
    size_t count = 0, next = 0;
    uint64_t implied = 0;

    if (stored_count > 0 && stored[0] == UINT64_MAX)
        next = 1; /* logicalStackSentinel */
    while (count < capacity && (implied != 0 || next < stored_count)) {
        struct pclntab_function function;
        const uint64_t pc = implied != 0 ? implied : stored[next++];
        implied = 0;
        if (!pclntab_find_function(table, pc, &function))
            continue; /* C code: the runtime leaves it out too */
        const uint64_t at = pc > function.entry ? pc - 1 : pc;
        const bool more = next < stored_count;
        implied = implied_pc(table, &function, at, more, more ? stored[next] : 0);
        pcs[count++] = at + 1;
    }
    return count;
}

bool stack_walk_function(const struct pclntab *table, uint64_t pc, const char **name,
                         uint64_t *entry)
{
    struct pclntab_function function;
    struct pclntab_text text;

    if (!pclntab_find_function(table, pc, &function) ||
        !pclntab_physical_name(&function, &text))
        return false;
    *name = text.text;
    *entry = function.entry;
    return true;
}
