/* capture.h - profiles kept as files: DIR/TARGET/heap-YYYYMMDD-HHMMSSZ.pb.gz.
 *
 * Its own thread, so that a slow or full disk never delays a sampling beat: requests come
 * through a bounded mailbox (from http, the rule engine, SIGUSR1), the profile is taken from the
 * board's newest page, encoded, written to a temporary name, synced and renamed.  A JSON file of
 * the same name beside it says why it was taken.  Files are rotated per target by count. */
#ifndef GOPROFD_CAPTURE_CAPTURE_H
#define GOPROFD_CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/config.h"
#include "core/capture/capture_file.h"
#include "core/store/finding.h"

struct board;
struct buffer;
struct capturer;
struct target_view;

enum capture_reason {
    CAPTURE_MANUAL,
    CAPTURE_ALERT,
    CAPTURE_RULE,
    CAPTURE_SIGNAL,
    CAPTURE_EXIT, /* the process ended; its last profile */
    CAPTURE_OOM,  /* the same, by the OOM killer */
};
const char *capture_reason_name(enum capture_reason reason);

enum { CAPTURE_PATHS_MAX = 64, CAPTURE_TARGET_ID_MAX_BYTES = 256 };

/* The answer to one request; lives only during the reply call. */
struct capture_result {
    bool ok;                 /* at least one capture was written */
    struct error err;        /* the first failure, if any: ERROR_NOT_FOUND (unknown target, or no
                              * profile yet), ERROR_USAGE (an automatic one that the settings do
                              * not want), ERROR_LIMIT (cooldown), ERROR_DENIED or ERROR_SYSTEM
                              * (the disk), ERROR_BUSY */
    size_t path_count;       /* one per target captured, up to CAPTURE_PATHS_MAX */
    const char *const *paths;
};

struct capture_request {
    const char *target_id; /* copied; NULL: every target that has a profile */
    enum capture_reason reason;
    const char *rule;      /* copied; NULL for none */
    const char *finding;   /* id of the finding that asked; copied; NULL for none */
    const char *message;   /* copied; NULL for none */
    /* What to capture, copied with holds of its own; NULL: the newest of [target_id] on the board. */
    const struct target_view *view;
    enum severity severity; /* decides for CAPTURE_ALERT only: a rule's own capture() wants one */
    bool whatever_severity; /* the alert's rule wants one each time */
    /* Called once, with ok, failure, or (when the queue pushed the request out or the daemon
     * stops) ERROR_BUSY; on the capture thread, or within capturer_request() when that thread does
     * not run or memory is short.  NULL: nobody waits. */
    void (*reply)(void *context, const struct capture_result *result);
    void *context;
};

/* What is asked about captures that were written; answered on the capture thread, where a slow disk delays
 * nobody else. */
struct capture_query {
    const char *name;      /* copied; the capture to read ("FOLDER/FILE"); NULL: list them */
    const char *target_id; /* of a list: copied; NULL: all */
    size_t limit;          /* of a list */
    /* Called once: with the bytes (of the profile, or a JSON array), which it takes over; or with NULL and
     * the reason.  On the capture thread, or within capturer_query() as for requests. */
    void (*answer)(void *context, struct buffer *content, const struct error *err);
    void *context;
};

struct capture_settings {
    bool automatic;            /* profile_capture_enabled: alerts may ask; manual always may */
    enum capture_on_exit on_exit;
    const char *dir;
    struct capture_limits limits; /* per target */
    uint64_t min_interval_ns;  /* cooldown per target, for automatic ones */
    uint64_t before_ns;        /* of alerts and rules: the profile of so long ago as well; 0: not */
    unsigned on_severities;    /* 1 << enum severity */
};

/* [settings] is copied.  The thread starts with capturer_start. */
struct capturer *capturer_new(const struct capture_settings *settings, struct board *board,
                              struct error *err);
bool capturer_start(struct capturer *capturer, struct error *err) GOPROFD_MUST_CHECK;
void capturer_stop(struct capturer *capturer); /* finishes what is queued, joins the thread */
void capturer_free(struct capturer *capturer);

/* Any thread.  Never waits. */
void capturer_request(struct capturer *capturer, const struct capture_request *request);

void capturer_query(struct capturer *capturer, const struct capture_query *query); /* likewise */

/* Replaces the settings from the next request on (SIGHUP). */
void capturer_configure(struct capturer *capturer, const struct capture_settings *settings);

/* Whether files could be created in [dir] now; creates it if missing.  For the check at start. */
bool capture_dir_check(const char *dir, struct error *err) GOPROFD_MUST_CHECK;

#endif
