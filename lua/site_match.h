/* site_match.h - remembers which sites a pattern matches: a site never changes, so each is looked at
 * once for each pattern, however many rules and beats ask.  Where there are many sites, which all go through the
 * same functions, so is each function.
 *
 * One for each target, bounded; part of its history.  Rule thread. */
#ifndef GOPROFD_LUA_SITE_MATCH_H
#define GOPROFD_LUA_SITE_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct site_match;
struct site_match_entry;
struct site_table;

enum { SITE_MATCH_PATTERNS_MAX = 256, SITE_MATCH_SITES_MAX = 16384 };

enum { SITE_MATCH_MANY_SITES = 1024 }; /* from here on functions are remembered, too */

enum site_verdict { SITE_UNKNOWN, SITE_NO, SITE_YES };

struct site_match *site_match_new(void); /* NULL without memory */
void site_match_free(struct site_match *match); /* NULL is allowed */
size_t site_match_bytes(const struct site_match *match);

/* The entry of this pattern (of this [kind]: a letter) for sites of [sites]; *[fresh]: it was not there
 * before.  NULL without memory.  Good until SITE_MATCH_PATTERNS_MAX others were asked for. */
struct site_match_entry *site_match_find(struct site_match *match, struct site_table *sites,
                                         char kind, const char *pattern, size_t length, bool *fresh);

/* Where the verdict on this site is kept; NULL if there is no room for it. */
uint8_t *site_match_verdict(struct site_match_entry *entry, uint32_t site_id);

/* What is remembered of [function], a string of the site table; and to remember it, as long as no other takes its
 * place. */
enum site_verdict site_match_function(const struct site_match_entry *entry, const char *function);
void site_match_note_function(struct site_match_entry *entry, const char *function, bool matches);

#endif
