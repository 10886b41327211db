/* scraper.c - where the profiles of a program are, and when one that fails is tried again. */
#include "core/scrape/scraper.h"

#include <criterion/criterion.h>

#include "core/base/config.h"

Test(scraper, tries_again_after_pauses_that_double_up_to_a_minute)
{
    static const uint64_t seconds[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    uint64_t pause_ns = 0;
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        pause_ns = scrape_pause_ns(pause_ns);
        cr_assert_eq(pause_ns, seconds[i] * UINT64_C(1000000000));
    }
}

Test(scraper, finds_the_profiles_however_the_url_names_them)
{
    static const char *const urls[] = {
        "http://far:6060",
        "http://far:6060/",
        "http://far:6060/debug/pprof",
        "http://far:6060/debug/pprof/",
        "http://far:6060/debug/pprof/heap",
    };
    struct error err;
    struct scraper *scraper = scraper_new(&err);
    cr_assert_not_null(scraper, "%s", err.message);
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        const struct config_target target = {.kind = CONFIG_TARGET_URL, .url = urls[i]};
        struct scrape *scrape = scraper_add(scraper, &target, SCRAPE_INTERVAL_MIN_NS, &err);
        cr_assert_not_null(scrape, "%s", err.message);
        cr_assert_str_eq(scrape_url(scrape), "http://far:6060/debug/pprof", "%s", urls[i]);
    }
    const struct config_target other = {.kind = CONFIG_TARGET_URL, .url = "https://edge/api/heap"};
    cr_assert_str_eq(scrape_url(scraper_add(scraper, &other, SCRAPE_INTERVAL_MIN_NS, &err)),
                     "https://edge/api/heap/debug/pprof");
    scraper_free(scraper);
}
