/* site_growth_test.c - the table of sites over profiles: thinning, new sites, restarts. */
#include <criterion/criterion.h>

#include "core/store/profile.h"
#include "lua/site_growth.h"

#define SECOND UINT64_C(1000000000)

enum { SITES_MAX = 300 };

struct world {
    struct site_table *table;
    size_t count;
    const struct site *sites[SITES_MAX];
    int64_t inuse_bytes[SITES_MAX];
    uint64_t cycle;
    struct site_growth *growth;
};

static void add_sites(struct world *world, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[64];
        struct error err;
        (void)snprintf(name, sizeof(name), "main.f%zu", world->count);
        const struct frame frames[2] = {
            {.function = site_table_string(world->table, "runtime.mallocgc", 16),
             .file = site_table_string(world->table, "malloc.go", 9),
             .address = 1,
             .starts_location = true},
            {.function = site_table_string(world->table, name, strlen(name)),
             .file = site_table_string(world->table, "main.go", 7),
             .address = 16 + world->count,
             .starts_location = true},
        };
        world->sites[world->count] = site_table_add(
        world->table,
        &(struct site_facts){.frames = frames,
                              .frame_count = 2,
                              .hidden_count = 1,
                              .object_bytes = 8},
        &err);
        cr_assert_not_null(world->sites[world->count]);
        world->count++;
    }
}

static void open_world(struct world *world, size_t sites)
{
    *world = (struct world){.table = site_table_new(), .growth = site_growth_new()};
    add_sites(world, sites);
}

static void close_world(struct world *world)
{
    site_growth_free(world->growth);
    site_table_unref(world->table);
}

static void add_profile(struct world *world, uint64_t second, uint64_t since_second)
{
    struct profile *profile = profile_begin(world->table, world->count);
    profile->cycle = ++world->cycle;
    for (size_t i = 0; i < world->count; i++)
        profile->entries[profile->entry_count++] =
            (struct profile_entry){.site = world->sites[i],
                                   .inuse_bytes = world->inuse_bytes[i],
                                   .alloc_bytes = 2 * world->inuse_bytes[i]};
    const struct profile *sealed = profile_seal(profile);
    cr_assert(site_growth_add(world->growth, sealed, second * SECOND, since_second * SECOND));
    cr_assert(site_growth_add(world->growth, sealed, second * SECOND, since_second * SECOND),
              "the same profile again is no new column");
    profile_unref(sealed);
}

Test(site_growth, follows_a_site_from_profile_to_profile)
{
    struct world world;
    struct trend_point points[SITE_GROWTH_COLUMNS];
    open_world(&world, 2);
    for (uint64_t i = 0; i < 10; i++) {
        world.inuse_bytes[0] = 1000 + 100 * (int64_t)i;
        world.inuse_bytes[1] = 5;
        add_profile(&world, 100 + i, 0);
    }
    cr_assert_eq(site_growth_of_site(world.growth, world.sites[0]->id, SITE_INUSE_BYTES, 0, points), 10);
    cr_assert_float_eq(points[9].value, 1900, 0);
    cr_assert_float_eq(points[9].seconds, 9, 1e-9);
    cr_assert_eq(site_growth_of_site(world.growth, world.sites[0]->id, SITE_ALLOC_BYTES, 107 * SECOND, points), 3);
    cr_assert_float_eq(points[0].value, 3400, 0);
    cr_assert_eq(site_growth_of_all(world.growth, SITE_INUSE_BYTES, 0, points), 10);
    cr_assert_float_eq(points[9].value, 1905, 0);
    cr_assert_eq(site_growth_of_site(world.growth, 4711, SITE_INUSE_BYTES, 0, points), 0);
    close_world(&world);
}

Test(site_growth, thins_the_past_and_keeps_both_ends)
{
    struct world world;
    struct trend_point points[SITE_GROWTH_COLUMNS];
    open_world(&world, 1);
    for (uint64_t i = 0; i <= 1000; i++) {
        world.inuse_bytes[0] = (int64_t)i + 1;
        add_profile(&world, 1000 + i, 0);
    }
    const size_t count = site_growth_of_site(world.growth, world.sites[0]->id, SITE_INUSE_BYTES, 0, points);
    cr_assert_eq(count, (size_t)SITE_GROWTH_COLUMNS);
    cr_assert_float_eq(points[0].value, 1, 0);
    cr_assert_float_eq(points[count - 1].value, 1001, 0);
    double widest = 0;
    for (size_t i = 1; i < count; i++) {
        cr_assert_float_eq(points[i].value - points[i - 1].value, points[i].seconds - points[i - 1].seconds, 1e-6);
        const double gap = points[i].seconds - points[i - 1].seconds;
        widest = gap > widest ? gap : widest;
        if (i > count - 15)
            cr_assert_float_eq(gap, 1, 1e-9, "the newest ones are dense");
    }
    cr_assert_lt(widest, 120, "the past stays covered: the widest gap is %.0f s", widest);
    close_world(&world);
}

