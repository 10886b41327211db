/* stack_source.h - what the readers of goroutines, contentions and threads need of a process.
 *
 * Filled by go_process.c; all borrowed for as long as a reading lasts. */
#ifndef GOPROFD_GOPROC_STACK_SOURCE_H
#define GOPROFD_GOPROC_STACK_SOURCE_H

#include <stddef.h>
#include <stdint.h>

struct call_stacks;
struct go_layout;
struct mapping;
struct memory;
struct pclntab;
struct site_table;
struct symbols;
struct tick_clock;

struct stack_source {
    struct memory *memory;
    const struct go_layout *layout;
    const struct symbols *symbols;
    struct pclntab *functions;
    struct call_stacks *stacks;
    struct site_table *sites;
    const struct tick_clock *clock;
    const struct mapping *mappings; /* in [sites] */
    size_t mapping_count;
    size_t profile_depth; /* pcs of a stack that the process's own profiles show (profile_depth.h) */
};

/* How a step of a reading ended. */
enum reading_step {
    READING_MORE, /* its time is over: call again */
    READING_DONE, /* the profile is there */
    READING_FAILED,
};

#endif
