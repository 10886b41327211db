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

uint64_t clock_boottime_ns(void)
{
    return read_clock(CLOCK_BOOTTIME);
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

/* Reads exactly [count] digits at [*cursor]; scanf and strptime would take blanks and signs too. */
static bool parse_digits(const char **cursor, unsigned count, int *value)
{
    int number = 0;
    for (unsigned i = 0; i < count; i++) {
        const char digit = (*cursor)[i];
        if (digit < '0' || digit > '9')
            return false;
        number = number * 10 + (digit - '0');
    }
    *cursor += count;
    *value = number;
    return true;
}

static bool parse_byte(const char **cursor, char wanted)
{
    if (**cursor != wanted)
        return false;
    (*cursor)++;
    return true;
}

/* "2026-11-23T00:47:32", as UTC.  Days that do not exist are refused: timegm() would move them. */
static bool parse_date_time(const char **cursor, int64_t *seconds)
{
    struct tm tm = {0};
    if (!parse_digits(cursor, 4, &tm.tm_year) || !parse_byte(cursor, '-') ||
        !parse_digits(cursor, 2, &tm.tm_mon) || !parse_byte(cursor, '-') ||
        !parse_digits(cursor, 2, &tm.tm_mday) || !parse_byte(cursor, 'T') ||
        !parse_digits(cursor, 2, &tm.tm_hour) || !parse_byte(cursor, ':') ||
        !parse_digits(cursor, 2, &tm.tm_min) || !parse_byte(cursor, ':') ||
        !parse_digits(cursor, 2, &tm.tm_sec))
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (tm.tm_mon > 11 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    const int day = tm.tm_mday;
    const int month = tm.tm_mon;
    const bool leap_second = tm.tm_sec == 60;
    *seconds = (int64_t)timegm(&tm);
    return leap_second || (tm.tm_mday == day && tm.tm_mon == month);
}

/* "Z", "+02:00", "-07:30" up to the end of the text */
static bool parse_offset(const char *cursor, int64_t *offset_s)
{
    int hours = 0;
    int minutes = 0;
    *offset_s = 0;
    if (*cursor == 'Z')
        return cursor[1] == '\0';
    const char sign = *cursor;
    if (sign != '+' && sign != '-')
        return false;
    cursor++;
    if (!parse_digits(&cursor, 2, &hours) || !parse_byte(&cursor, ':') ||
        !parse_digits(&cursor, 2, &minutes) || *cursor != '\0' || hours > 23 || minutes > 59)
        return false;
    *offset_s = (int64_t)(hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
    return true;
}

bool clock_parse_time(const char *text, uint64_t *realtime_ns)
{
    if (parse_unix_seconds(text, realtime_ns))
        return true;

    const char *cursor = text;
    int64_t seconds = 0;
    int64_t offset_s = 0;
    uint64_t fraction_ns = 0;
    if (!parse_date_time(&cursor, &seconds) || !parse_fraction(&cursor, &fraction_ns) ||
        !parse_offset(cursor, &offset_s))
        return false;
    seconds -= offset_s;
    if (seconds < 0 || (uint64_t)seconds > UINT64_MAX / CLOCK_NS_PER_S - 1) /* 1970 to 2554 */
        return false;
    *realtime_ns = (uint64_t)seconds * CLOCK_NS_PER_S + fraction_ns;
    return true;
}
