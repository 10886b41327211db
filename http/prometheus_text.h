/* prometheus_text.h - pieces of the Prometheus text format, for the view_prometheus*.c files. */
#ifndef GOPROFD_HTTP_PROMETHEUS_TEXT_H
#define GOPROFD_HTTP_PROMETHEUS_TEXT_H

#include <stdint.h>

#include "core/store/fields.h"

struct buffer;

/* "# HELP ..." and "# TYPE ...".  [help] holds neither a backslash nor a line's end. */
void prometheus_begin_family(struct buffer *out, const char *name, const char *type,
                             const char *help);
const char *prometheus_type(enum field_kind kind); /* "counter", "gauge" */

/* 'NAME="VALUE"' behind [before], which is '{' or ','. */
void prometheus_label(struct buffer *out, char before, const char *name, const char *value);

void prometheus_f64(struct buffer *out, double value);
void prometheus_seconds(struct buffer *out, uint64_t ns); /* all nine digits that matter, no more */

/* "} VALUE" and the line's end. */
void prometheus_end_u64(struct buffer *out, uint64_t value);
void prometheus_end_seconds(struct buffer *out, uint64_t ns);

#endif
