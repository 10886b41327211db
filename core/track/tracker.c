/* tracker.c - see tracker.h.
 *
 * The counts of a program lie in one array, found by a hash of type and tag; each has a site of the target's table, with
 * the tag for a function, since who pushes has no stacks. */
#include "core/track/tracker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/store/profile.h"
#include "core/store/site.h"
#include "core/track/track_batch.h"

enum { SLOTS = 2 * TRACKER_GROUPS_MAX };
_Static_assert((SLOTS & (SLOTS - 1)) == 0, "open addressing");

static const char other[] = "other";
#define SUM_MAX ((uint64_t)INT64_MAX / (2 * TRACKER_GROUPS_MAX)) /* all groups together fit, too: 10^15 bytes */
_Static_assert(SUM_MAX > TRACK_NUMBER_MAX, "a record fits");

struct group {
    const struct site *site;
    uint64_t alloc_objects; /* these two may stand still at SUM_MAX: the others must not depend on them */
    uint64_t alloc_bytes;
    int64_t held_objects; /* negative while more was told freed than allocated */
    int64_t held_bytes;
};

struct tracked {
    char name[TRACK_TARGET_MAX_BYTES + 1];
    uint64_t instance;
    uint64_t sequence;
    bool changed;   /* since the last profile */
    uint64_t cycle; /* of the last profile */
    uint64_t started_realtime_ns; /* first batch of this instance */
    struct track_reading reading;
    struct site_table *sites; /* one hold */
    size_t group_count;
    size_t group_room;
    struct group *groups;
    uint16_t slots[SLOTS]; /* group + 1 */
};

struct tracker {
    pthread_mutex_t lock;
    size_t count;
    struct tracked *targets[TRACKER_TARGETS_MAX];
};

/* ---- life ---- */

struct tracker *tracker_new(void)
{
    struct tracker *tracker = calloc(1, sizeof(*tracker));
    if (tracker != NULL && pthread_mutex_init(&tracker->lock, NULL) != 0) {
        free(tracker);
        return NULL;
    }
    return tracker;
}

static void tracked_free(struct tracked *tracked)
{
    if (tracked->sites != NULL)
        site_table_unref(tracked->sites);
    free(tracked->groups);
    free(tracked);
}

void tracker_free(struct tracker *tracker)
{
    if (tracker == NULL)
        return;
    for (size_t i = 0; i < tracker->count; i++)
        tracked_free(tracker->targets[i]);
    (void)pthread_mutex_destroy(&tracker->lock);
    free(tracker);
}

static struct tracked *find(struct tracker *tracker, const char *name)
{
    for (size_t i = 0; i < tracker->count; i++) {
        if (strcmp(tracker->targets[i]->name, name) == 0)
            return tracker->targets[i];
    }
    return NULL;
}

/* ---- groups ---- */

static uint32_t hash_text(uint32_t hash, const struct track_text *text)
{
    for (size_t i = 0; i < text->length; i++)
        hash = (hash ^ (unsigned char)text->text[i]) * UINT32_C(16777619);
    return (hash ^ 0xff) * UINT32_C(16777619);
}

static bool equals(const char *known, const struct track_text *text)
{
    return strncmp(known, text->text, text->length) == 0 && known[text->length] == '\0';
}

static const struct site *add_site(struct tracked *tracked, const struct track_text *type,
                                   const struct track_text *tag, uint64_t object_bytes,
                                   uint64_t now_realtime_ns, struct error *err)
{
    const char *type_name = site_table_string(tracked->sites, type->text, type->length);
    const char *tag_name = site_table_string(tracked->sites, tag->text, tag->length);
    if (type_name == NULL || tag_name == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for the types of %s", tracked->name);
        return NULL;
    }
    const struct frame frame = {.function = tag_name, .file = "", .starts_location = true};
    const struct frame *const frames[] = {&frame};
    const struct site past = {.frame_count = 1,
                              .frames = frames,
                              .object_bytes = object_bytes,
                              .primitive = "",
                              .type_name = type_name,
                              .tag = tag_name,
                              .first_seen_realtime_ns = now_realtime_ns,
                              .blame = &frame,
                              .package = ""};
    return site_table_add_past(tracked->sites, &past, err);
}

static bool reserve_group(struct tracked *tracked)
{
    if (tracked->group_count < tracked->group_room)
        return true;
    const size_t room = tracked->group_room > 0 ? 2 * tracked->group_room : 16;
    struct group *grown = realloc(tracked->groups, room * sizeof(*grown));
    if (grown == NULL)
        return false;
    tracked->groups = grown;
    tracked->group_room = room;
    return true;
}

/* The group of [type] and [tag], made if it is new; NULL without memory.  The last one there is room for is that of all
 * the others. */
