/* test_world.c - see test_world.h.  Used by rule_test.c on whatever thread runs tests. */
#include "lua/test_world.h"

#include <math.h>

#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/store/board.h"
#include "core/store/fields.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "lua/judge.h"
#include "lua/rule.h"

enum { RING_SNAPSHOTS = 1024, OBJECT_BYTES_DEFAULT = 1024, FRAMES_MAX = TEST_WORLD_STACK_MAX + 3 };
static const uint64_t MONOTONIC_START_NS = UINT64_C(5000000000000);

struct test_site {
    struct site site; /* as the table made it, but for the type and tag that the test wants */
    uint64_t samples; /* 0: all */
    int64_t inuse_bytes;
    int64_t alloc_bytes;
};

struct test_world {
    struct board *board;
    struct judge *judge;
    struct target_facts facts;
    uint64_t interval_ns;
    uint64_t beat;
    uint64_t generation;
    struct snapshot_values values;
    struct site_table *sites;
    size_t site_count;
    struct test_site *site[TEST_WORLD_SITES_MAX];
    uint64_t cycle;
    const struct profile *profile;
    uint64_t retention_window_ns;
    size_t captures;
};

static void count_capture(void *context, const struct capture_request *request)
{
    struct test_world *world = context;
    (void)request;
    world->captures++;
}

struct test_world *test_world_new(struct rule *rule, const struct config *config,
                                  const struct target_facts *facts, double age_s,
                                  uint64_t interval_ns, struct error *err)
{
    struct test_world *world = calloc(1, sizeof(*world));
    if (world == NULL) {
        rule_free(rule);
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for a test");
        return NULL;
    }
    world->facts = *facts;
    world->facts.state = TARGET_UP;
    world->facts.start_realtime_ns =
        age_s < 0 ? 0 : TEST_WORLD_START_NS - (uint64_t)(age_s * 1e9);
    world->interval_ns = interval_ns;
    world->retention_window_ns = config->retention_window_sec * CLOCK_NS_PER_S;
    world->generation = 1;
    world->board = board_new(RING_SNAPSHOTS);
    world->sites = site_table_new();
    const struct judge_wiring wiring = {.board = world->board,
                                        .request_capture = count_capture,
                                        .context = world,
                                        .quiet = true};
    if (world->board != NULL)
        world->judge = judge_new(&wiring);
    if (world->judge == NULL || world->sites == NULL) {
        rule_free(rule);
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for a test");
        test_world_free(world);
        return NULL;
    }
    if (!judge_use_rule(world->judge, rule, config, TEST_WORLD_START_NS, err)) {
        test_world_free(world);
        return NULL;
    }
    return world;
}

void test_world_free(struct test_world *world)
{
    if (world == NULL)
        return;
    judge_free(world->judge);
    if (world->board != NULL)
        board_free(world->board);
    profile_unref(world->profile);
    for (size_t i = 0; i < world->site_count; i++)
        free(world->site[i]);
    if (world->sites != NULL)
        site_table_unref(world->sites);
    free(world);
}

/* ---- numbers ---- */

void test_world_set(struct test_world *world, const struct field *field, double value)
{
    const size_t index = (size_t)(field - snapshot_fields);
    const uint64_t bit = UINT64_C(1) << (index % 64);
    char *member = (char *)&world->values + field->offset;
    if (isnan(value)) {
        world->values.present[index / 64] &= ~bit;
        return;
    }
    const uint64_t u64 = value >= 1.8e19 ? UINT64_MAX : (uint64_t)(value > 0 ? value : 0);
    const int64_t i64 = value >= 9.2e18 ? INT64_MAX : value <= -9.2e18 ? INT64_MIN : (int64_t)value;
    switch (field->type) {
    case FIELD_U64:
        memcpy(member, &u64, sizeof(u64));
        break;
    case FIELD_I64:
        memcpy(member, &i64, sizeof(i64));
        break;
    case FIELD_F64:
        memcpy(member, &value, sizeof(value));
        break;
    }
    world->values.present[index / 64] |= bit;
}

/* ---- sites ---- */

static const char *keep(struct test_world *world, const char *text)
{
    return site_table_string(world->sites, text, strlen(text));
}

/* Leaf first: mallocgc, the primitive (both hidden, as pprof does), the function, its callers. */
static size_t fill_frames(struct test_world *world, const struct test_site_facts *facts,
                          struct frame frames[FRAMES_MAX], size_t *hidden)
{
    size_t count = 0;
    frames[count++].function = keep(world, "runtime.mallocgc");
    if (facts->primitive[0] != '\0')
        frames[count++].function = keep(world, facts->primitive);
    *hidden = count;
    frames[count++].function = keep(world, facts->function);
    for (size_t i = 0; i < facts->stack_count; i++)
        frames[count++].function = keep(world, facts->stack[i]);
    for (size_t i = 0; i < count; i++) {
        frames[i].file = keep(world, i == *hidden ? facts->file : "");
        frames[i].address = 0x400000 + world->site_count * 256 + i;
        frames[i].line = i == *hidden ? facts->line : 1;
        frames[i].starts_location = true;
    }
    return count;
}

