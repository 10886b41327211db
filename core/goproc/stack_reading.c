/* stack_reading.c - which reader a profile on demand has.
 *
 * Called by target.c and cli_profile.c. */
#include "core/goproc/stack_reading.h"

#include <stdlib.h>

#include "core/goproc/contention.h"
#include "core/goproc/goroutines.h"
#include "core/goproc/threads.h"

/* One of these is there. */
struct stack_reading {
    struct goroutines *goroutines;
    struct contention *contention;
    const struct stack_profile *threads; /* read at once: there are few */
};

struct stack_reading *stack_reading_begin(const struct stack_source *source, enum stack_kind kind,
                                          uint64_t taken_realtime_ns, struct error *err)
{
    struct stack_reading *reading = calloc(1, sizeof(*reading));
    bool ok = false;

    if (reading == NULL) {
        error_set(err, ERROR_NO_MEMORY, "%s profile: no memory", stack_kind_name(kind));
        return NULL;
    }
    switch (kind) {
    case STACK_GOROUTINE:
        reading->goroutines =
            goroutines_begin(source, &GOROUTINES_LIMITS_DEFAULT, taken_realtime_ns, err);
        ok = reading->goroutines != NULL;
        break;
    case STACK_BLOCK:
    case STACK_MUTEX:
        reading->contention =
            contention_begin(source, kind, CONTENTION_RECORDS_MAX, taken_realtime_ns, err);
        ok = reading->contention != NULL;
        break;
    case STACK_THREADCREATE:
        reading->threads = threads_read(source, taken_realtime_ns, err);
        ok = reading->threads != NULL;
        break;
    case STACK_KIND_COUNT:
        break;
    }
    if (ok)
        return reading;
    free(reading);
    return NULL;
}

enum reading_step stack_reading_step(struct stack_reading *reading, uint64_t deadline_ns,
                                     const struct stack_profile **profile, struct error *err)
{
    if (reading->goroutines != NULL)
        return goroutines_step(reading->goroutines, deadline_ns, profile, err);
    if (reading->contention != NULL)
        return contention_step(reading->contention, deadline_ns, profile, err);
    *profile = reading->threads;
    reading->threads = NULL;
    return READING_DONE;
}

void stack_reading_free(struct stack_reading *reading)
{
    if (reading == NULL)
        return;
    goroutines_free(reading->goroutines);
    contention_free(reading->contention);
    stack_profile_unref(reading->threads);
    free(reading);
}
