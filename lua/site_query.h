/* site_query.h - which sites a rule asks for, and what is known of each: shared by sites{}, types{},
 * tags{} and packages{}.
 *
 *   { primitive =, package =, type =, tag = }   words: exact, or a prefix ("runtime.map*"); one or a list
 *   { func =, frame = }                         Lua patterns; one or a list: any may match
 *   { sort =, window =, limit =, min_bytes = } */
#ifndef GOPROFD_LUA_SITE_QUERY_H
#define GOPROFD_LUA_SITE_QUERY_H

#include <stdbool.h>
#include <stddef.h>

struct lua_State;
struct matcher_pattern;
struct observation;
struct profile_entry;
struct site;
struct site_match_entry;
struct snapshot_view;

enum { SITE_QUERY_LIMIT_DEFAULT = 10, SITE_QUERY_LIMIT_MAX = 100, SITE_QUERY_WORDS_MAX = 8 };

enum site_sort { SITE_SORT_INUSE, SITE_SORT_ALLOC, SITE_SORT_GROWTH, SITE_SORT_CHURN };

struct site_words {
    const char *words[SITE_QUERY_WORDS_MAX];
    size_t count;
};

struct site_pattern {
    const char *text;
    size_t length;
    struct site_match_entry *remembered;    /* or NULL */
    char literal[64];                       /* "" unless the pattern is plain text */
    const struct matcher_pattern *compiled; /* NULL until a site is met that was not looked at before */
};

struct site_query {
    struct site_words primitives;
    struct site_words packages;
    struct site_words types;
    struct site_words tags;
    struct site_pattern functions[SITE_QUERY_WORDS_MAX];
    size_t function_count;
    struct site_pattern frames[SITE_QUERY_WORDS_MAX];
    size_t frame_count;
    enum site_sort sort;
    double window_s;
    double min_bytes; /* of the sort value */
    size_t limit;
};

/* Reads the table at index 2 (nothing: everything).  Cuts the stack to three values, of which the last
 * keeps compiled patterns alive. */
void site_query_read(struct lua_State *L, const char *function, const struct snapshot_view *view,
                     struct site_query *query);

bool site_query_matches(struct lua_State *L, struct site_query *query, const struct site *site);

/* What is known of one site: counts now, and changes over the window (NAN where not known). */
struct site_measured {
    const struct profile_entry *entry;
    double growth_bytes;
    double churn_bytes;
    double seconds;
    double key; /* by the sort */
};

struct site_measured site_query_measure(const struct observation *seen,
                                        const struct site_query *query,
                                        const struct profile_entry *entry);

/* Of the whole profile: what the sort's percentages are of. */
double site_query_total(const struct observation *seen, const struct site_query *query);

/* Growth or churn of the whole profile over the window; NAN if not known. */
double site_query_total_churn(const struct observation *seen, const struct site_query *query,
                              double *seconds);

double site_query_percent(double part, double whole); /* NAN of nothing */

/* t[name] = value for the table on top of the stack; NAN leaves it nil. */
void site_query_set_number(struct lua_State *L, const char *name, double value);
void site_query_set_integer(struct lua_State *L, const char *name, long long value);
void site_query_set_string(struct lua_State *L, const char *name, const char *value);

size_t site_query_check_limit(struct lua_State *L, int index);

#endif
