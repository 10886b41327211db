/* capture_take.c - see capture_take.h. */
#include "core/capture/capture_take.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/capture/capture.h"
#include "core/capture/capture_cooldown.h"
#include "core/capture/capture_encode.h"
#include "core/store/board.h"
#include "core/store/problems.h"
#include "core/store/profile.h"
#include "core/store/target_info.h"

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static bool is_of_exit(enum capture_reason reason)
{
    return reason == CAPTURE_EXIT || reason == CAPTURE_OOM;
}

bool capture_is_automatic(enum capture_reason reason)
{
    return reason == CAPTURE_ALERT || reason == CAPTURE_RULE || is_of_exit(reason);
}

/* What the cooldown counts under: the last profile of a process must not fall victim to the one that
 * an alert took shortly before; a process that dies over and over has a cooldown for that. */
static void cooldown_key(const struct capture_request *request, const char *id, char *key,
                         size_t key_bytes)
{
    /* No target's id holds a slash. */
    (void)snprintf(key, key_bytes, "%.*s%s", CAPTURE_TARGET_ID_MAX_BYTES, id,
                   is_of_exit(request->reason) ? "/exit" : "");
}

static void rotate(const struct capture_taker *taker, const char *target_id, const char *path,
                   uint64_t now_realtime_ns)
{
    struct error err = {0};
    size_t deleted = 0;
    if (!capture_file_rotate(taker->settings->dir, target_id, &taker->settings->limits, path,
                             now_realtime_ns, &deleted, &err))
        log_warn(log_msg("old captures could not be deleted"), log_str("target", target_id),
                 log_str("error", err.message));
    else if (deleted > 0)
        log_debug(log_msg("old captures deleted"), log_str("target", target_id),
                  log_u64("count", deleted));
}

static void note_failure(const struct capture_taker *taker, const char *id, const struct error *err)
{
    count(&board_counters(taker->board)->captures_failed);
    problems_set(board_problems(taker->board), PROBLEM_CAPTURES, err->message);
    log_error(log_msg("capture failed"), log_str("target", id),
              log_str("reason", capture_reason_name(taker->request->reason)),
              log_str("error", err->message));
}

static void note_written(const struct capture_taker *taker, const char *id, const char *path,
                         size_t bytes)
{
    count(&board_counters(taker->board)->captures_written);
    problems_clear(board_problems(taker->board), PROBLEM_CAPTURES);
    board_count_capture(taker->board, id);
    log_info(log_msg("capture written"), log_str("target", id),
             log_str("reason", capture_reason_name(taker->request->reason)),
             log_str("rule", taker->request->rule ? taker->request->rule : ""), log_str("path", path),
             log_u64("bytes", bytes));
}

/* Writes the profile as it was before what the request is about, for `go tool pprof -diff_base`; [path] gets its
 * path, or "".  That it cannot be had is no failure: the process may be younger, or nothing changed since. */
static void capture_before(const struct capture_taker *taker, const struct target_view *view,
                           char path[CAPTURE_PATH_MAX_BYTES])
{
    const struct capture_request *request = taker->request;
    const char *id = view->info->facts.id;
    const uint64_t before_ns = taker->settings->before_ns;
    struct error err = {0};
    size_t bytes = 0;
    path[0] = '\0';
    if ((request->reason != CAPTURE_ALERT && request->reason != CAPTURE_RULE) || before_ns == 0 ||
        taker->settings->limits.max_files == 1 || view->profile->taken_realtime_ns < before_ns)
        return;
    const struct profile *profile =
        board_profile_before(taker->board, id, view->profile->taken_realtime_ns - before_ns, &err);
    if (profile == NULL) {
        log_debug(log_msg("no profile of before"), log_str("target", id), log_str("reason", err.message));
        return;
    }
    const struct target_view past = {.info = view->info, .profile = profile};
    if (profile->taken_realtime_ns < view->profile->taken_realtime_ns &&
        profile->start_realtime_ns == view->profile->start_realtime_ns) {
        if (capture_encode(request, &past, &(struct capture_pair){.is_before = true}, taker->settings->dir,
                           profile->taken_realtime_ns, path, &bytes, &err)) {
            note_written(taker, id, path, bytes);
        } else {
            note_failure(taker, id, &err);
            path[0] = '\0';
        }
    }
    profile_unref(profile);
}

/* False: it was captured lately. */
static bool may_capture(const struct capture_taker *taker, const char *key, const char *id,
                        uint64_t monotonic_ns, struct error *err)
{
    const uint64_t left_ns = capture_cooldown_left_ns(
        taker->cooldown, key, taker->settings->min_interval_ns, monotonic_ns);
    return left_ns == 0 ||
           error_set(err, ERROR_LIMIT, "%s was captured lately: the next may be in %llu s", id,
                     (unsigned long long)((left_ns + CLOCK_NS_PER_S - 1) / CLOCK_NS_PER_S));
}

bool capture_take(const struct capture_taker *taker, const struct target_view *view,
                  char path[CAPTURE_PATH_MAX_BYTES], struct error *err)
{
    const struct capture_request *request = taker->request;
    const char *id = view->info->facts.id;
    const bool automatic = capture_is_automatic(request->reason);
    const uint64_t monotonic_ns = clock_monotonic_ns();
    const uint64_t realtime_ns = clock_realtime_ns();
    char key[CAPTURE_TARGET_ID_MAX_BYTES + 8];
    char before[CAPTURE_PATH_MAX_BYTES];
    size_t bytes = 0;

    cooldown_key(request, id, key, sizeof(key));
    if (automatic && !may_capture(taker, key, id, monotonic_ns, err))
        return false;
    capture_before(taker, view, before);
    const struct capture_pair pair = {.before = before[0] != '\0' ? strrchr(before, '/') + 1 : NULL};
    const bool ok =
        capture_encode(request, view, &pair, taker->settings->dir, realtime_ns, path, &bytes, err);
    if (automatic && !capture_cooldown_note(taker->cooldown, key, !ok, monotonic_ns))
        log_warn(log_msg("no memory to remember a capture's cooldown"), log_str("target", id));
    if (!ok) {
        note_failure(taker, id, err);
        return error_wrap(err, "capture of %s", id);
    }
    note_written(taker, id, path, bytes);
    rotate(taker, id, path, realtime_ns);
    return true;
}
