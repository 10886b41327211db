/* scraper.c - when a program that fails is tried again. */
#include "core/scrape/scraper.h"

#include <criterion/criterion.h>

Test(scraper, tries_again_after_pauses_that_double_up_to_a_minute)
{
    static const uint64_t seconds[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    uint64_t pause_ns = 0;
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        pause_ns = scrape_pause_ns(pause_ns);
        cr_assert_eq(pause_ns, seconds[i] * UINT64_C(1000000000));
    }
}
