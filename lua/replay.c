/* replay.c - see replay.h.
 *
 * Rows of one beat of the sampler become one page.  A target of which no row came for a while is gone, and what was
 * found of it closes; a time in which nothing at all was recorded is a gap, over which targets stay, as they do
 * over a restart of the daemon. */
#include "lua/replay.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/capture/capture.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "core/store/unpack.h"
#include "lua/judge.h"
#include "lua/rule_set.h"

enum { CAPTURES_MAX = 64, GAP_BEATS = 10, BOOT_ID_BYTES = 64 };
static const uint64_t GAP_MIN_NS = UINT64_C(15) * CLOCK_NS_PER_S;

struct replayed {
    const struct target_info *info; /* one hold each */
    const struct snapshot *snapshot;
    const struct profile *profile;
    uint64_t heard_ns; /* on the clock of recorded time */
    bool in_beat;
};

struct wanted_capture {
    char target[CAPTURE_TARGET_ID_MAX_BYTES];
    char rule[64 + 1];
    char reason[256];
};

struct replay {
    const struct config *config;
    struct replay_options options;
    struct board *board;
    struct judge *judge;
    size_t target_count;
    size_t target_room;
    struct replayed *targets;
    /* The beat being put together */
    size_t beat_rows;
    uint64_t beat_first_ns;
    uint64_t beat_last_ns;
    /* Clocks */
    uint64_t last_realtime_ns; /* of the last row; 0: none yet */
    uint64_t last_monotonic_ns;
    uint64_t recorded_ns;      /* time of which something was recorded: gaps do not count */
    uint64_t offset_ns;        /* from the boot's monotonic clock to that of the replay */
    char boot_id[BOOT_ID_BYTES];
    /* What was found */
    const struct finding_set *findings; /* one hold: of the last beat */
    size_t capture_count;
    size_t captures_left_out;
    struct wanted_capture captures[CAPTURES_MAX];
    struct replay_sums sums;
};

const char *replay_event_name(enum replay_event_kind kind)
{
    static const char *const names[] = {
        [REPLAY_PENDING] = "pending",     [REPLAY_FIRING] = "firing",
        [REPLAY_RESOLVED] = "resolved",   [REPLAY_DROPPED] = "dropped",
        [REPLAY_ADVISED] = "advised",     [REPLAY_WITHDRAWN] = "withdrawn",
        [REPLAY_CAPTURE] = "capture",     [REPLAY_GAP] = "gap",
    };
    return names[kind];
}

/* ---- captures ---- */

static void want_capture(void *context, const struct capture_request *request)
{
    struct replay *replay = context;
    const struct config *config = replay->config;
    if (!config->profile_capture_enabled ||
        (request->reason == CAPTURE_ALERT && !request->whatever_severity &&
         (config->profile_capture_on_severities >> request->severity & 1) == 0))
        return;
    if (replay->capture_count == CAPTURES_MAX) {
        replay->captures_left_out++;
        return;
    }
    struct wanted_capture *wanted = &replay->captures[replay->capture_count++];
    (void)snprintf(wanted->target, sizeof(wanted->target), "%s",
                   request->target_id != NULL ? request->target_id : "");
    (void)snprintf(wanted->rule, sizeof(wanted->rule), "%s",
                   request->rule != NULL ? request->rule : "");
    (void)snprintf(wanted->reason, sizeof(wanted->reason), "%s",
                   request->message != NULL ? request->message : "");
}

/* ---- life ---- */

static struct rule_set *load_rules(const struct config *config, const char *glob,
                                   struct buffer *problems, struct error *err)
{
    size_t problem_count = 0;
    struct rule_set *set = rule_set_load(config, false, problems, &problem_count, err);
    if (set != NULL && glob != NULL && rule_set_keep(set, glob) == 0) {
        (void)error_set(err, ERROR_NOT_FOUND, "no rule in %s is called '%s'", config->rules_dir, glob);
        rule_set_free(set);
        return NULL;
    }
    return set;
}

