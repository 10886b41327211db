/* pack_names.h - numbers for what a history stream names once: texts, sites, groups.
 *
 * 1, 2, ... in the order in which they come; for pack.c. */
#ifndef GOPROFD_STORE_PACK_NAMES_H
#define GOPROFD_STORE_PACK_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack_name;

/* Zeroed: empty. */
struct pack_names {
    struct pack_name *slots_;
    size_t slot_count_;
    size_t count_;
    bool failed; /* no memory, sticks: a number that was given out may be given out again */
};

void pack_names_release(struct pack_names *names); /* empty again */
size_t pack_names_count(const struct pack_names *names);

uint64_t pack_names_pair(struct pack_names *names, uint64_t first, uint64_t second, bool *is_new);
uint64_t pack_names_text(struct pack_names *names, const char *text, size_t length, bool *is_new);

#endif
