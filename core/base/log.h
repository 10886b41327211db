/* log.h - structured lines on stderr: time, level, msg, then key=value.
 *
 *   time=2026-11-23T00:47:32.123Z level=warn msg="target gone" target=demo pid=4711
 *
 * log_info(log_msg("target gone"), log_str("target", name), log_i64("pid", pid));
 *
 * Values are quoted when they need it, so a hostile name cannot forge a line; one line is
 * one write(2).  Any thread may call it.  The level is the house's one piece of global
 * state: standard error itself belongs to the whole process. */
#ifndef GOPROFD_BASE_LOG_H
#define GOPROFD_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

enum log_kind { LOG_KIND_STRING, LOG_KIND_I64, LOG_KIND_U64, LOG_KIND_F64 };

struct log_field {
    const char *key;
    enum log_kind kind;
    union {
        const char *string;
        int64_t i64;
        uint64_t u64;
        double f64;
    } value;
};

static inline struct log_field log_str(const char *key, const char *value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_STRING, .value.string = value};
}
static inline struct log_field log_msg(const char *text)
{
    return log_str("msg", text);
}
static inline struct log_field log_i64(const char *key, int64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_I64, .value.i64 = value};
}
static inline struct log_field log_u64(const char *key, uint64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_U64, .value.u64 = value};
}
static inline struct log_field log_f64(const char *key, double value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_F64, .value.f64 = value};
}

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
bool log_level_parse(const char *text, enum log_level *level); /* "debug" ... "error" */

void log_write(enum log_level level, const struct log_field *fields, size_t count);

#define LOG_AT_(level, ...)                                                                        \
    do {                                                                                           \
        if (log_enabled(level))                                                                    \
            log_write(level, (const struct log_field[]){__VA_ARGS__},                              \
                      sizeof((const struct log_field[]){__VA_ARGS__}) /                            \
                          sizeof(struct log_field));                                               \
    } while (0)
#define log_debug(...) LOG_AT_(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) LOG_AT_(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) LOG_AT_(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) LOG_AT_(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
