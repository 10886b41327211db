/* target_scraped.c - one beat of a target whose profiles are fetched over HTTP.
 *
 * The scraping thread has fetched and checked; here, on the sampler's thread, what came becomes a profile and
 * a snapshot.  While nothing new came the target stays as it is: an old number is never published as a new one. */
#include "core/target_parts.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/pprof/profile_reader.h"
#include "core/scrape/scrape_result.h"
#include "core/scrape/scraped_heap.h"
#include "core/scrape/scraper.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"

struct scraped {
    struct scrape *scrape; /* the scraper's */
    struct scraped_heap *heap; /* of the program that runs now; NULL until its first profile */
    struct pause_total pauses;
    bool has_stats; /* the next is of the last scrape that told them */
    struct memstats_text stats;
    char *cmdline; /* arguments with NULs between them; NULL: not told */
    size_t cmdline_length;
    char *command; /* the same with spaces */
};

bool target_use_scrape(struct target *target, struct scrape *scrape)
{
    target->scraped = calloc(1, sizeof(*target->scraped));
    if (target->scraped != NULL)
        target->scraped->scrape = scrape;
    return target->scraped != NULL;
}

bool target_is_scraped(const struct target *target)
{
    return target->scraped != NULL;
}

void target_free_scraped(struct scraped *scraped)
{
    if (scraped == NULL)
        return;
    scraped_heap_free(scraped->heap);
    free(scraped->cmdline);
    free(scraped->command);
    free(scraped);
}

void target_scraped_facts(const struct target *target, struct target_facts *facts,
                          const char **cmdline, size_t *cmdline_length)
{
    const struct scraped *scraped = target->scraped;
    facts->source = SOURCE_PPROF;
    facts->url = scrape_url(scraped->scrape);
    facts->command = scraped->command;
    facts->build_id = target->builds.id;
    *cmdline = scraped->cmdline;
    *cmdline_length = scraped->cmdline_length;
}

/* ---- which program it is ---- */

/* The first mapping is the program's own file. */
static const char *build_id_of(const struct scrape_result *result)
{
    const struct parsed_profile *parsed = result->profile;
    return parsed == NULL || parsed->mapping_count == 0 ? "" : parsed->mappings[0].build_id;
}

/* Nobody says when the program was started; its statistics and its build tell that it is another. */
static bool has_restarted(const struct target *target, const struct scrape_result *result)
{
    const struct scraped *scraped = target->scraped;
    const char *build_id = build_id_of(result);
    return (result->has_stats && scraped->has_stats &&
            !memstats_text_continues(&scraped->stats, &result->stats)) ||
           (build_id[0] != '\0' && target->builds.id[0] != '\0' &&
            strcmp(build_id, target->builds.id) != 0);
}

/* Another program, or the first: what was learned of the one before does not hold for it. */
static void begin_generation(struct target *target)
{
    struct scraped *scraped = target->scraped;
    target->generation++;
    target->info_stale = true;
    scraped_heap_free(scraped->heap);
    scraped->heap = NULL;
    scraped->pauses = (struct pause_total){.lost = false};
    scraped->has_stats = false;
}

static void note_stats(struct scraped *scraped, const struct scrape_result *result)
{
    if (!result->has_stats)
        return;
    scraped->has_stats = true;
    scraped->stats = result->stats;
}

/* Its name, as it tells it; without memory for it the old one stays. */
static void note_cmdline(struct target *target, struct scrape_result *result)
{
    struct scraped *scraped = target->scraped;
    if (result->cmdline == NULL ||
        (scraped->cmdline_length == result->cmdline_length && scraped->cmdline != NULL &&
         memcmp(scraped->cmdline, result->cmdline, result->cmdline_length) == 0))
        return;
    char *command = malloc(result->cmdline_length + 1);
    if (command == NULL)
        return;
    for (size_t i = 0; i < result->cmdline_length; i++)
        command[i] = result->cmdline[i] == '\0' ? ' ' : result->cmdline[i];
    command[result->cmdline_length] = '\0';
    free(scraped->cmdline);
    free(scraped->command);
    scraped->cmdline = result->cmdline;
    scraped->cmdline_length = result->cmdline_length;
    scraped->command = command;
    result->cmdline = NULL;
    target->info_stale = true;
}

static void note_build(struct target *target, const struct scrape_result *result)
{
    const uint64_t before = target->builds.generation;
    if (target_builds_note(&target->builds, build_id_of(result), result->realtime_ns))
        log_info(log_msg("target deployed: another build runs now"), log_str("target", target->id));
    target->info_stale = target->info_stale || target->builds.generation != before;
}

