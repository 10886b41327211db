/* site_tagger.h - what a target's owner says about tags: rules of the config, or a function.
 *
 * core does not know Lua: who does hands in a function and its context (main.c wires it).  Everything
 * here is called on the sampler thread, once for each new site. */
#ifndef GOPROFD_STORE_SITE_TAGGER_H
#define GOPROFD_STORE_SITE_TAGGER_H

#include <stdbool.h>
#include <stddef.h>

struct board_counters;
struct config_tag;
struct frame;

enum {
    TAG_MAX_BYTES = 120,    /* longer ones are cut */
    TAGS_MAX = 1000,        /* different ones of one target; what comes later is "other" */
    TAG_ROOM = TAG_MAX_BYTES + 1,
};

/* Fills [tag] from the stack, leaf first, and returns true; false if it has nothing to say about it, or
 * failed (which it counts and logs itself): the site then gets its default. */
typedef bool site_tagger_function(void *context, const struct frame *const *frames,
                                  size_t frame_count, char tag[TAG_ROOM]);

/* All borrowed; outlives every site table that uses it. */
struct site_tagger {
    const struct config_tag *rules; /* in order; the first that matches counts */
    size_t rule_count;
    site_tagger_function *function; /* NULL: none */
    void *context;                  /* of [function] */
    struct board_counters *counters; /* NULL: nobody counts */
};

#endif
