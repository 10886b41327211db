/* log.c - structured lines on stderr. */
#include "core/base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/json.h"

enum { LOG_LINE_MAX_BYTES = 4096, LOG_VALUE_MAX_BYTES = 1024, LOG_LINE_TAIL_BYTES = 64 };

static _Atomic int threshold = LOG_LEVEL_INFO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

bool log_level_parse(const char *text, enum log_level *level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static void append_text(struct buffer *line, const char *text)
{
    if (text == NULL)
        text = "";
    size_t length = strlen(text);
    const bool cut = length > LOG_VALUE_MAX_BYTES;
    if (cut)
        length = LOG_VALUE_MAX_BYTES;
    bool bare = length > 0;
    for (size_t i = 0; i < length && bare; i++) {
        const unsigned char byte = (unsigned char)text[i];
        bare = byte > ' ' && byte < 0x7F && byte != '"' && byte != '=' && byte != '\\';
    }
    if (bare)
        buffer_append(line, text, length);
    else
        json_append_quoted(line, text, length);
    if (cut)
        buffer_append_string(line, "...");
}

static void append_field(struct buffer *line, const struct log_field *field)
{
    buffer_append_byte(line, ' ');
    buffer_append_string(line, field->key);
    buffer_append_byte(line, '=');
    switch (field->kind) {
    case LOG_KIND_STRING:
        append_text(line, field->value.string);
        break;
    case LOG_KIND_I64:
        buffer_append_i64(line, field->value.i64);
        break;
    case LOG_KIND_U64:
        buffer_append_u64(line, field->value.u64);
        break;
    case LOG_KIND_F64:
        buffer_printf(line, "%.6g", field->value.f64);
        break;
    }
}

void log_write(enum log_level level, const struct log_field *fields, size_t count)
{
    struct buffer line;
    buffer_init(&line, LOG_LINE_MAX_BYTES);

    char when[CLOCK_RFC3339_BYTES];
    const uint64_t now_ns = clock_realtime_ns();
    clock_format_rfc3339(now_ns - now_ns % CLOCK_NS_PER_MS, when);
    buffer_append_string(&line, "time=");
    buffer_append_string(&line, when);
    buffer_append_string(&line, " level=");
    buffer_append_string(&line, level_names[level]);
    uint64_t fields_dropped = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t before = line.length;
        append_field(&line, &fields[i]);
        if (line.failed) { /* over the cap, or no memory: a whole field goes, never half of a quote */
            line.failed = false;
            line.length = before;
            fields_dropped++;
        }
    }
    line.max_bytes += LOG_LINE_TAIL_BYTES;
    if (fields_dropped > 0)
        buffer_printf(&line, " fields_dropped=%llu", (unsigned long long)fields_dropped);
    buffer_append_byte(&line, '\n');
    for (size_t done = 0; done < line.length;) {
        const ssize_t n = write(STDERR_FILENO, line.data + done, line.length - done);
        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* nowhere left to say so */
        done += (size_t)n;
    }
    buffer_release(&line);
}
