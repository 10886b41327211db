/* config_scrape.h - the members of a target that is scraped; for config*.c only. */
#ifndef GOPROFD_BASE_CONFIG_SCRAPE_H
#define GOPROFD_BASE_CONFIG_SCRAPE_H

#include <stdbool.h>

struct config_load;
struct config_node;
struct config_scrape;

/* In the order of struct config_scrape. */
#define CONFIG_SCRAPE_KEYS                                                                         \
    "interval", "timeout", "bearer_token_file", "basic_auth_file", "ca_file", "cert_file", "key_file"
enum { CONFIG_SCRAPE_MEMBERS = 7 };

/* Sets [scrape] from the members called [names] of [entry] ("targets[3]"); NULL values are absent.  False
 * after reporting every problem. */
bool config_set_scrape(struct config_load *load, const char *entry, const char *const *names,
                       const struct config_node *const *values, struct config_scrape *scrape);

#endif