struct replay *replay_new(const struct config *config, const struct replay_options *options,
                          struct buffer *problems, struct error *err)
{
    struct replay *replay = calloc(1, sizeof(*replay));
    if (replay == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for a replay");
        return NULL;
    }
    replay->config = config;
    replay->options = *options;
    replay->board = board_new((size_t)config->max_history_samples);
    if (replay->board != NULL) {
        board_limit_history(replay->board, config->history_max_bytes);
        replay->findings = board_findings(replay->board);
        const struct judge_wiring wiring = {.board = replay->board,
                                            .request_capture = want_capture,
                                            .context = replay,
                                            .rest_when_idle = true, /* as the daemon did */
                                            .quiet = true,
                                            .recorded = true};
        replay->judge = judge_new(&wiring);
    }
    if (replay->judge == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for a replay");
        replay_free(replay);
        return NULL;
    }
    struct rule_set *set = load_rules(config, options->rule, problems, err);
    if (set == NULL || !judge_adopt(replay->judge, set, config, 0, err)) {
        replay_free(replay);
        return NULL;
    }
    return replay;
}

static void release_target(struct replayed *target)
{
    target_info_unref(target->info);
    snapshot_unref(target->snapshot);
    profile_unref(target->profile);
}

void replay_free(struct replay *replay)
{
    if (replay == NULL)
        return;
    judge_free(replay->judge);
    finding_set_unref(replay->findings);
    for (size_t i = 0; i < replay->target_count; i++)
        release_target(&replay->targets[i]);
    free(replay->targets);
    if (replay->board != NULL)
        board_free(replay->board);
    free(replay);
}

const struct replay_sums *replay_sums(const struct replay *replay)
{
    return &replay->sums;
}

const struct rules_report *replay_report(struct replay *replay)
{
    judge_publish_report(replay->judge);
    return board_rules(replay->board);
}

/* ---- events ---- */

static void tell(const struct replay *replay, struct replay_event event)
{
    replay->options.event(replay->options.context, &event);
}

static void tell_finding(const struct replay *replay, enum replay_event_kind kind,
                         const struct finding *finding, uint64_t now_ns)
{
    tell(replay, (struct replay_event){.kind = kind, .realtime_ns = now_ns, .finding = finding});
}

static const struct finding *find_finding(const struct finding_set *set, const struct finding *like)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->findings[i].fingerprint == like->fingerprint)
            return &set->findings[i];
    }
    return NULL;
}

static bool is_open(const struct finding *finding)
{
    return finding != NULL && finding->state != FINDING_RESOLVED;
}

static void tell_open(const struct replay *replay, const struct finding *before,
                      const struct finding *now, uint64_t now_ns)
{
    const bool was_open = is_open(before);
    if (now->kind == FINDING_SUGGESTION) {
        if (!was_open)
            tell_finding(replay, REPLAY_ADVISED, now, now_ns);
    } else if (!was_open || now->state != before->state || now->severity != before->severity) {
        tell_finding(replay, now->state == FINDING_PENDING ? REPLAY_PENDING : REPLAY_FIRING, now,
                     now_ns);
    }
}

static void tell_closed(const struct replay *replay, const struct finding *before, uint64_t now_ns)
{
    tell_finding(replay,
                 before->kind == FINDING_SUGGESTION  ? REPLAY_WITHDRAWN
                 : before->state == FINDING_PENDING ? REPLAY_DROPPED
                                                    : REPLAY_RESOLVED,
                 before, now_ns);
}

/* Sets are newest first. */
static void tell_changes(struct replay *replay, uint64_t now_ns)
{
    const struct finding_set *now = board_findings(replay->board);
    const struct finding_set *before = replay->findings;
    if (now->sequence == before->sequence) {
        finding_set_unref(now);
        return;
    }
    for (size_t i = before->count; i-- > 0;) {
        if (is_open(&before->findings[i]) && !is_open(find_finding(now, &before->findings[i])))
            tell_closed(replay, &before->findings[i], now_ns);
    }
    for (size_t i = now->count; i-- > 0;) {
        if (is_open(&now->findings[i]))
            tell_open(replay, find_finding(before, &now->findings[i]), &now->findings[i], now_ns);
    }
    finding_set_unref(before);
    replay->findings = now;
}

