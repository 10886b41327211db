/* stage.c - see stage.h. */
#include "stage.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/log.h"
#include "core/capture/capture.h"
#include "lua/judge.h"

static void note_capture(void *context, const struct capture_request *request)
{
    struct stage *stage = context;
    stage->captures_wanted += request->whatever_severity;
    cr_assert_lt(stage->capture_count, (size_t)STAGE_CAPTURES_MAX);
    (void)snprintf(stage->captures[stage->capture_count++], sizeof(stage->captures[0]), "%s %s %s",
                   capture_reason_name(request->reason), request->target_id,
                   request->finding != NULL ? request->finding : "-");
}

static void open_with(struct stage *stage, bool resting)
{
    log_set_level(LOG_LEVEL_ERROR);
    *stage = (struct stage){.config = config_new(), .board = board_new(3600)};
    const struct judge_wiring wiring = {.board = stage->board,
                                        .request_capture = note_capture,
                                        .context = stage,
                                        .rest_when_idle = resting,
                                        .quiet = true};
    stage->judge = judge_new(&wiring);
    cr_assert(stage->config != NULL && stage->board != NULL && stage->judge != NULL);
}

void stage_open(struct stage *stage)
{
    open_with(stage, false);
}

void stage_open_resting(struct stage *stage)
{
    open_with(stage, true);
}

static void remove_folder(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        (void)closedir(dir);
    (void)rmdir(path);
}

void stage_close(struct stage *stage)
{
    judge_free(stage->judge);
    board_free(stage->board);
    config_free(stage->config);
    for (size_t i = 0; i < stage->target_count; i++) {
        struct stage_target *target = &stage->targets[i];
        profile_unref(target->profile);
        snapshot_unref(target->snapshot);
        site_table_unref(target->sites);
    }
    if (stage->dir[0] != '\0')
        remove_folder(stage->dir);
}

void stage_write_rule(struct stage *stage, const char *file, const char *text)
{
    char path[256];
    if (stage->dir[0] == '\0') {
        (void)snprintf(stage->dir, sizeof(stage->dir), "%s", GOPROFD_BINARY_DIR "/rules-XXXXXX");
        cr_assert_not_null(mkdtemp(stage->dir));
        stage->config->rules_dir = stage->dir;
    }
    (void)snprintf(path, sizeof(path), "%s/%s", stage->dir, file);
    FILE *out = fopen(path, "w");
    cr_assert_not_null(out);
    cr_assert_geq(fputs(text, out), 0);
    cr_assert_eq(fclose(out), 0);
}

void stage_load(struct stage *stage)
{
    struct error err;
    cr_assert(judge_load(stage->judge, stage->config, STAGE_START_NS, NULL, &err), "%s",
              err.message);
}

struct stage_target *stage_add_target(struct stage *stage, const char *id)
{
    cr_assert_lt(stage->target_count, (size_t)STAGE_TARGETS_MAX);
    struct stage_target *target = &stage->targets[stage->target_count++];
    *target = (struct stage_target){.go_version = "go1.26.8",
                                    .state = TARGET_UP,
                                    .age_s = 3600,
                                    .generation = 1,
                                    .sites = site_table_new()};
    (void)snprintf(target->id, sizeof(target->id), "%s", id);
    cr_assert_not_null(target->sites);
    return target;
}

void stage_set(struct stage_target *target, const char *name, double value)
{
    const struct field *field = snapshot_field_find(name);
    cr_assert_not_null(field, "there is no field %s", name);
    const size_t index = (size_t)(field - snapshot_fields);
    char *member = (char *)&target->values + field->offset;
    const uint64_t u64 = (uint64_t)(value > 0 ? value : 0);
    const int64_t i64 = (int64_t)value;
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
    target->values.present[index / 64] |= UINT64_C(1) << (index % 64);
}

