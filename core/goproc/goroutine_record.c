/* goroutine_record.c - says of a goroutine what a profile says: state, stack, creator.
 *
 * Called by goroutines.c for each goroutine it has read. */
#include "core/goproc/goroutine_record.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/goproc/call_stacks.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/goroutine_view.h"
#include "core/goproc/memory.h"
#include "core/goproc/stack_walk.h"
#include "core/goproc/symbols.h"
#include "core/store/stack_profile.h"

enum { WAIT_REASON_MAX_BYTES = 64 };

void goroutine_record_begin(struct goroutine_record *record, const struct stack_source *source,
                            struct stack_profile *profile)
{
    *record = (struct goroutine_record){
        .from = *source,
        .profile = profile,
        .stack_limit = source->profile_depth};
}

/* State. */

/* runtime.waitReasonStrings[reason], an array of strings; "waiting" if it cannot be read. */
static const char *wait_reason(struct goroutine_record *record, uint8_t reason)
{
    static const char unknown[] = "waiting";
    const uint64_t strings = record->from.symbols->address[SYMBOL_WAIT_REASON_STRINGS];
    char text[WAIT_REASON_MAX_BYTES];
    uint64_t header[2];

    if (strings == 0 || reason == 0 || reason >= GOROUTINE_WAIT_REASONS_MAX)
        return unknown;
    const char **known = &record->wait_reasons[reason];
    if (*known != NULL)
        return *known;
    *known = unknown;
    if (!memory_read(record->from.memory, strings + UINT64_C(16) * reason, header,
                     sizeof(header), NULL) ||
        header[1] == 0 || header[1] > sizeof(text) ||
        !memory_read(record->from.memory, header[0], text, (size_t)header[1], NULL))
        return unknown;
    for (size_t i = 0; i < header[1]; i++)
        if (text[i] < ' ' || text[i] > '~')
            return unknown;
    const char *copy = stack_profile_text(record->profile, text, (size_t)header[1]);
    if (copy != NULL)
        *known = copy;
    return *known;
}

static const char *state_of(struct goroutine_record *record, const struct goroutine_view *view)
{
    switch (view->status) {
    case G_RUNNABLE:
        return "runnable";
    case G_SYSCALL:
        return "syscall";
    case G_WAITING:
    case G_LEAKED:
        return wait_reason(record, view->wait_reason);
    case G_PREEMPTED:
        return "preempted";
    default:
        return "running";
    }
}

/* The profile. */

static const struct stack *stack_of(struct goroutine_record *record, const uint64_t *pcs,
                                    size_t count, bool cut, struct error *err)
{
    struct stack_profile *profile = record->profile;
    const struct stack *known = stack_profile_find(profile, pcs, count, cut);
    size_t frame_count;

    if (known != NULL)
        return known;
    struct stack stack = {.pcs = pcs, .pc_count = (uint32_t)count, .cut = cut};
    if (!call_stacks_frames(record->from.stacks, pcs, count, &stack.frames,
                            &stack.places, &frame_count, err))
        return NULL;
    stack.frame_count = (uint32_t)frame_count;
    return stack_profile_add_stack(profile, &stack, err);
}

static void find_creator(struct goroutine_record *record, const struct goroutine_view *view,
                         struct goroutine *goroutine)
{
    struct error ignored; /* who created it is an extra: it is left out */
    const char *name;
    uint64_t entry;

    if (view->gopc == 0 || view->id == 1 ||
        !stack_walk_function(record->from.functions, view->gopc, &name, &entry) ||
        !call_stacks_frame(record->from.stacks, view->gopc, &goroutine->creator,
                           &goroutine->creator_place, &ignored))
        goroutine->creator = (struct frame){0};
    else if (goroutine->creator_place.inlined)
        /* The go statement's physical function is named, as the runtime does. */
        goroutine->creator.function = site_table_string(record->from.sites, name, strlen(name));
}

/* Counts one goroutine under [shown], and lists it with [stack], its whole one, or NULL. */
static bool add(struct goroutine_record *record, const struct goroutine_view *view,
                const struct stack *stack, const struct stack *shown,
                const struct stack_labels *labels, struct error *err)
{
    struct goroutine goroutine = {.id = view->id,
                                  .parent_id = view->parent_id,
                                  .state = state_of(record, view),
                                  .wait_minutes =
                                      goroutine_waited_minutes(view, clock_monotonic_ns()),
                                  .locked_to_thread = view->lockedm != 0,
                                  .stack = stack};

    find_creator(record, view, &goroutine);
    return stack_profile_count(record->profile, shown, labels, 1, err) &&
           stack_profile_add_goroutine(record->profile, &goroutine, err);
}

bool goroutine_record_add(struct goroutine_record *record, const struct goroutine_view *view,
                          const uint64_t *pcs, size_t count, bool cut,
                          const struct stack_labels *labels, struct error *err)
{
    const struct stack *stack = stack_of(record, pcs, count, cut, err);
    const struct stack *shown = stack;

    if (stack != NULL && count > record->stack_limit)
        shown = stack_of(record, pcs, record->stack_limit, true, err);
    return shown != NULL && add(record, view, stack, shown, labels, err);
}

bool goroutine_record_add_running(struct goroutine_record *record,
                                  const struct goroutine_view *view, struct error *err)
{
    static const struct stack_label state = {.key = "state", .value = "running"};
    struct stack_profile *profile = record->profile;
    const struct stack_labels *labels = stack_profile_add_labels(profile, &state, 1, err);
    struct goroutine_view running = *view;

    running.status = G_RUNNING; /* if it does not by status, it never stood still */
    /* All goroutines without a readable stack share one: no frames, and a label that says why. */
    if (record->no_stack == NULL) {
        const struct stack none = {0};
        record->no_stack = stack_profile_add_stack(profile, &none, err);
    }
    if (labels == NULL || record->no_stack == NULL)
        return false;
    profile->without_stack++;
    return add(record, &running, NULL, record->no_stack, labels, err);
}