static void tell_captures(struct replay *replay, uint64_t now_ns)
{
    for (size_t i = 0; i < replay->capture_count; i++)
        tell(replay, (struct replay_event){.kind = REPLAY_CAPTURE,
                                           .realtime_ns = now_ns,
                                           .target = replay->captures[i].target,
                                           .rule = replay->captures[i].rule,
                                           .reason = replay->captures[i].reason});
    if (replay->captures_left_out > 0)
        tell(replay, (struct replay_event){.kind = REPLAY_CAPTURE,
                                           .realtime_ns = now_ns,
                                           .target = "",
                                           .rule = "",
                                           .reason = "more of them were asked for at once"});
    replay->capture_count = 0;
    replay->captures_left_out = 0;
}

/* ---- beats ---- */

static uint64_t gap_ns(const struct replay *replay)
{
    const uint64_t beats_ns = GAP_BEATS * replay->config->sampling_interval_ms * CLOCK_NS_PER_MS;
    return beats_ns > GAP_MIN_NS ? beats_ns : GAP_MIN_NS;
}

static void drop_silent_targets(struct replay *replay)
{
    for (size_t i = 0; i < replay->target_count;) {
        struct replayed *target = &replay->targets[i];
        if (replay->recorded_ns - target->heard_ns <= gap_ns(replay)) {
            i++;
            continue;
        }
        release_target(target);
        *target = replay->targets[--replay->target_count];
    }
}

/* Publishes what came since the last beat, and has it judged. */
static bool beat(struct replay *replay, struct error *err)
{
    if (replay->beat_rows == 0)
        return true;
    drop_silent_targets(replay);
    struct target_view *views = calloc(replay->target_count + 1, sizeof(*views));
    if (views == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for a beat of %zu targets",
                         replay->target_count);
    for (size_t i = 0; i < replay->target_count; i++) {
        struct replayed *target = &replay->targets[i];
        views[i] = (struct target_view){
            .info = target_info_ref(target->info),
            .snapshot = snapshot_ref(target->snapshot),
            .profile = target->profile != NULL ? profile_ref(target->profile) : NULL};
        target->in_beat = false;
    }
    const uint64_t now_ns = replay->beat_last_ns;
    const size_t rows = replay->beat_rows;
    replay->beat_rows = 0;
    const bool ok = board_publish(replay->board, views, replay->target_count, now_ns, err);
    free(views);
    if (!ok)
        return false;
    const struct board_page *page = board_page(replay->board);
    judge_beat(replay->judge, page);
    board_page_unref(page);
    if (now_ns < replay->options.since_realtime_ns) {
        replay->sums.before += rows;
        replay->capture_count = 0;
        replay->captures_left_out = 0;
        return true;
    }
    if (replay->sums.beats++ == 0)
        replay->sums.first_realtime_ns = now_ns;
    replay->sums.rows += rows;
    replay->sums.last_realtime_ns = now_ns;
    tell_changes(replay, now_ns);
    tell_captures(replay, now_ns);
    return true;
}

/* ---- rows ---- */

static struct replayed *find_target(struct replay *replay, const char *id)
{
    for (size_t i = 0; i < replay->target_count; i++) {
        if (strcmp(replay->targets[i].info->facts.id, id) == 0)
            return &replay->targets[i];
    }
    return NULL;
}

static struct replayed *add_target(struct replay *replay)
{
    if (replay->target_count == replay->target_room) {
        const size_t room = replay->target_room > 0 ? 2 * replay->target_room : 16;
        struct replayed *grown = realloc(replay->targets, room * sizeof(*grown));
        if (grown == NULL)
            return NULL;
        replay->targets = grown;
        replay->target_room = room;
    }
    struct replayed *target = &replay->targets[replay->target_count++];
    *target = (struct replayed){.info = NULL};
    replay->sums.targets++;
    return target;
}

