/* clock.c - monotonic and wall clock, and the time format of the API. */
#include "core/base/clock.h"

#include <errno.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts = {0};
    (void)clock_gettime(id, &ts); /* cannot fail for the constant ids used here */
    return (uint64_t)ts.tv_sec * CLOCK_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

uint64_t clock_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_process_cpu_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void clock_sleep_until_ns(uint64_t deadline_ns)
{
    const struct timespec ts = {.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S),
                                .tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

size_t clock_format_rfc3339(uint64_t realtime_ns, char out[CLOCK_RFC3339_BYTES])
{
    const time_t seconds = (time_t)(realtime_ns / CLOCK_NS_PER_S);
    const unsigned fraction = (unsigned)(realtime_ns % CLOCK_NS_PER_S);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL) {
        out[0] = '\0';
        return 0;
    }
    size_t length = strftime(out, CLOCK_RFC3339_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    if (fraction != 0) {
        char digits[16];
        int n = snprintf(digits, sizeof(digits), ".%09u", fraction);
        while (n > 0 && digits[n - 1] == '0')
            n--;
        if (n > 0 && length + (size_t)n + 2 <= CLOCK_RFC3339_BYTES) {
            memcpy(out + length, digits, (size_t)n);
            length += (size_t)n;
        }
    }
    out[length++] = 'Z';
    out[length] = '\0';
    return length;
}

/* Reads ".123" at [*cursor], if there, as nanoseconds. */
static bool parse_fraction(const char **cursor, uint64_t *fraction_ns)
{
    *fraction_ns = 0;
    if (**cursor != '.')
        return true;
    const char *p = *cursor + 1;
    uint64_t unit = CLOCK_NS_PER_S / 10;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        *fraction_ns += (uint64_t)(*p - '0') * unit;
        unit /= 10;
    }
    *cursor = p;
    return true;
}

static bool parse_unix_seconds(const char *text, uint64_t *realtime_ns)
{
    char *end = NULL;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    const unsigned long long seconds = strtoull(text, &end, 10);
    if (errno != 0 || seconds > UINT64_MAX / CLOCK_NS_PER_S - 1)
        return false;
    const char *cursor = end;
    uint64_t fraction_ns = 0;
    if (!parse_fraction(&cursor, &fraction_ns) || *cursor != '\0')
        return false;
    *realtime_ns = seconds * CLOCK_NS_PER_S + fraction_ns;
    return true;
}

bool clock_parse_time(const char *text, uint64_t *realtime_ns)
{
    if (parse_unix_seconds(text, realtime_ns))
        return true;

    struct tm tm = {0};
    const char *cursor = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    uint64_t fraction_ns = 0;
    if (cursor == NULL || !parse_fraction(&cursor, &fraction_ns))
        return false;

    long offset_s = 0;
    if (*cursor == 'Z' && cursor[1] == '\0') {
        offset_s = 0;
    } else {
        unsigned hours = 0;
        unsigned minutes = 0;
        int used = 0;
        const char sign = *cursor;
        if ((sign != '+' && sign != '-') ||
            sscanf(cursor + 1, "%2u:%2u%n", &hours, &minutes, &used) != 2 ||
            cursor[1 + used] != '\0' || hours > 23 || minutes > 59)
            return false;
        offset_s = (long)(hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
    }
    const time_t seconds = timegm(&tm) - offset_s;
    if (seconds < 0)
        return false;
    *realtime_ns = (uint64_t)seconds * CLOCK_NS_PER_S + fraction_ns;
    return true;
}
