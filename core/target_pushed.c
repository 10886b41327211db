/* target_pushed.c - one beat of a target that pushes what it tracks.
 *
 * http has taken the batches; here, on the sampler's thread, their counts become a profile and a snapshot.  A program
 * that falls silent is no longer up; one that stays silent for the retention window is gone. */
#include "core/target_parts.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/track/tracker.h"

/* Clients send at least an empty batch each ten seconds. */
#define SILENT_NS (60 * CLOCK_NS_PER_S)

struct pushed {
    uint64_t instances; /* of the last reading */
    uint64_t batches;
};

bool target_use_push(struct target *target)
{
    target->pushed = calloc(1, sizeof(*target->pushed));
    return target->pushed != NULL;
}

bool target_is_pushed(const struct target *target)
{
    return target->pushed != NULL;
}

void target_free_pushed(struct pushed *pushed)
{
    free(pushed);
}

static void publish(struct target *target, const struct track_reading *reading,
                    uint64_t now_monotonic_ns)
{
    struct error err;
    struct snapshot *building = snapshot_begin(clock_realtime_ns(), now_monotonic_ns);
    if (building == NULL) {
        (void)error_set(&err, ERROR_NO_MEMORY, "no memory for a snapshot");
        target_set_state(target, TARGET_FAILING, &err, now_monotonic_ns);
        return;
    }
    if (reading->groups_dropped > 0) {
        building->partial = true;
        building->partial_reason = "it has more types and tags than there is room for: the rest is counted as other";
    }
    if (target->profile != NULL)
        target_fill_profile_values(&building->values, target->profile);
    building->tops = target->tops == NULL ? NULL : tops_ref(target->tops);
    building->sequence = ++target->sequence;
    building->generation = target->generation;
    snapshot_unref(target->snapshot);
    target->snapshot = snapshot_seal(building);
    target_set_state(target, TARGET_UP, NULL, now_monotonic_ns);
}

static void note_silence(struct target *target, uint64_t silent_ns, uint64_t now_monotonic_ns)
{
    struct error err;
    const uint64_t window_ns =
        atomic_load_explicit(&target->context->retention_window_ns, memory_order_relaxed);
    (void)error_set(&err, ERROR_GONE, "nothing was pushed for a minute and more");
    target_set_state(target, silent_ns > window_ns + SILENT_NS ? TARGET_GONE : TARGET_FAILING, &err,
                     now_monotonic_ns);
}

void target_read_pushed(struct target *target, uint64_t now_monotonic_ns)
{
    const struct target_context *context = target->context;
    struct track_reading reading = {.instances = 0};
    const struct profile *profile = NULL;
    struct error err;
    if (!tracker_read(context->tracker, target->id, clock_realtime_ns(),
                      atomic_load_explicit(&context->retention_window_ns, memory_order_relaxed),
                      &reading, &profile, &err)) {
        target_set_state(target, TARGET_FAILING, &err, now_monotonic_ns);
        return;
    }
    if (reading.instances != target->pushed->instances) {
        target->generation++;
        target->info_stale = true;
    }
    target->pushed->instances = reading.instances;
    if (profile != NULL)
        target_take_profile(target, profile);
    const uint64_t silent_ns =
        now_monotonic_ns > reading.heard_ns ? now_monotonic_ns - reading.heard_ns : 0;
    if (silent_ns > SILENT_NS)
        note_silence(target, silent_ns, now_monotonic_ns);
    else
        publish(target, &reading, now_monotonic_ns);
}
