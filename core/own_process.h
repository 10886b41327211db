/* own_process.h - what goprofd asks for itself: memory, descriptors, and an end in time. */
#ifndef GOPROFD_OWN_PROCESS_H
#define GOPROFD_OWN_PROCESS_H

#include <stdint.h>

/* Before anything else. */
void own_process_keep_memory_small(void);

/* As many descriptors as the hard limit allows; a warning where it cannot be had. */
void own_process_raise_descriptor_limit(void);

/* Ends the process if it has not ended by itself within [seconds] from now and one more.  Once. */
void own_process_end_within(uint64_t seconds);

#endif
