/* tick_clock.c - the rate of the CPU's counter, by the target's word or by measuring.
 *
 * Called by contention.c when a block or mutex profile is read. */
#include "core/goproc/tick_clock.h"

#include <stddef.h>

#include "core/base/clock.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/symbols.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#define MEASURE_MIN_NS (UINT64_C(50) * CLOCK_NS_PER_MS)
/* No counter of a machine that runs Go is slower or faster. */
#define RATE_MIN UINT64_C(100000)
#define RATE_MAX UINT64_C(100000000000)

/* The counter that runtime.cputicks reads; 0 where we do not know it. */
static uint64_t read_counter(void)
{
#if defined(__x86_64__)
    _mm_lfence();
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return 0;
#endif
}

static bool counter_is_constant(void)
{
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & 1U << 8) != 0; /* invariant TSC */
#elif defined(__aarch64__)
    return true; /* by the architecture */
#else
    return false;
#endif
}

void tick_clock_start(struct tick_clock *clock)
{
    clock->ticks = read_counter();
    clock->monotonic_ns = clock_monotonic_ns();
    clock->is_constant = counter_is_constant();
}

static bool is_plausible(uint64_t rate)
{
    return rate >= RATE_MIN && rate <= RATE_MAX;
}

/* The runtime's own formula, from one pair of readings to now. */
static bool rate_since(uint64_t start_ticks, uint64_t start_ns, uint64_t *rate)
{
    const uint64_t now_ns = clock_monotonic_ns(), now_ticks = read_counter();

    if (start_ticks == 0 || now_ticks <= start_ticks || now_ns < start_ns ||
        now_ns - start_ns < MEASURE_MIN_NS)
        return false;
    const double per_second = (double)(now_ticks - start_ticks) * 1e9 / (double)(now_ns - start_ns);
    if (per_second > (double)RATE_MAX)
        return false;
    *rate = (uint64_t)per_second;
    return is_plausible(*rate);
}

static bool rate_of_target(struct memory *memory, const struct symbols *symbols,
                           const struct go_layout *layout, uint64_t *rate)
{
    const uint64_t ticks = symbols->address[SYMBOL_TICKS];
    uint64_t start_ticks = 0, start_ns = 0;

    if (ticks == 0)
        return false;
    if (memory_read(memory, ticks + layout->ticks_val, rate, sizeof(*rate), NULL) &&
        is_plausible(*rate))
        return true;
    return layout->ticks_start_ticks != GO_LAYOUT_ABSENT &&
           memory_read(memory, ticks + layout->ticks_start_ticks, &start_ticks, 8, NULL) &&
           memory_read(memory, ticks + layout->ticks_start_time, &start_ns, 8, NULL) &&
           start_ns != 0 && rate_since(start_ticks, start_ns, rate);
}

bool tick_clock_per_second(const struct tick_clock *clock, struct memory *memory,
                           const struct symbols *symbols, const struct go_layout *layout,
                           uint64_t *ticks_per_second)
{
    if (rate_of_target(memory, symbols, layout, ticks_per_second))
        return true;
    if (!clock->is_constant)
        return false;
    if (clock_monotonic_ns() < clock->monotonic_ns + MEASURE_MIN_NS)
        clock_sleep_until_ns(clock->monotonic_ns + MEASURE_MIN_NS);
    return rate_since(clock->ticks, clock->monotonic_ns, ticks_per_second);
}
