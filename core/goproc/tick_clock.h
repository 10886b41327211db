/* tick_clock.h - how many CPU ticks a second has: what turns the runtime's cycles into nanoseconds.
 *
 * In this order, the first that is known:
 *
 *   runtime.ticks.val            what the process itself has worked out, and divides by
 *   runtime.ticks.start*         since its start, by the runtime's own formula (Go 1.22 on)
 *   our own look at the counter  since the process was opened, if the counter's rate is constant
 *
 * (type ticksType, src/runtime/runtime.go, Go 1.19 to 1.27.)  Otherwise it is not known, and not
 * guessed. */
#ifndef GOPROFD_GOPROC_TICK_CLOCK_H
#define GOPROFD_GOPROC_TICK_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct go_layout;
struct memory;
struct symbols;

struct tick_clock {
    uint64_t ticks; /* at [monotonic_ns] */
    uint64_t monotonic_ns;
    bool is_constant; /* the counter goes at one rate whatever the CPU does */
};

void tick_clock_start(struct tick_clock *clock);

/* False: not known.  May sleep for a few milliseconds when [clock] has only just been started. */
bool tick_clock_per_second(const struct tick_clock *clock, struct memory *memory,
                           const struct symbols *symbols, const struct go_layout *layout,
                           uint64_t *ticks_per_second);

#endif
