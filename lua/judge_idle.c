/* judge_idle.c - which targets need not be judged at this beat.
 *
 * Most processes of a host do nothing most of the time: no GC, no allocation, no goroutine more or less, the same memory.
 * What rules say of such a one can change only because time passes, and that is told soon enough a few seconds later:
 * with 200 idle processes and 60 rules judging each of them at each beat was two thirds of goprofd's CPU time. */
#include <math.h>

#include "core/store/snapshot.h"
#include "lua/judge_parts.h"
#include "lua/ledger.h"
#include "lua/rule_set.h"
#include "lua/snapshot_view.h"

enum { IDLE_BEATS_MAX = 9 };
static const double HEADROOM_SHARE = 0.01; /* of what is left below the limit: a change that counts */

static double value_of(const struct snapshot *snapshot, enum snapshot_field_index index)
{
    double value;
    return snapshot_field_get_f64(&snapshot->values, &snapshot_fields[index], &value) ? value
                                                                                      : (double)NAN;
}

static struct activity activity_of(const struct observation *seen)
{
    const struct snapshot *snapshot = seen->snapshot;
    return (struct activity){
        .num_gc = value_of(snapshot, SNAPSHOT_FIELD_num_gc),
        .total_alloc_bytes = value_of(snapshot, SNAPSHOT_FIELD_total_alloc_bytes),
        .goroutines = value_of(snapshot, SNAPSHOT_FIELD_goroutines),
        .rss_bytes = value_of(snapshot, SNAPSHOT_FIELD_rss_bytes),
        .headroom_bytes = value_of(snapshot, SNAPSHOT_FIELD_memory_limit_headroom_bytes),
        .profile = seen->profile,
    };
}

/* What is not known does not stand still. */
static bool stands_still(double before, double now)
{
    return !(now < before || now > before) && !isnan(before) && !isnan(now);
}

static bool headroom_stands_still(double before, double now)
{
    if (isnan(before) || isnan(now))
        return isnan(before) && isnan(now); /* there is no limit */
    return fabs(now - before) <= HEADROOM_SHARE * before;
}

static bool is_idle(const struct activity *before, const struct activity *now)
{
    return stands_still(before->num_gc, now->num_gc) &&
           stands_still(before->total_alloc_bytes, now->total_alloc_bytes) &&
           stands_still(before->goroutines, now->goroutines) &&
           stands_still(before->rss_bytes, now->rss_bytes) &&
           headroom_stands_still(before->headroom_bytes, now->headroom_bytes) &&
           before->profile == now->profile;
}

/* All rules have looked at it, and none of them is in trouble. */
static bool is_settled(const struct judge *judge, const struct watched *watched)
{
    for (size_t i = 0; i < judge->set->count; i++) {
        switch ((enum pair_outcome)watched->pairs[i].outcome) {
        case PAIR_QUIET:
        case PAIR_SKIPPED:
        case PAIR_DISABLED:
        case PAIR_WARMUP:
            break;
        case PAIR_NEVER:
        case PAIR_RAISED:
        case PAIR_SUSPENDED:
        case PAIR_FAILED:
        case PAIR_DEFERRED:
            return false;
        }
    }
    return !ledger_has_open(judge->ledger, watched->id);
}

bool judge_may_rest(struct judge *judge, struct watched *watched, const struct observation *seen)
{
    const struct activity now = activity_of(seen);
    if (watched->idle_beats < IDLE_BEATS_MAX && is_idle(&watched->activity, &now) &&
        is_settled(judge, watched)) {
        watched->idle_beats++;
        return true;
    }
    watched->activity = now;
    watched->idle_beats = 0;
    return false;
}
