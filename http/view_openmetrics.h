/* view_openmetrics.h - the page of numbers as OpenMetrics 1.0 text.
 *
 * Made from the Prometheus text, so that both always show the same.  What differs:
 *
 *   # TYPE x_total counter     becomes  # TYPE x counter      (the family is called without _total)
 *   # TYPE x counter           becomes  # TYPE x unknown      (a counter must end in _total)
 *   # TYPE x_total counter     becomes  # TYPE x_total unknown, where another family is called x
 *   the end                    # EOF
 *
 * Source: the OpenMetrics specification, sections "Metric Types" and "Text Format". */
#ifndef GOPROFD_HTTP_VIEW_OPENMETRICS_H
#define GOPROFD_HTTP_VIEW_OPENMETRICS_H

#include <stddef.h>

struct buffer;

/* Appends the OpenMetrics form of [text], which view_prometheus() wrote. */
void view_openmetrics(struct buffer *out, const char *text, size_t length);

#endif