void stage_unset(struct stage_target *target, const char *name)
{
    const size_t index = (size_t)(snapshot_field_find(name) - snapshot_fields);
    target->values.present[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

struct stage_site *stage_add_site(struct stage_target *target, const char *function,
                                  const char *file, uint32_t line, const char *primitive)
{
    cr_assert_lt(target->site_count, (size_t)STAGE_SITES_MAX);
    struct error err;
    const char *names[] = {"runtime.mallocgc", primitive, function}; /* its own tag */
    const char *files[] = {"runtime/malloc.go", "runtime/slice.go", file};
    struct frame frames[3];
    for (size_t i = 0; i < 3; i++)
        frames[i] = (struct frame){
            .function = site_table_string(target->sites, names[i], strlen(names[i])),
            .file = site_table_string(target->sites, files[i], strlen(files[i])),
            .address = 0x400000 + target->site_count * 16 + i,
            .line = i == 2 ? line : 1,
            .starts_location = true};
    const struct site *site = site_table_add(
        target->sites,
        &(struct site_facts){.frames = frames,
                              .frame_count = 3,
                              .hidden_count = 2,
                              .object_bytes = 1024},
        &err);
    cr_assert_not_null(site);
    struct stage_site *added = &target->site[target->site_count++];
    *added = (struct stage_site){.site = site};
    return added;
}

/* ---- beats ---- */

static void take_profile(struct stage_target *target, uint64_t now_ns)
{
    site_table_begin_read(target->sites, now_ns, UINT64_C(600000000000));
    struct profile *profile = profile_begin(target->sites, target->site_count + 1);
    cr_assert_not_null(profile);
    profile->taken_realtime_ns = now_ns;
    profile->cycle = ++target->cycle;
    profile->rate = 512 * 1024;
    for (size_t i = 0; i < target->site_count; i++) {
        const struct stage_site *site = &target->site[i];
        profile->entries[profile->entry_count++] = (struct profile_entry){
            .site = site->site,
            .allocs = (uint64_t)site->alloc_bytes / 1024,
            .frees = (uint64_t)(site->alloc_bytes - site->inuse_bytes) / 1024,
            .alloc_objects = site->alloc_bytes / 1024,
            .alloc_bytes = site->alloc_bytes,
            .inuse_objects = site->inuse_bytes / 1024,
            .inuse_bytes = site->inuse_bytes,
        };
    }
    profile_unref(target->profile);
    target->profile = profile_seal(profile);
}

static void take_snapshot(struct stage_target *target, uint64_t now_ns, uint64_t monotonic_ns)
{
    struct snapshot *snapshot = snapshot_begin(now_ns, monotonic_ns);
    cr_assert_not_null(snapshot);
    snapshot->sequence = ++target->sequence;
    snapshot->generation = target->generation;
    snapshot->values = target->values;
    if (target->profile != NULL)
        snapshot->tops = tops_new(target->profile, GROUP_TYPE_TAG, SNAPSHOT_TOP_MAX);
    snapshot_unref(target->snapshot);
    target->snapshot = snapshot_seal(snapshot);
}

static const struct target_info *make_info(const struct stage_target *target)
{
    const struct target_facts facts = {
        .id = target->id,
        .name = target->id,
        .source = SOURCE_PROCESS,
        .state = target->state,
        .generation = target->generation,
        .start_realtime_ns =
            target->started_ns > 0 ? STAGE_START_NS + target->started_ns
            : target->age_s < 0    ? 0
                                   : STAGE_START_NS - (uint64_t)(target->age_s * 1e9),
        .go_version = target->go_version,
        .build_id = target->build_id,
        .build_generation = target->build_generation,
    };
    const struct target_info *info = target_info_new(&facts, "", 0);
    cr_assert_not_null(info);
    return info;
}

void stage_beat(struct stage *stage)
{
    struct target_view views[STAGE_TARGETS_MAX];
    struct error err;
    size_t count = 0;
    stage->beat++;
    const uint64_t passed_ns = stage->beat * (stage->beat_ns > 0 ? stage->beat_ns : UINT64_C(1000000000));
    for (size_t i = 0; i < stage->target_count; i++) {
        struct stage_target *target = &stage->targets[i];
        if (target->profile_due)
            take_profile(target, STAGE_START_NS + passed_ns);
        target->profile_due = false;
        if (!target->stalled)
            take_snapshot(target, STAGE_START_NS + passed_ns, UINT64_C(5000000000) + passed_ns);
        if (target->hidden)
            continue;
        views[count++] = (struct target_view){
            .info = make_info(target),
            .snapshot = target->snapshot != NULL ? snapshot_ref(target->snapshot) : NULL,
            .profile = target->profile != NULL ? profile_ref(target->profile) : NULL};
    }
    cr_assert(board_publish(stage->board, views, count, STAGE_START_NS + passed_ns, &err), "%s",
              err.message);
    const struct board_page *page = board_page(stage->board);
    judge_beat(stage->judge, page);
    board_page_unref(page);
}

/* ---- results: the board keeps what it published last, so a hold is not needed in between ---- */

const struct finding *stage_find(struct stage *stage, enum finding_kind kind, const char *part)
{
    const struct finding *found = NULL;
    const struct finding_set *set = board_findings(stage->board);
    for (size_t i = 0; i < set->count && found == NULL; i++) {
        if (set->findings[i].kind == kind && strstr(set->findings[i].id, part) != NULL)
            found = &set->findings[i];
    }
    finding_set_unref(set);
    return found;
}

size_t stage_open_findings(struct stage *stage)
{
    size_t count = 0;
    const struct finding_set *set = board_findings(stage->board);
    for (size_t i = 0; i < set->count; i++)
        count += set->findings[i].state != FINDING_RESOLVED;
    finding_set_unref(set);
    return count;
}

const struct rules_report *stage_report(struct stage *stage)
{
    const struct rules_report *report = board_rules(stage->board);
    cr_assert_not_null(report);
    rules_report_unref(report);
    return report;
}

const struct rule_status *stage_rule(struct stage *stage, const char *name)
{
    const struct rules_report *report = stage_report(stage);
    for (size_t i = 0; i < report->count; i++) {
        if (strcmp(report->rules[i].name, name) == 0)
            return &report->rules[i];
    }
    cr_assert_fail("there is no rule %s", name);
    return NULL;
}
