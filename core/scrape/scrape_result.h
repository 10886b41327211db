/* scrape_result.h - what one scrape of a program brought: made by the scraping thread, taken by the sampler's. */
#ifndef GOPROFD_SCRAPE_SCRAPE_RESULT_H
#define GOPROFD_SCRAPE_SCRAPE_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/mailbox.h"
#include "core/scrape/memstats_text.h"

struct parsed_profile;

struct scrape_result {
    struct message message; /* first: the mailbox's link */
    uint64_t realtime_ns;   /* when the first answer was there */
    uint64_t monotonic_ns;
    uint64_t duration_ns; /* of all requests together */
    uint64_t bytes;       /* of all answers together */
    const struct parsed_profile *profile; /* NULL: see profile_error */
    bool has_stats;                       /* else see stats_error */
    struct memstats_text stats;
    struct error profile_error;
    struct error stats_error;
    char *cmdline; /* arguments with NULs between them; NULL: not told */
    size_t cmdline_length;
};

void scrape_result_free(struct scrape_result *result); /* NULL is allowed */

#endif
