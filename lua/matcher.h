/* matcher.h - Lua patterns (reference manual, section 6.4.1) with a step budget.
 *
 * The matcher of Lua's own string library backtracks without any limit and runs no hook, so one
 * line of a rule could hang the thread for years.  This one compiles the pattern once, checks all
 * of it, and counts every comparison against [steps].  It knows nothing of Lua states.
 *
 *   "^(%a+)=[%d_]*$"  ->  ( | class %a + | ) | char = | set * | end     anchored */
#ifndef GOPROFD_LUA_MATCHER_H
#define GOPROFD_LUA_MATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

enum { MATCHER_PATTERN_MAX_BYTES = 512, MATCHER_CAPTURES_MAX = 32 };

enum matcher_item_kind {
    MATCHER_ANY,
    MATCHER_CHAR,
    MATCHER_SET,
    MATCHER_OPEN,
    MATCHER_POSITION,
    MATCHER_CLOSE,
    MATCHER_BACK,
    MATCHER_BALANCE,
    MATCHER_FRONTIER,
    MATCHER_END,
};

struct matcher_item {
    uint8_t kind;
    char repeat;    /* 0, '?', '*', '+' or '-' */
    uint8_t first;  /* the character; the capture's index; the opening one of %b */
    uint8_t second; /* the closing one of %b */
    uint16_t set;   /* index into the pattern's sets */
};

struct matcher_set {
    uint64_t bits[4]; /* one per byte value */
};

/* A compiled pattern: header, then items, then sets, in one block of the caller's memory. */
struct matcher_pattern {
    bool anchored;
    uint8_t capture_count;
    uint16_t item_count;
    struct matcher_item *items;
    struct matcher_set *sets;
};

/* Bytes of memory matcher_compile() wants for a pattern of [length] bytes. */
size_t matcher_pattern_bytes(size_t length);

/* Compiles into [memory] (aligned for uint64_t, matcher_pattern_bytes(length) long) and returns it.
 * NULL with a message if the pattern is malformed or too long.  [anchors]: '^' at the start is an
 * anchor (not in gmatch). */
struct matcher_pattern *matcher_compile(void *memory, const char *text, size_t length,
                                        bool anchors, struct error *err);

struct matcher_capture {
    size_t start;
    size_t length;
    bool is_position;
};

struct matcher_match {
    size_t start;
    size_t end;
    struct matcher_capture captures[MATCHER_CAPTURES_MAX]; /* capture_count of them are set */
};

enum matcher_result { MATCHER_NO_MATCH, MATCHER_MATCH, MATCHER_OUT_OF_STEPS };

/* Matches at exactly [start], or with _find at the first place from [start] on where it can.
 * Each comparison takes one of [*steps_left]. */
enum matcher_result matcher_at(const struct matcher_pattern *pattern, const char *subject,
                               size_t length, size_t start, uint64_t *steps_left,
                               struct matcher_match *match);
enum matcher_result matcher_find(const struct matcher_pattern *pattern, const char *subject,
                                 size_t length, size_t start, uint64_t *steps_left,
                                 struct matcher_match *match);

#endif
