/* threads.c - walks the runtime's list of threads.
 *
 * Called by stack_reading.c.  A thread that ends is taken out of the list and its m freed, so that
 * a link may lead nowhere: the profile is then partial. */
#include "core/goproc/threads.h"

#include <stddef.h>

#include "core/goproc/call_stacks.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/symbols.h"
#include "core/store/stack_profile.h"

enum { CREATE_STACK_PCS = 32 };

static bool count_thread(const struct stack_source *source, struct stack_profile *profile,
                         const uint64_t *pcs, struct error *err)
{
    size_t count = 0, frame_count;

    while (count < CREATE_STACK_PCS && pcs[count] != 0)
        count++;
    const struct stack *stack = stack_profile_find(profile, pcs, count, false);
    if (stack == NULL) {
        struct stack fresh = {.pcs = pcs, .pc_count = (uint32_t)count};
        if (!call_stacks_frames(source->stacks, pcs, count, &fresh.frames, &fresh.places,
                                &frame_count, err))
            return false;
        fresh.frame_count = (uint32_t)frame_count;
        stack = stack_profile_add_stack(profile, &fresh, err);
    }
    return stack != NULL && stack_profile_count(profile, stack, NULL, 1, err);
}

static bool walk(const struct stack_source *source, struct stack_profile *profile, uint64_t m,
                 struct error *err)
{
    for (size_t count = 0; m != 0; count++) {
        uint64_t pcs[CREATE_STACK_PCS];
        uint64_t next;
        const struct memory_part parts[] = {
            {m + source->layout->m_alllink, &next, sizeof(next)},
            {m + source->layout->m_createstack, pcs, sizeof(pcs)},
        };
        if (count == THREADS_MAX || m % 8 != 0 ||
            !memory_read_parts(source->memory, parts, 2, NULL)) {
            profile->partial = true;
            profile->partial_reason = "the list of threads changed while it was read";
            return true;
        }
        if (!count_thread(source, profile, pcs, err))
            return false;
        m = next;
    }
    return true;
}

const struct stack_profile *threads_read(const struct stack_source *source,
                                         uint64_t taken_realtime_ns, struct error *err)
{
    const uint64_t allm = source->symbols->address[SYMBOL_ALLM];
    uint64_t first = 0;

    if (allm == 0) {
        error_set(err, ERROR_UNSUPPORTED,
                  "threadcreate profile: nothing in the program tells where runtime.allm is");
        return NULL;
    }
    if (!memory_read(source->memory, allm, &first, sizeof(first), err)) {
        error_wrap(err, "threadcreate profile");
        return NULL;
    }
    struct stack_profile *profile = stack_profile_begin(STACK_THREADCREATE, source->sites);
    if (profile == NULL) {
        error_set(err, ERROR_NO_MEMORY, "threadcreate profile: no memory");
        return NULL;
    }
    profile->taken_realtime_ns = taken_realtime_ns;
    profile->mappings = source->mappings;
    profile->mapping_count = source->mapping_count;
    if (!walk(source, profile, first, err)) {
        stack_profile_discard(profile);
        return NULL;
    }
    return stack_profile_seal(profile);
}
