/* call_trace.c - follows one value backwards through decoded steps.
 *
 * Called by call_argument_amd64() and _arm64() once the code before a call is decoded.  A place is a register
 * or a slot of the frame; where a jump leads into the way back, all sources must bring the same value. */
#include "core/goproc/call_trace.h"

#include <stdlib.h>
#include <string.h>

enum { BUDGET_STEPS = 16384, DEPTH_MAX = 12, SLOT_BYTES = 8, WIDEST_STORE_BYTES = 64 };

struct place {
    bool is_slot;
    unsigned reg;
    int64_t slot;
};

/* Places that are being followed from a jump's target on; meeting one again is a loop. */
struct trail {
    const struct trail *outer;
    uint32_t index;
    struct place place;
    unsigned depth;
};

static const struct call_value UNKNOWN_VALUE = {.kind = CALL_VALUE_UNKNOWN};

struct call_tracer *call_tracer_new(void)
{
    return calloc(1, sizeof(struct call_tracer));
}

void call_tracer_free(struct call_tracer *tracer)
{
    free(tracer);
}

void call_trace_begin(struct call_tracer *tracer, size_t length)
{
    tracer->step_count = 0;
    tracer->jump_count = 0;
    tracer->in_middle = tracer->straight_only = false;
    memset(tracer->is_target, 0, length / 8 + 1 < sizeof(tracer->is_target)
                                     ? length / 8 + 1
                                     : sizeof(tracer->is_target));
}

bool call_trace_step(struct call_tracer *tracer, const struct call_step *step)
{
    if (tracer->step_count == CALL_STEPS_MAX)
        return false;
    tracer->steps[tracer->step_count++] = *step;
    return true;
}

void call_trace_target(struct call_tracer *tracer, size_t to)
{
    tracer->is_target[to / 8] |= (unsigned char)(1U << (to % 8));
}

/* Notes that the step added last jumps to offset [to]; out of the code it is none of our ways. */
bool call_trace_jump(struct call_tracer *tracer, uint64_t to, size_t length)
{
    if (to >= length)
        return true;
    if (tracer->jump_count == CALL_JUMPS_MAX)
        return false;
    tracer->jumps[tracer->jump_count++] =
        (struct call_jump){.from = (uint32_t)(tracer->step_count - 1), .to = (uint32_t)to};
    call_trace_target(tracer, (size_t)to);
    return true;
}

static bool same_place(const struct place *a, const struct place *b)
{
    return a->is_slot == b->is_slot && (a->is_slot ? a->slot == b->slot : a->reg == b->reg);
}

static bool same_value(const struct call_value *a, const struct call_value *b)
{
    return a->kind == b->kind && a->parameter == b->parameter && a->address == b->address &&
           a->load_count == b->load_count &&
           memcmp(a->loads, b->loads, a->load_count * sizeof(a->loads[0])) == 0;
}

/* What stepping back over [step] does to [place]. */
enum effect { UNTOUCHED, RENAMED, LOADED, KNOWN, LOST };

static enum effect step_back(const struct call_tracer *tracer, const struct call_step *step,
                             struct place *place, int64_t *value)
{
    const bool hits = !place->is_slot && step->target == place->reg;

    if (place->is_slot && step->moves_stack)
        return LOST;
    switch ((enum call_step_kind)step->kind) {
    case CALL_STEP_CALL:
        return place->is_slot ? UNTOUCHED : LOST;
    case CALL_STEP_MOVE:
        if (!hits)
            return UNTOUCHED;
        place->reg = step->source;
        return RENAMED;
    case CALL_STEP_CONSTANT:
        *value = step->value;
        return hits ? KNOWN : UNTOUCHED;
    case CALL_STEP_LOAD:
        if (!hits)
            return UNTOUCHED;
        if (step->source == tracer->stack_register) {
            *place = (struct place){.is_slot = true, .slot = step->value};
            return RENAMED;
        }
        place->reg = step->source;
        *value = step->value;
        return LOADED;
    case CALL_STEP_STORE:
        if (!place->is_slot || step->value <= place->slot - SLOT_BYTES ||
            step->value >= place->slot + SLOT_BYTES)
            return UNTOUCHED;
        if (step->value != place->slot)
            return LOST;
        *place = (struct place){.reg = step->source};
        return RENAMED;
    case CALL_STEP_OTHER:
        if (!place->is_slot)
            return (step->writes >> place->reg & 1) != 0 ? LOST : UNTOUCHED;
        return step->stack_write && step->value > place->slot - WIDEST_STORE_BYTES &&
                       step->value < place->slot + SLOT_BYTES
                   ? LOST
                   : UNTOUCHED;
    }
    return LOST;
}

static struct call_value at_entry(const struct call_tracer *tracer, const struct place *place)
{
    if (tracer->in_middle)
        return UNKNOWN_VALUE;
    for (unsigned i = 0; !place->is_slot && i < tracer->argument_count; i++)
        if (tracer->arguments[i] == place->reg)
            return (struct call_value){.kind = CALL_VALUE_PARAMETER, .parameter = i};
    return UNKNOWN_VALUE;
}

