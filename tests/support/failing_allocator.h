/* failing_allocator.h - lets the Nth allocation of a piece of code fail.
 *
 * A test program that uses it is linked with --wrap for malloc, calloc, realloc and strdup.  Counts
 * the calls of the present thread only.
 *
 *   for (uint64_t n = 0;; n++) {
 *       failing_allocator_arm(n);
 *       ... the code ...
 *       if (!failing_allocator_disarm())
 *           break;   // fewer than n + 1 allocations: all have failed once
 *   } */
#ifndef GOPROFD_TESTS_FAILING_ALLOCATOR_H
#define GOPROFD_TESTS_FAILING_ALLOCATOR_H

#include <stdbool.h>
#include <stdint.h>

/* The allocation after [successes] more fails, and only that one. */
void failing_allocator_arm(uint64_t successes);

/* Back to normal; true if an allocation was made to fail. */
bool failing_allocator_disarm(void);

#endif
