/* unpack_target.h - what a history stream has said of one target, and its strings; for unpack.c. */
#ifndef GOPROFD_STORE_UNPACK_TARGET_H
#define GOPROFD_STORE_UNPACK_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct history_row;
struct msgpack_cursor;
struct retention_field;
struct snapshot;
struct target_info;
struct tops;
struct unpack_target;

enum { UNPACK_FIELDS_MAX = 512, UNPACK_WORDS_MAX = 40 };

/* ---- strings of a stream ---- */

struct unpack_strings { /* zeroed: empty */
    struct arena *arena;
    const char **texts;
    size_t count;
    size_t room;
};

void unpack_strings_release(struct unpack_strings *strings);
bool unpack_strings_read(struct unpack_strings *strings, struct msgpack_cursor *in, size_t count,
                         struct error *err);
const char *unpack_string(const struct unpack_strings *strings, uint64_t number); /* NULL: not known; 0: "" */

/* ---- targets ---- */

/* The map of a target record; NULL if it is not one, or without memory. */
const struct target_info *unpack_info(struct msgpack_cursor *in);

struct unpack_target *unpack_target_new(void); /* NULL without memory */
void unpack_target_free(struct unpack_target *target);
void unpack_target_restart(struct unpack_target *target); /* a stream begins */

void unpack_target_set_info(struct unpack_target *target, const struct target_info *info); /* takes over */
const struct target_info *unpack_target_info(const struct unpack_target *target);

/* Each reads its record from behind the target's number; ERROR_CORRUPT, ERROR_LIMIT, ERROR_NO_MEMORY. */
bool unpack_target_begin_process(struct unpack_target *target, struct error *err);
bool unpack_target_read_site(struct unpack_target *target, const struct unpack_strings *strings,
                             struct msgpack_cursor *in, size_t members, struct error *err);
bool unpack_target_read_group(struct unpack_target *target, const struct unpack_strings *strings,
                              struct msgpack_cursor *in, struct error *err);
bool unpack_target_read_tops(struct unpack_target *target, struct msgpack_cursor *in,
                             const struct retention_field *const *figures, size_t figure_count,
                             struct error *err);
bool unpack_target_read_profile(struct unpack_target *target, struct msgpack_cursor *in,
                                struct error *err);
bool unpack_target_read_layout(struct unpack_target *target, struct msgpack_cursor *in, size_t count,
                               size_t columns, struct error *err);
bool unpack_target_read_row(struct unpack_target *target, struct msgpack_cursor *in, size_t values,
                            struct error *err);

const uint64_t *unpack_target_row(const struct unpack_target *target); /* by column */
const struct tops *unpack_target_tops(const struct unpack_target *target);

/* Takes over [snapshot] and fills [row]; what [row] shows lives until the next. */
void unpack_target_take(struct unpack_target *target, const struct snapshot *snapshot,
                        struct history_row *row);

#endif
