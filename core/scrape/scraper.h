/* scraper.h - the thread that fetches net/http/pprof of programs elsewhere.
 *
 *   scraper thread:  GET heap, heap?debug=1, cmdline --> parsed --> result --> mailbox (1) of that program
 *   sampler thread:  each beat takes what is there; never waits
 *
 * Each program has its own interval; one that fails is tried again after growing pauses.  At most
 * SCRAPES_AT_ONCE are under way, each with one request at a time. */
#ifndef GOPROFD_SCRAPE_SCRAPER_H
#define GOPROFD_SCRAPE_SCRAPER_H

#include <stdint.h>

#include "core/base/error.h"

struct config_target;
struct scrape;
struct scrape_result;
struct scraper;

enum { SCRAPES_AT_ONCE = 64 };
#define SCRAPE_ANSWER_MAX_BYTES ((size_t)64 << 20)
/* Least time between two scrapes of a program, unless the config says another: they cost it more than being read
 * costs a process. */
#define SCRAPE_INTERVAL_MIN_NS (UINT64_C(15) * 1000000000)

struct scraper *scraper_new(struct error *err);
/* Before the start.  [target] must outlive the scraper; its interval, or else [interval_ns], counts.  The
 * scraper's; NULL without memory. */
struct scrape *scraper_add(struct scraper *scraper, const struct config_target *target,
                           uint64_t interval_ns, struct error *err);
bool scraper_start(struct scraper *scraper, struct error *err) GOPROFD_MUST_CHECK;
void scraper_stop(struct scraper *scraper); /* joins; drops what is under way */
void scraper_free(struct scraper *scraper); /* NULL is allowed */

/* The newest result since the last call, for the caller to free; NULL: there is none. */
struct scrape_result *scrape_take(struct scrape *scrape);
/* Where the program's profiles are: "http://host:6060/debug/pprof". */
const char *scrape_url(const struct scrape *scrape);

/* How long after a failure the next try is, given the pause before this one: 1, 2, 4, ... 60 s. */
uint64_t scrape_pause_ns(uint64_t last_pause_ns);

#endif
