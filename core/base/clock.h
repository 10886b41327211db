/* clock.h - the only readers of the system's clocks.
 *
 * Only loops at the top (sampler, rule engine, http) call these; everything below takes
 * now_ns as a parameter, so that tests choose the time. */
#ifndef GOPROFD_BASE_CLOCK_H
#define GOPROFD_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_NS_PER_S UINT64_C(1000000000)
#define CLOCK_NS_PER_MS UINT64_C(1000000)

enum { CLOCK_RFC3339_BYTES = 40 };

uint64_t clock_monotonic_ns(void); /* CLOCK_MONOTONIC; schedules and durations */
uint64_t clock_boottime_ns(void);  /* CLOCK_BOOTTIME; ages of processes */
uint64_t clock_realtime_ns(void);  /* since the Unix epoch; timestamps people see */
uint64_t clock_thread_cpu_ns(void);
uint64_t clock_process_cpu_ns(void);

/* Sleeps until [deadline_ns] on the monotonic clock; wakes early only for a signal. */
void clock_sleep_until_ns(uint64_t deadline_ns);

/* Writes [realtime_ns] as RFC 3339 in UTC, "2026-11-23T00:47:32.123456789Z", with no
 * fraction if it is zero (as Go's time.Time marshals to JSON).  Returns the length. */
size_t clock_format_rfc3339(uint64_t realtime_ns, char out[CLOCK_RFC3339_BYTES]);

/* The reverse, for `since` and `until`: RFC 3339 (UTC or offset) or Unix seconds with an
 * optional fraction.  Returns false if [text] is neither. */
bool clock_parse_time(const char *text, uint64_t *realtime_ns);

#endif
