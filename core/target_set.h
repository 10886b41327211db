/* target_set.h - which programs are watched: matches the config's targets to running processes.
 *
 * Owned by the sampler thread.  Ids are the names of the config or of the executables; a second process
 * of the same name gets "-2", a third "-3", and a restarted one its predecessor's id, so that labels
 * stay few and stable. */
#ifndef GOPROFD_TARGET_SET_H
#define GOPROFD_TARGET_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct config;
struct target;
struct target_context;
struct target_set;

enum { TARGET_SET_MAX = 1024 };

/* [config] and [context] must outlive the set. */
struct target_set *target_set_new(const struct config *config,
                                  const struct target_context *context, struct error *err);
void target_set_free(struct target_set *set); /* NULL is allowed */

/* Looks for new processes and forgets discovered ones that are long gone. */
void target_set_refresh(struct target_set *set, uint64_t now_monotonic_ns);

size_t target_set_count(const struct target_set *set);
struct target *target_set_at(struct target_set *set, size_t index);

#endif