Test(site_growth, drops_what_is_older_than_asked_for)
{
    struct world world;
    struct trend_point points[SITE_GROWTH_COLUMNS];
    open_world(&world, 1);
    for (uint64_t i = 0; i < 100; i += 10) {
        world.inuse_bytes[0] = 10;
        add_profile(&world, 1000 + i, 1000 + i > 30 ? 1000 + i - 30 : 0);
    }
    cr_assert_eq(site_growth_of_all(world.growth, SITE_INUSE_BYTES, 0, points), 4);
    close_world(&world);
}

Test(site_growth, tracks_the_largest_of_many_and_those_that_become_large)
{
    struct world world;
    struct trend_point points[SITE_GROWTH_COLUMNS];
    open_world(&world, SITES_MAX);
    for (size_t i = 0; i < world.count; i++)
        world.inuse_bytes[i] = (int64_t)(1000 + i);
    add_profile(&world, 100, 0);
    add_profile(&world, 101, 0);
    cr_assert_eq(site_growth_of_site(world.growth, world.sites[0]->id, SITE_INUSE_BYTES, 0, points), 0);
    cr_assert_eq(site_growth_of_site(world.growth, world.sites[SITES_MAX - 1]->id, SITE_INUSE_BYTES, 0, points), 2);
    world.inuse_bytes[0] = 5000; /* a small one grows: known from now on only */
    add_profile(&world, 102, 0);
    world.inuse_bytes[0] = 9000;
    add_profile(&world, 103, 0);
    cr_assert_eq(site_growth_of_site(world.growth, world.sites[0]->id, SITE_INUSE_BYTES, 0, points), 2);
    cr_assert_float_eq(points[1].value - points[0].value, 4000, 0);
    /* As a group it does not seem to have come from nothing. */
    cr_assert_eq(site_growth_of_group(world.growth, world.sites[0]->type_name, "main.f0", 0, points), 4);
    cr_assert_float_eq(points[0].value, 5000, 0);
    cr_assert_float_eq(points[3].value, 9000, 0);
    close_world(&world);
}

Test(site_growth, keeps_its_rows_right_while_the_largest_change_all_the_time)
{
    struct world world;
    struct trend_point points[SITE_GROWTH_COLUMNS];
    open_world(&world, SITES_MAX);
    for (uint64_t round = 0; round < 40; round++) {
        for (size_t i = 0; i < world.count; i++)
            world.inuse_bytes[i] = (int64_t)((i * 7919 + round * 104729) % 100003) + 1;
        add_profile(&world, 100 + round, 0);
        for (size_t i = 0; i < world.count; i++) {
            const size_t count =
                site_growth_of_site(world.growth, world.sites[i]->id, SITE_INUSE_BYTES, 0, points);
            if (count > 0)
                cr_assert_float_eq(points[count - 1].value, (double)world.inuse_bytes[i], 0);
        }
    }
    close_world(&world);
}

Test(site_growth, starts_afresh_when_the_target_restarts)
{
    struct world world;
    struct world restarted;
    struct trend_point points[SITE_GROWTH_COLUMNS];
    open_world(&world, 1);
    world.inuse_bytes[0] = 100;
    add_profile(&world, 100, 0);
    add_profile(&world, 101, 0);
    open_world(&restarted, 1);
    site_growth_free(restarted.growth);
    restarted.growth = world.growth;
    restarted.inuse_bytes[0] = 7;
    add_profile(&restarted, 102, 0);
    cr_assert_eq(site_growth_of_all(world.growth, SITE_INUSE_BYTES, 0, points), 1);
    cr_assert_float_eq(points[0].value, 7, 0);
    world.growth = NULL;
    close_world(&world);
    close_world(&restarted);
}
