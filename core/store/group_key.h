/* group_key.h - what puts two allocation sites into one group of the top lists. */
#ifndef GOPROFD_STORE_GROUP_KEY_H
#define GOPROFD_STORE_GROUP_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/store/profile.h"

/* Strings of one site table are equal exactly if their pointers are. */
struct group_key {
    const void *first;
    const void *second;
};

static inline struct group_key group_key_of(const struct site *site, enum group_by by)
{
    switch (by) {
    case GROUP_SITE:
        return (struct group_key){site, NULL};
    case GROUP_TYPE:
        return (struct group_key){site->type_name, NULL};
    case GROUP_TAG:
        return (struct group_key){site->tag, NULL};
    case GROUP_PACKAGE:
        return (struct group_key){site->package, NULL};
    case GROUP_TYPE_TAG:
        break;
    }
    return (struct group_key){site->type_name, site->tag};
}

static inline bool group_key_equal(struct group_key a, struct group_key b)
{
    return a.first == b.first && a.second == b.second;
}

static inline uint64_t group_key_hash(struct group_key key)
{
    uint64_t hash = (uint64_t)(uintptr_t)key.first * UINT64_C(0x9E3779B97F4A7C15);
    hash ^= (uint64_t)(uintptr_t)key.second * UINT64_C(0xC2B2AE3D27D4EB4F);
    return hash ^ hash >> 32;
}

#endif