/* Adds the loads met on the way, nearest the call last: [met] holds them in the order met. */
static struct call_value with_loads(struct call_value value, const int32_t *met, unsigned count)
{
    if (value.kind == CALL_VALUE_UNKNOWN || value.load_count + count > CALL_VALUE_LOADS_MAX)
        return UNKNOWN_VALUE;
    while (count > 0)
        value.loads[value.load_count++] = met[--count];
    return value;
}

static bool is_target(const struct call_tracer *tracer, uint32_t at)
{
    return (tracer->is_target[at / 8] >> (at % 8) & 1) != 0;
}

static struct call_value follow(struct call_tracer *tracer, uint32_t index, struct place place,
                                const struct trail *trail);

/* The value of [place] before the step [index], to which jumps lead.  Sets *[looped] instead where the
 * only ways are those that are already being followed. */
static struct call_value merge(struct call_tracer *tracer, uint32_t index, struct place place,
                               const struct trail *outer)
{
    const struct trail here = {.outer = outer,
                               .index = index,
                               .place = place,
                               .depth = outer != NULL ? outer->depth + 1 : 1};
    struct call_value merged = UNKNOWN_VALUE;
    bool any = false;

    if (tracer->straight_only)
        return UNKNOWN_VALUE;
    for (const struct trail *t = outer; t != NULL; t = t->outer)
        if (t->index == index && same_place(&t->place, &place)) {
            tracer->looped = true;
            return UNKNOWN_VALUE;
        }
    if (here.depth > DEPTH_MAX)
        return UNKNOWN_VALUE;
    for (size_t j = 0; j <= tracer->jump_count; j++) {
        uint32_t from;
        if (j < tracer->jump_count) {
            if (tracer->jumps[j].to != tracer->steps[index].at)
                continue;
            from = tracer->jumps[j].from;
        } else {
            if (index == 0 || tracer->steps[index - 1].no_fall)
                continue;
            from = index - 1;
        }
        tracer->looped = false;
        /* The jump itself is a step that writes nothing. */
        const struct call_value way = follow(tracer, from + 1, place, &here);
        if (tracer->looped) {
            tracer->looped = false;
            continue;
        }
        if (way.kind == CALL_VALUE_UNKNOWN || (any && !same_value(&way, &merged)))
            return UNKNOWN_VALUE;
        merged = way;
        any = true;
    }
    tracer->looped = !any;
    return merged;
}

/* The value of [place] after the step before [index]. */
static struct call_value follow(struct call_tracer *tracer, uint32_t index, struct place place,
                                const struct trail *trail)
{
    int32_t met[CALL_VALUE_LOADS_MAX];
    unsigned met_count = 0;

    for (; index > 0; index--) {
        const struct call_step *step = &tracer->steps[index - 1];
        int64_t value = 0;
        if (tracer->budget-- == 0) {
            tracer->budget = 0;
            return UNKNOWN_VALUE;
        }
        switch (step_back(tracer, step, &place, &value)) {
        case LOST:
            return UNKNOWN_VALUE;
        case KNOWN:
            return with_loads(
                (struct call_value){.kind = CALL_VALUE_ADDRESS, .address = (uint64_t)value}, met,
                met_count);
        case LOADED:
            if (met_count == CALL_VALUE_LOADS_MAX || value < INT32_MIN || value > INT32_MAX)
                return UNKNOWN_VALUE;
            met[met_count++] = (int32_t)value;
            break;
        case UNTOUCHED:
        case RENAMED:
            break;
        }
        if (index > 1 && is_target(tracer, step->at))
            return with_loads(merge(tracer, index - 1, place, trail), met, met_count);
        if (index > 1 && tracer->steps[index - 2].no_fall)
            return UNKNOWN_VALUE; /* reached from nowhere that was seen */
    }
    return with_loads(at_entry(tracer, &place), met, met_count);
}

struct call_value call_trace_back(struct call_tracer *tracer, size_t call_end, unsigned reg)
{
    uint32_t after = (uint32_t)tracer->step_count;

    while (after > 0 && tracer->steps[after - 1].at >= call_end)
        after--;
    if (after == 0 || tracer->steps[after - 1].kind != CALL_STEP_CALL ||
        (after < tracer->step_count && tracer->steps[after].at != call_end))
        return UNKNOWN_VALUE;
    tracer->budget = BUDGET_STEPS;
    tracer->looped = false;
    const uint32_t call = after - 1;
    const struct place place = {.reg = reg};
    if (is_target(tracer, tracer->steps[call].at) && call > 0)
        return merge(tracer, call, place, NULL);
    if (call > 0 && tracer->steps[call - 1].no_fall)
        return UNKNOWN_VALUE; /* reached from nowhere that was seen */
    return follow(tracer, call, place, NULL);
}
