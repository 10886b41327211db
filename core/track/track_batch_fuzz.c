/* track_batch_fuzz.c - libFuzzer harness: any bytes as the body of POST /v1/track, then into a tracker.
 *
 * Built with -DGOPROFD_FUZZ=ON. */
#include "core/base/fuzz_case.h"
#include "core/store/profile.h"
#include "core/track/track_batch.h"
#include "core/track/tracker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_back(struct tracker *tracker, const char *name)
{
    struct track_reading reading;
    const struct profile *profile = NULL;
    struct error err;
    if (!tracker_read(tracker, name, 1, 1, &reading, &profile, &err) || profile == NULL)
        __builtin_trap();
    if (profile->entry_count > TRACKER_GROUPS_MAX || profile->totals.inuse_bytes < 0 ||
        profile->totals.alloc_bytes < profile->totals.inuse_bytes)
        __builtin_trap();
    profile_unref(profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct track_batch batch;
    struct error err = {0};
    if (!track_batch_read(data, size, &batch, &err)) {
        if (batch.records != NULL)
            __builtin_trap();
        fuzz_case_refused(&err);
        return 0;
    }
    enum track_outcome outcome;
    struct tracker *tracker = tracker_new();
    if (tracker == NULL || !tracker_take(tracker, &batch, 1, 1, &outcome, &err))
        __builtin_trap();
    if (outcome == TRACK_TAKEN)
        read_back(tracker, batch.target);
    if (batch.sequence != 0 && outcome == TRACK_TAKEN &&
        (!tracker_take(tracker, &batch, 1, 1, &outcome, &err) || outcome != TRACK_REPEATED))
        __builtin_trap();
    tracker_free(tracker);
    track_batch_release(&batch);
    return 0;
}