/* Moves the clocks on to [snapshot].  Monotonic times of another boot, and such as run backwards, go on from the last
 * by what the system's clock says. */
static void follow_clocks(struct replay *replay, const struct snapshot *snapshot,
                          const char *boot_id)
{
    const uint64_t last_ns = replay->last_realtime_ns;
    const uint64_t passed_ns =
        last_ns != 0 && snapshot->realtime_ns > last_ns ? snapshot->realtime_ns - last_ns : 0;
    const bool same_boot = strcmp(replay->boot_id, boot_id) == 0;
    if (last_ns != 0 &&
        (!same_boot || snapshot->monotonic_ns + replay->offset_ns + CLOCK_NS_PER_S <
                           replay->last_monotonic_ns))
        replay->offset_ns = replay->last_monotonic_ns + passed_ns - snapshot->monotonic_ns;
    (void)snprintf(replay->boot_id, sizeof(replay->boot_id), "%s", boot_id);
    replay->last_realtime_ns = snapshot->realtime_ns;
    if (snapshot->monotonic_ns + replay->offset_ns > replay->last_monotonic_ns)
        replay->last_monotonic_ns = snapshot->monotonic_ns + replay->offset_ns;
    if (passed_ns <= gap_ns(replay)) {
        replay->recorded_ns += passed_ns;
        return;
    }
    if (snapshot->realtime_ns >= replay->options.since_realtime_ns && replay->sums.beats > 0)
        tell(replay, (struct replay_event){.kind = REPLAY_GAP,
                                           .realtime_ns = snapshot->realtime_ns,
                                           .gap_ns = passed_ns});
}

/* Whether [row] belongs to another beat than the rows before. */
static bool begins_beat(const struct replay *replay, const struct replayed *target,
                        const struct snapshot *snapshot)
{
    const uint64_t interval_ns = replay->config->sampling_interval_ms * CLOCK_NS_PER_MS;
    return replay->beat_rows > 0 &&
           ((target != NULL && target->in_beat) || snapshot->realtime_ns < replay->beat_first_ns ||
            snapshot->realtime_ns - replay->beat_first_ns > interval_ns / 2);
}

bool replay_row(struct replay *replay, const struct history_row *row, const char *boot_id,
                struct error *err)
{
    const char *id = row->info->facts.id;
    if ((replay->options.target != NULL && fnmatch(replay->options.target, id, 0) != 0) ||
        row->snapshot->realtime_ns > replay->options.until_realtime_ns)
        return true;
    if (begins_beat(replay, find_target(replay, id), row->snapshot) && !beat(replay, err))
        return false;
    follow_clocks(replay, row->snapshot, boot_id);
    const struct snapshot *snapshot =
        replay->offset_ns == 0
            ? snapshot_ref(row->snapshot)
            : snapshot_at(row->snapshot, row->snapshot->monotonic_ns + replay->offset_ns);
    struct replayed *target = find_target(replay, id);
    if (target == NULL && snapshot != NULL)
        target = add_target(replay);
    if (target == NULL) {
        snapshot_unref(snapshot);
        return error_set(err, ERROR_NO_MEMORY, "no memory for the history of %s", id);
    }
    release_target(target);
    *target = (struct replayed){
        .info = target_info_ref(row->info),
        .snapshot = snapshot,
        .profile = row->profile != NULL ? profile_ref(row->profile) : NULL,
        .heard_ns = replay->recorded_ns,
        .in_beat = true,
    };
    replay->sums.has_profiles = replay->sums.has_profiles || row->profile != NULL;
    replay->sums.has_tops = replay->sums.has_tops || snapshot->tops != NULL;
    if (replay->beat_rows++ == 0)
        replay->beat_first_ns = row->snapshot->realtime_ns;
    replay->beat_last_ns = row->snapshot->realtime_ns;
    return true;
}

bool replay_end(struct replay *replay, struct error *err)
{
    return beat(replay, err);
}