/* ---- one result ---- */

/* Makes the profile of [result]; false leaves why in result->profile_error. */
static bool take_profile(struct target *target, struct scrape_result *result)
{
    struct scraped *scraped = target->scraped;
    if (result->profile == NULL)
        return false;
    if (scraped->heap == NULL)
        scraped->heap = scraped_heap_new(target->context->tagger);
    if (scraped->heap == NULL)
        return error_set(&result->profile_error, ERROR_NO_MEMORY, "no memory for a profile");
    const struct profile *profile = scraped_heap_read(
        scraped->heap, result->profile, result->realtime_ns,
        atomic_load_explicit(&target->context->retention_window_ns, memory_order_relaxed),
        &result->profile_error);
    if (profile == NULL)
        return error_wrap(&result->profile_error, "GET %.100s/heap", scrape_url(scraped->scrape));
    target_take_profile(target, profile);
    return true;
}

static void fill_snapshot(struct target *target, struct scrape_result *result, bool has_profile,
                          struct snapshot *building)
{
    struct snapshot_values *values = &building->values;
    if (result->has_stats) {
        pause_total_follow(&target->scraped->pauses, &result->stats);
        *values = result->stats.values;
    } else {
        building->partial = true;
        building->partial_reason = "the memory statistics could not be fetched, only the profile";
    }
    if (has_profile) {
        const struct profile *profile = target->profile;
        target_fill_profile_values(values, profile);
        if (profile->rate > 0)
            SNAPSHOT_SET(values, mem_profile_rate, (uint64_t)profile->rate);
        if (profile->partial) {
            building->partial = true;
            building->partial_reason = profile->partial_reason;
        }
        building->tops = target->tops == NULL ? NULL : tops_ref(target->tops);
    } else {
        building->partial = true;
        building->partial_reason = "the profile could not be fetched, only the memory statistics";
    }
    SNAPSHOT_SET(values, read_duration_ns, result->duration_ns);
    SNAPSHOT_SET(values, read_bytes, result->bytes);
}

static void count_read(struct board_counters *counters, const struct scrape_result *result, bool ok)
{
    atomic_fetch_add_explicit(&counters->reads, 1, memory_order_relaxed);
    if (!ok)
        atomic_fetch_add_explicit(&counters->reads_failed, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->read_bytes, result->bytes, memory_order_relaxed);
}

static void publish(struct target *target, struct scrape_result *result, bool has_profile,
                    uint64_t now_monotonic_ns)
{
    struct snapshot *building = snapshot_begin(result->realtime_ns, result->monotonic_ns);
    if (building == NULL) {
        struct error err;
        (void)error_set(&err, ERROR_NO_MEMORY, "no memory for a snapshot");
        target_set_state(target, TARGET_FAILING, &err, now_monotonic_ns);
        return;
    }
    fill_snapshot(target, result, has_profile, building);
    building->sequence = ++target->sequence;
    building->generation = target->generation;
    snapshot_unref(target->snapshot);
    target->snapshot = snapshot_seal(building);
    if (has_profile && result->has_stats)
        target_set_state(target, TARGET_UP, NULL, now_monotonic_ns);
    else
        target_set_state(target, TARGET_DEGRADED,
                         has_profile ? &result->stats_error : &result->profile_error,
                         now_monotonic_ns);
}

static void take_result(struct target *target, struct scrape_result *result,
                        uint64_t now_monotonic_ns)
{
    if (result->profile == NULL && !result->has_stats) {
        const bool denied = result->profile_error.code == ERROR_DENIED;
        count_read(target->context->counters, result, false);
        target_set_state(target, denied ? TARGET_DENIED : TARGET_FAILING, &result->profile_error,
                         now_monotonic_ns);
        return;
    }
    if (target->generation == 0 || has_restarted(target, result))
        begin_generation(target);
    const bool has_profile = take_profile(target, result);
    const bool ok = has_profile || result->has_stats;
    count_read(target->context->counters, result, ok);
    if (!ok) {
        target_set_state(target, TARGET_FAILING, &result->profile_error, now_monotonic_ns);
        return;
    }
    note_stats(target->scraped, result);
    note_cmdline(target, result);
    note_build(target, result);
    publish(target, result, has_profile, now_monotonic_ns);
}

void target_read_scraped(struct target *target, uint64_t now_monotonic_ns)
{
    struct scrape_result *result = scrape_take(target->scraped->scrape);
    if (result == NULL)
        return;
    take_result(target, result, now_monotonic_ns);
    scrape_result_free(result);
}
