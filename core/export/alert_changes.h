/* alert_changes.h - what a new set of findings changed: alerts that opened, closed, or changed severity.
 *
 * Pure: two sealed sets in, a list of items out.  An alert that vanished without being resolved (its rule
 * or target went away) counts as closed.  Suggestions and pending alerts are nobody's business. */
#ifndef GOPROFD_EXPORT_ALERT_CHANGES_H
#define GOPROFD_EXPORT_ALERT_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/export/notify_message.h"

struct finding_set;

struct alert_changes {
    struct notify_item *items; /* borrow from both sets */
    size_t count;
};

/* From [before] (NULL: nothing) to [after].  False without memory. */
bool alert_changes_find(struct alert_changes *changes, const struct finding_set *before,
                        const struct finding_set *after, uint64_t now_realtime_ns);
/* All that fire in [set]. */
bool alert_changes_firing(struct alert_changes *changes, const struct finding_set *set);
void alert_changes_release(struct alert_changes *changes); /* harmless when zeroed */

#endif
