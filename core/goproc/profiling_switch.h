/* profiling_switch.h - runtime.MemProfileRate of a live process: the only thing goprofd ever writes.
 *
 * Called through go_process.c, for targets whose config says enable_heap_profiling.  Writes with
 * process_vm_writev(2), which heeds the protection of pages and needs the rights that reading needs. */
#ifndef GOPROFD_GOPROC_PROFILING_SWITCH_H
#define GOPROFD_GOPROC_PROFILING_SWITCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

struct memory;

/* The runtime's default; what is written into programs whose profiling is off. */
#define PROFILING_SWITCH_RATE INT64_C(524288)

/* Replaces the rate at [address] by [to] if it is [from]; [*written] tells whether.  False: ERROR_DENIED,
 * ERROR_GONE, or ERROR_CORRUPT if [address] cannot be the rate's or did not take the value. */
bool profiling_switch_set(struct memory *memory, pid_t pid, uint64_t address, int64_t from,
                          int64_t to, bool *written, struct error *err) GOPROFD_MUST_CHECK;

#endif
