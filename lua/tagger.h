/* tagger.h - `tags = function(frames) ... end` of config.lua, run for each new site.
 *
 *   main: tagger_new -> tagger_site_tagger -> sampler: one call a site -> main: tagger_free
 *
 * config.lua is compiled once more in a state of its own, which from the start on belongs to the sampler
 * thread.  frames is a list, leaf first, of { func=, file=, line=, package= }. */
#ifndef GOPROFD_LUA_TAGGER_H
#define GOPROFD_LUA_TAGGER_H

#include "core/base/error.h"

struct board_counters;
struct site_tagger;
struct tagger;

/* [path] is a config whose `tags` is a function.  [counters] is borrowed.  NULL with the reason. */
struct tagger *tagger_new(const char *path, struct board_counters *counters, struct error *err);
void tagger_free(struct tagger *tagger); /* NULL is allowed */

/* For sampler_use_tagger(); stays the tagger's. */
const struct site_tagger *tagger_site_tagger(const struct tagger *tagger);

#endif
