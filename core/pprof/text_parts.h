/* text_parts.h - what the ?debug= texts of all profiles are made of.
 *
 * Used by profile_text.c and stack_text.c.  Names come from the target: control characters are
 * escaped, so that none forges a line. */
#ifndef GOPROFD_PPROF_TEXT_PARTS_H
#define GOPROFD_PPROF_TEXT_PARTS_H

#include <stddef.h>
#include <stdint.h>

struct buffer;

/* Appends [length] bytes of [text], control characters as \xNN. */
void text_append_name(struct buffer *out, const char *text, size_t length);

/* A function's name as Go shows it to people: "[...]" for its type arguments. */
struct text_shown_name {
    const char *text;
    size_t head; /* bytes before the arguments, or all of it */
    size_t tail; /* where it goes on after them; 0: there are none */
    size_t length;
};

struct text_shown_name text_shown_name(const char *function);
void text_append_shown(struct buffer *out, const struct text_shown_name *name);
size_t text_shown_columns(const struct text_shown_name *name);

size_t text_address_columns(uint64_t address);
void text_append_address(struct buffer *out, uint64_t address);

/* Tabs from a cell of [columns] to the next column, where [widest] is the widest cell above and
 * below it: as Go's text/tabwriter does with tabs of 8 and one column of padding. */
void text_append_tabs(struct buffer *out, size_t columns, size_t widest);

#endif
