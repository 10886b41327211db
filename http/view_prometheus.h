/* view_prometheus.h - everything as Prometheus text 0.0.4.  Pure: no clock, no socket; any thread.
 *
 * Each family once, HELP and TYPE before its samples.  Label values are made valid UTF-8, escaped
 * and bounded; no pid, address or stack becomes one.  A target that is not read any more has no
 * samples but those that say so: a number that stands still would look like a measurement. */
#ifndef GOPROFD_HTTP_VIEW_PROMETHEUS_H
#define GOPROFD_HTTP_VIEW_PROMETHEUS_H

#include <stddef.h>
#include <stdint.h>

struct board_counters;
struct board_page;
struct buffer;
struct finding_set;
struct latency;
struct rules_report;
struct self_stats;

enum { PROMETHEUS_LABEL_MAX_BYTES = 256, PROMETHEUS_ALERT_SERIES_MAX = 1000,
       PROMETHEUS_RULES_MAX = 200 };

struct prometheus_source {
    const struct board_page *page;
    const struct finding_set *findings;
    const struct board_counters *counters;
    const struct self_stats *self;
    const struct latency *latency;
    const uint64_t *captures; /* per target of the page */
    const struct rules_report *rules; /* or NULL */
};

void view_prometheus(struct buffer *out, const struct prometheus_source *source);

/* A family that is not in the field or counter tables, for docs/metrics.md and its test. */
struct prometheus_family {
    const char *name;
    const char *type; /* "gauge", "counter", "summary", "histogram" */
    const char *labels;
    const char *help;
};
extern const struct prometheus_family prometheus_families[];
extern const size_t prometheus_family_count;

/* Appends [text] as it must stand between quotes in a label. */
void view_prometheus_label(struct buffer *out, const char *text);

#endif