static struct group *group_for(struct tracked *tracked, const struct track_text *type,
                               const struct track_text *tag, uint64_t object_bytes,
                               uint64_t now_realtime_ns, struct error *err)
{
    uint32_t hash = hash_text(hash_text(UINT32_C(2166136261), type), tag);
    for (size_t at = hash & (SLOTS - 1);; at = (at + 1) & (SLOTS - 1)) {
        if (tracked->slots[at] != 0) {
            struct group *known = &tracked->groups[tracked->slots[at] - 1];
            if (equals(known->site->type_name, type) && equals(known->site->tag, tag))
                return known;
            continue;
        }
        const bool is_other = type->text == other;
        if (tracked->group_count >= TRACKER_GROUPS_MAX - 1 && !is_other) {
            static const struct track_text rest = {.text = other, .length = sizeof(other) - 1};
            tracked->reading.groups_dropped++;
            return group_for(tracked, &rest, &rest, 0, now_realtime_ns, err);
        }
        if (!reserve_group(tracked)) {
            (void)error_set(err, ERROR_NO_MEMORY, "no memory for the types of %s", tracked->name);
            return NULL;
        }
        const struct site *site = add_site(tracked, type, tag, object_bytes, now_realtime_ns, err);
        if (site == NULL)
            return NULL;
        struct group *group = &tracked->groups[tracked->group_count++];
        *group = (struct group){.site = site};
        tracked->slots[at] = (uint16_t)tracked->group_count;
        return group;
    }
}

/* ---- taking ---- */

/* The program was started (again). */
static bool start_over(struct tracked *tracked, const struct track_batch *batch,
                       uint64_t now_realtime_ns)
{
    struct site_table *sites = site_table_new();
    if (sites == NULL)
        return false;
    if (tracked->sites != NULL)
        site_table_unref(tracked->sites);
    tracked->sites = sites;
    tracked->group_count = 0;
    memset(tracked->slots, 0, sizeof(tracked->slots));
    tracked->instance = batch->instance;
    tracked->sequence = 0;
    tracked->started_realtime_ns = now_realtime_ns;
    tracked->reading.batches = 0;
    tracked->reading.groups_dropped = 0;
    tracked->reading.instances++;
    tracked->changed = true;
    return true;
}

static struct tracked *find_or_add(struct tracker *tracker, const struct track_batch *batch,
                                   struct error *err)
{
    struct tracked *tracked = find(tracker, batch->target);
    if (tracked != NULL)
        return tracked;
    if (tracker->count == TRACKER_TARGETS_MAX) {
        (void)error_set(err, ERROR_LIMIT, "%d programs push already, and no more can",
                        TRACKER_TARGETS_MAX);
        return NULL;
    }
    tracked = calloc(1, sizeof(*tracked));
    if (tracked == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for target %s", batch->target);
        return NULL;
    }
    (void)snprintf(tracked->name, sizeof(tracked->name), "%s", batch->target);
    tracker->targets[tracker->count++] = tracked;
    return tracked;
}

/* Whoever pushes nonsense gets a sum that stands still, not one that turns around. */
static void add(uint64_t *sum, uint64_t value)
{
    *sum = *sum > SUM_MAX - value ? SUM_MAX : *sum + value;
}

static void add_held(int64_t *held, uint64_t allocated, uint64_t freed)
{
    const int64_t change = (int64_t)allocated - (int64_t)freed; /* each at most TRACK_NUMBER_MAX */
    *held += change;
    if (*held > (int64_t)SUM_MAX)
        *held = (int64_t)SUM_MAX;
    if (*held < -(int64_t)SUM_MAX)
        *held = -(int64_t)SUM_MAX;
}

static bool add_records(struct tracked *tracked, const struct track_batch *batch,
                        uint64_t now_realtime_ns, struct error *err)
{
    for (size_t i = 0; i < batch->record_count; i++) {
        const struct track_record *record = &batch->records[i];
        const uint64_t object_bytes =
            record->alloc_objects > 0 ? record->alloc_bytes / record->alloc_objects : 0;
        struct group *group = group_for(tracked, &record->type, &record->tag, object_bytes,
                                        now_realtime_ns, err);
        if (group == NULL)
            return false;
        add(&group->alloc_objects, record->alloc_objects);
        add(&group->alloc_bytes, record->alloc_bytes);
        add_held(&group->held_objects, record->alloc_objects, record->free_objects);
        add_held(&group->held_bytes, record->alloc_bytes, record->free_bytes);
        tracked->changed = true;
    }
    return true;
}

/* What the batch says is all there is. */
static void forget_counts(struct tracked *tracked)
{
    for (size_t i = 0; i < tracked->group_count; i++)
        tracked->groups[i] = (struct group){.site = tracked->groups[i].site};
    tracked->changed = true;
}