int test_world_add_site(struct test_world *world, const struct test_site_facts *facts,
                        struct error *err)
{
    struct frame frames[FRAMES_MAX] = {{.function = NULL}};
    size_t hidden;
    if (world->site_count == TEST_WORLD_SITES_MAX) {
        (void)error_set(err, ERROR_LIMIT, "more than %d sites", TEST_WORLD_SITES_MAX);
        return -1;
    }
    const size_t count = fill_frames(world, facts, frames, &hidden);
    const struct site *site = site_table_add(
        world->sites,
        &(struct site_facts){
            .frames = frames,
            .frame_count = count,
            .hidden_count = hidden,
            .object_bytes = facts->object_bytes > 0 ? facts->object_bytes : OBJECT_BYTES_DEFAULT},
        err);
    struct test_site *added = site != NULL ? calloc(1, sizeof(*added)) : NULL;
    if (added == NULL) {
        if (site != NULL)
            (void)error_set(err, ERROR_NO_MEMORY, "no memory for a site");
        return -1;
    }
    added->site = *site;
    added->samples = facts->samples;
    if (facts->type_name != NULL)
        added->site.type_name = keep(world, facts->type_name);
    if (facts->tag != NULL)
        added->site.tag = keep(world, facts->tag);
    world->site[world->site_count] = added;
    return (int)world->site_count++;
}

static int64_t bytes_of(double value)
{
    return isnan(value) || value < 0 ? 0 : value > 9e18 ? INT64_MAX : (int64_t)value;
}

void test_world_set_site(struct test_world *world, size_t site, double inuse_bytes,
                         double alloc_bytes)
{
    world->site[site]->inuse_bytes = bytes_of(inuse_bytes);
    world->site[site]->alloc_bytes = bytes_of(alloc_bytes);
}

/* ---- beats ---- */

static bool take_profile(struct test_world *world, uint64_t now_ns)
{
    site_table_begin_read(world->sites, now_ns, world->retention_window_ns);
    struct profile *profile = profile_begin(world->sites, world->site_count + 1);
    if (profile == NULL)
        return false;
    profile->taken_realtime_ns = now_ns;
    profile->start_realtime_ns = world->facts.start_realtime_ns;
    profile->cycle = ++world->cycle;
    profile->rate = 512 * 1024;
    for (size_t i = 0; i < world->site_count; i++) {
        const struct test_site *site = world->site[i];
        const int64_t object = (int64_t)site->site.object_bytes;
        const bool gone = site->samples == 0 && site->alloc_bytes > site->inuse_bytes;
        profile->entries[profile->entry_count++] = (struct profile_entry){
            .site = &site->site,
            .allocs = site->samples > 0 ? site->samples : (uint64_t)(site->alloc_bytes / object),
            .frees = gone ? (uint64_t)((site->alloc_bytes - site->inuse_bytes) / object) : 0,
            .alloc_objects = site->alloc_bytes / object,
            .alloc_bytes = site->alloc_bytes,
            .inuse_objects = site->inuse_bytes / object,
            .inuse_bytes = site->inuse_bytes,
        };
    }
    profile_unref(world->profile);
    world->profile = profile_seal(profile);
    return true;
}

static const struct snapshot *take_snapshot(struct test_world *world, uint64_t passed_ns)
{
    struct snapshot *snapshot =
        snapshot_begin(TEST_WORLD_START_NS + passed_ns, MONOTONIC_START_NS + passed_ns);
    if (snapshot == NULL)
        return NULL;
    snapshot->sequence = world->beat;
    snapshot->generation = world->generation;
    snapshot->values = world->values;
    if (world->profile != NULL)
        snapshot->tops = tops_new(world->profile, GROUP_TYPE_TAG, SNAPSHOT_TOP_MAX);
    return snapshot_seal(snapshot);
}

void test_world_restart(struct test_world *world)
{
    world->generation++;
    if (world->facts.start_realtime_ns != 0)
        world->facts.start_realtime_ns =
            TEST_WORLD_START_NS + (world->beat + 1) * world->interval_ns;
}

bool test_world_beat(struct test_world *world, bool profile, struct error *err)
{
    world->beat++;
    const uint64_t passed_ns = world->beat * world->interval_ns;
    const uint64_t now_ns = TEST_WORLD_START_NS + passed_ns;
    world->facts.generation = world->generation;
    if (profile && !take_profile(world, now_ns))
        return error_set(err, ERROR_NO_MEMORY, "no memory for a test");
    const struct target_view view = {
        .info = target_info_new(&world->facts, "", 0),
        .snapshot = take_snapshot(world, passed_ns),
        .profile = world->profile != NULL ? profile_ref(world->profile) : NULL};
    if (view.info == NULL || view.snapshot == NULL) {
        target_info_unref(view.info);
        snapshot_unref(view.snapshot);
        profile_unref(view.profile);
        return error_set(err, ERROR_NO_MEMORY, "no memory for a test");
    }
    if (!board_publish(world->board, &view, 1, now_ns, err))
        return false;
    const struct board_page *page = board_page(world->board);
    judge_beat(world->judge, page);
    board_page_unref(page);
    return true;
}

struct board *test_world_board(struct test_world *world)
{
    return world->board;
}

size_t test_world_captures(const struct test_world *world)
{
    return world->captures;
}
