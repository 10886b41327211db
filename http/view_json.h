/* view_json.h - what the board holds, as JSON.  Pure: no clock, no socket; any thread.
 *
 * Numbers come from the field table: one that a source could not know is left out, never zero. */
#ifndef GOPROFD_HTTP_VIEW_JSON_H
#define GOPROFD_HTTP_VIEW_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "core/store/finding.h"

struct json;
struct snapshot;
struct target_info;
struct target_view;
struct top_entry;

/* An object.  [fields]: bit i lets field i through; NULL lets everything through, and the top
 * lists too. */
void view_json_snapshot(struct json *json, const struct target_info *info,
                        const struct snapshot *snapshot, const uint64_t *fields);

/* An object of a top list.  [target] NULL: not named.  [window_s]: how long a time it covers; 0: all there ever was. */
void view_json_top_allocation(struct json *json, const char *target, const struct top_entry *entry,
                              double window_s);
void view_json_top_retention(struct json *json, const char *target, const struct top_entry *entry,
                             const struct snapshot *snapshot, double window_s);

/* An object; [details] adds the command line and build settings. */
void view_json_target(struct json *json, const struct target_view *view, uint64_t captures,
                      bool details);

void view_json_alert(struct json *json, const struct finding *alert);
void view_json_suggestion(struct json *json, const struct finding *suggestion);
void view_json_rules(struct json *json, const struct rules_report *report);

#endif
