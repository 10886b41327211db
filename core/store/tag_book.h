/* tag_book.h - the tags of one target: who says them, what is known of its functions, how many there are.
 *
 * Belongs to a site table and to its thread. */
#ifndef GOPROFD_STORE_TAG_BOOK_H
#define GOPROFD_STORE_TAG_BOOK_H

#include <stddef.h>

struct frame;
struct frame_role;
struct site_table;
struct site_tagger;
struct tag_book;

struct tag_book *tag_book_new(void); /* NULL without memory */
void tag_book_free(struct tag_book *book); /* NULL is allowed */

/* From now on; borrowed.  NULL: defaults only. */
void tag_book_use(struct tag_book *book, const struct site_tagger *tagger);

/* Gives back what was remembered of functions: most of a target's sites come in its first read. */
void tag_book_rest(struct tag_book *book);

/* The tag of a stack, leaf first, as a string of [table]: by the rules of the config, else by its function,
 * else by default (tag_defaults.h).  NULL when the table's cap is reached, or without memory. */
const char *tag_book_tag(struct tag_book *book, struct site_table *table,
                         const struct frame *const *frames, size_t count);

/* The role of [frame]'s function; its texts are strings of the book's table. */
struct frame_role tag_book_role(struct tag_book *book, const struct frame *frame);

#endif
