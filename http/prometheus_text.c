/* prometheus_text.c - pieces of the Prometheus text format. */
#include "http/prometheus_text.h"

#include <math.h>

#include "core/base/buffer.h"
#include "core/base/json.h"
#include "http/view_prometheus.h"

void view_prometheus_label(struct buffer *out, const char *text)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t length = strlen(text);
    const bool cut = length > PROMETHEUS_LABEL_MAX_BYTES;
    if (cut)
        length = PROMETHEUS_LABEL_MAX_BYTES;
    for (size_t i = 0; i < length;) {
        const size_t sequence = json_utf8_length(text + i, length - i);
        if (sequence == 0) {
            if (!(cut && length - i < 4)) /* a character that the cut split is just left out */
                buffer_append_string(out, replacement);
            i++;
            continue;
        }
        if (text[i] == '\\' || text[i] == '"')
            buffer_append_byte(out, '\\');
        if (text[i] == '\n')
            buffer_append_string(out, "\\n");
        else
            buffer_append(out, text + i, sequence);
        i += sequence;
    }
    if (cut)
        buffer_append_string(out, "...");
}

void prometheus_begin_family(struct buffer *out, const char *name, const char *type,
                             const char *help)
{
    buffer_append_string(out, "# HELP ");
    buffer_append_string(out, name);
    buffer_append_byte(out, ' ');
    buffer_append_string(out, help);
    buffer_append_string(out, "\n# TYPE ");
    buffer_append_string(out, name);
    buffer_append_byte(out, ' ');
    buffer_append_string(out, type);
    buffer_append_byte(out, '\n');
}

const char *prometheus_type(enum field_kind kind)
{
    return kind == FIELD_COUNTER ? "counter" : "gauge";
}

void prometheus_f64(struct buffer *out, double value)
{
    if (isnan(value)) {
        buffer_append_string(out, "NaN");
    } else if (isinf(value)) {
        buffer_append_string(out, value > 0 ? "+Inf" : "-Inf");
    } else {
        struct json number; /* for its shortest exact text */
        json_init(&number, out);
        json_f64(&number, value);
    }
}

void prometheus_seconds(struct buffer *out, uint64_t ns)
{
    buffer_append_u64(out, ns / 1000000000U);
    const unsigned fraction = (unsigned)(ns % 1000000000U);
    if (fraction == 0)
        return;
    char digits[16];
    int length = snprintf(digits, sizeof(digits), ".%09u", fraction);
    while (length > 0 && digits[length - 1] == '0')
        length--;
    buffer_append(out, digits, (size_t)length);
}

void prometheus_label(struct buffer *out, char before, const char *name, const char *value)
{
    buffer_append_byte(out, before);
    buffer_append_string(out, name);
    buffer_append_string(out, "=\"");
    view_prometheus_label(out, value);
    buffer_append_byte(out, '"');
}

void prometheus_end_u64(struct buffer *out, uint64_t value)
{
    buffer_append_string(out, "} ");
    buffer_append_u64(out, value);
    buffer_append_byte(out, '\n');
}

void prometheus_end_seconds(struct buffer *out, uint64_t ns)
{
    buffer_append_string(out, "} ");
    prometheus_seconds(out, ns);
    buffer_append_byte(out, '\n');
}