static bool take(struct tracker *tracker, const struct track_batch *batch, uint64_t now_realtime_ns,
                 uint64_t now_monotonic_ns, enum track_outcome *outcome, struct error *err)
{
    struct tracked *tracked = find(tracker, batch->target);
    const bool is_new = tracked == NULL || tracked->sites == NULL || tracked->instance != batch->instance;
    if (is_new && batch->sequence > 1 && !batch->totals) {
        *outcome = TRACK_UNKNOWN;
        return true;
    }
    tracked = find_or_add(tracker, batch, err);
    if (tracked == NULL)
        return false;
    if (is_new && !start_over(tracked, batch, now_realtime_ns))
        return error_set(err, ERROR_NO_MEMORY, "no memory for target %s", batch->target);
    tracked->reading.heard_ns = now_monotonic_ns;
    if (batch->sequence != 0 && batch->sequence <= tracked->sequence) {
        *outcome = TRACK_REPEATED;
        return true;
    }
    if (batch->totals)
        forget_counts(tracked);
    /* Without memory for all of it a part counts, and the number is taken: nothing may count twice. */
    tracked->sequence = batch->sequence;
    tracked->reading.batches++;
    *outcome = TRACK_TAKEN;
    return add_records(tracked, batch, now_realtime_ns, err);
}

bool tracker_take(struct tracker *tracker, const struct track_batch *batch, uint64_t now_realtime_ns,
                  uint64_t now_monotonic_ns, enum track_outcome *outcome, struct error *err)
{
    (void)pthread_mutex_lock(&tracker->lock);
    const bool ok = take(tracker, batch, now_realtime_ns, now_monotonic_ns, outcome, err);
    (void)pthread_mutex_unlock(&tracker->lock);
    return ok;
}

/* ---- reading ---- */

bool tracker_name(struct tracker *tracker, size_t index, char name[], size_t size)
{
    (void)pthread_mutex_lock(&tracker->lock);
    const bool found = index < tracker->count;
    if (found)
        (void)snprintf(name, size, "%s", tracker->targets[index]->name);
    (void)pthread_mutex_unlock(&tracker->lock);
    return found;
}

/* More than was allocated cannot have been freed, whatever is pushed; nor is more held. */
static int64_t shown(int64_t held, uint64_t allocated)
{
    return held < 0 ? 0 : (uint64_t)held > allocated ? (int64_t)allocated : held;
}

static const struct profile *build_profile(struct tracked *tracked, uint64_t now_realtime_ns,
                                           uint64_t window_ns)
{
    site_table_begin_read(tracked->sites, now_realtime_ns, window_ns);
    struct profile *profile = profile_begin(tracked->sites, tracked->group_count + 1);
    if (profile == NULL)
        return NULL;
    profile->taken_realtime_ns = now_realtime_ns;
    profile->start_realtime_ns = tracked->started_realtime_ns;
    profile->cycle = ++tracked->cycle;
    profile->rate = 1;
    for (size_t i = 0; i < tracked->group_count; i++) {
        const struct group *group = &tracked->groups[i];
        const int64_t held_objects = shown(group->held_objects, group->alloc_objects);
        profile->entries[profile->entry_count++] = (struct profile_entry){
            .site = group->site,
            .allocs = group->alloc_objects,
            .frees = group->alloc_objects - (uint64_t)held_objects,
            .alloc_objects = (int64_t)group->alloc_objects,
            .alloc_bytes = (int64_t)group->alloc_bytes,
            .inuse_objects = held_objects,
            .inuse_bytes = shown(group->held_bytes, group->alloc_bytes),
        };
    }
    return profile_seal(profile);
}

bool tracker_read(struct tracker *tracker, const char *name, uint64_t now_realtime_ns,
                  uint64_t window_ns, struct track_reading *reading, const struct profile **profile,
                  struct error *err)
{
    *profile = NULL;
    (void)pthread_mutex_lock(&tracker->lock);
    struct tracked *tracked = find(tracker, name);
    bool ok = tracked != NULL && tracked->sites != NULL;
    if (!ok)
        (void)error_set(err, ERROR_NOT_FOUND, "nothing was pushed for %s", name);
    if (ok) {
        *reading = tracked->reading;
        if (tracked->changed) {
            *profile = build_profile(tracked, now_realtime_ns, window_ns);
            tracked->changed = *profile == NULL;
            if (*profile == NULL)
                ok = error_set(err, ERROR_NO_MEMORY, "no memory for a profile of %s", name);
        }
    }
    (void)pthread_mutex_unlock(&tracker->lock);
    return ok;
}

void tracker_forget(struct tracker *tracker, const char *name)
{
    struct tracked *forgotten = NULL;
    (void)pthread_mutex_lock(&tracker->lock);
    for (size_t i = 0; i < tracker->count; i++) {
        if (strcmp(tracker->targets[i]->name, name) != 0)
            continue;
        forgotten = tracker->targets[i];
        tracker->targets[i] = tracker->targets[--tracker->count];
        break;
    }
    (void)pthread_mutex_unlock(&tracker->lock);
    if (forgotten != NULL)
        tracked_free(forgotten);
}
