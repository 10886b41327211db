/* config_table.h - the options of goprofd, described once; for the config*.c files only.
 *
 * The list makes the table for people (config_options: --help, docs, tests) and the table for the
 * parser (kind, place in struct config, range).  `allowed` is made from the same range, so message
 * and check cannot disagree.  Defaults are texts and go through the parser as any other value. */
#ifndef GOPROFD_BASE_CONFIG_TABLE_H
#define GOPROFD_BASE_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/config.h"

enum option_kind {
    OPTION_COUNT,
    OPTION_MILLISECONDS,
    OPTION_SECONDS,
    OPTION_BYTES,
    OPTION_PERCENT,
    OPTION_BOOL,
    OPTION_PATH,
    OPTION_PATH_OR_NONE,
    OPTION_URL_OR_NONE,
    OPTION_ORIGINS,
    OPTION_NAME,
    OPTION_LISTEN,
    OPTION_LISTEN_OR_NONE,
    OPTION_LOG_LEVEL,
    OPTION_SEVERITIES,
    OPTION_ON_EXIT,
};

/* clang-format off */
/*    key                               kind            default           min      max            reload legacy help */
#define CONFIG_OPTIONS(X) \
    X(sampling_interval_ms,             MILLISECONDS,   "1000",           10,      3600000,       false, true,  "Time between two samples of every target") \
    X(retention_window_sec,             SECONDS,        "600",            1,       604800,        true,  true,  "Horizon of the retention estimates") \
    X(high_retention_threshold_percent, PERCENT,        "70",             0.1,     100,           true,  true,  "Share of the heap one type may retain before a critical alert opens") \
    X(memory_spike_threshold_percent,   PERCENT,        "30",             0.1,     100,           true,  true,  "Share of the heap one type may retain before a warning opens") \
    X(metrics_listen_addr,              LISTEN,         "127.0.0.1:8080", 0,       0,             false, true,  "Where REST, /metrics and /debug/pprof are served; ':8080' is every interface") \
    X(prometheus_enabled,               BOOL,           "true",           0,       0,             false, true,  "Serve GET /metrics") \
    X(pprof_enabled,                    BOOL,           "true",           0,       0,             false, true,  "Serve /debug/pprof/") \
    X(pprof_listen_addr,                LISTEN_OR_NONE, "",               0,       0,             false, true,  "A listener of its own for /debug/pprof; empty: on metrics_listen_addr") \
    X(max_history_samples,              COUNT,          "3600",           1,       1000000,       false, true,  "Snapshots kept per target") \
    X(history_max_bytes,                BYTES,          "256MiB",         1048576, 1099511627776, false, false, "Bound for the history of all targets together; the oldest goes first") \
    X(history_dir,                      PATH_OR_NONE,   "",               0,       0,             false, false, "Folder in which the history is kept over a restart of goprofd; empty: in memory only") \
    X(history_disk_max_bytes,           BYTES,          "1GiB",           1048576, 1099511627776, false, false, "Bound for the segments in history_dir; the oldest goes first") \
    X(history_disk_max_age_sec,         SECONDS,        "604800",         0,       3153600000,    false, false, "Segments older than this go when the next is begun; 0: none go for their age") \
    X(history_flush_sec,                SECONDS,        "10",             0,       3600,          false, false, "How much history a crash of goprofd may lose; longer takes less room on disk") \
    X(alerting_enabled,                 BOOL,           "true",           0,       0,             true,  true,  "Let rules open alerts") \
    X(log_level,                        LOG_LEVEL,      "info",           0,       0,             true,  true,  "Least severe log line that is written") \
    X(shutdown_grace_period_sec,        SECONDS,        "15",             0,       3600,          false, true,  "How long requests and captures under way may take after SIGTERM") \
    X(profile_capture_enabled,          BOOL,           "false",          0,       0,             true,  true,  "Let alerts capture profiles on their own; manual captures are always possible") \
    X(profile_capture_dir,              PATH,           "./profiles",     0,       0,             true,  true,  "Where captured profiles are kept, one folder per target") \
    X(profile_capture_max_files,        COUNT,          "10",             1,       100000,        true,  true,  "Captured profiles kept per target; the oldest goes first") \
    X(profile_capture_max_bytes,        BYTES,          "256MiB",         65536,   1099511627776, true,  false, "Bytes of captures kept per target; the oldest goes first") \
    X(profile_capture_max_age_sec,      SECONDS,        "0",              0,       3153600000,    true,  false, "Captures older than this go when the next is written; 0: none go for their age") \
    X(profile_capture_min_interval_sec, SECONDS,        "60",             0,       604800,        true,  true,  "Least time between two automatic captures of a target") \
    X(profile_capture_on_severities,    SEVERITIES,     "critical",       0,       0,             true,  true,  "Severities of alerts that capture a profile") \
    X(profile_capture_on_exit,          ON_EXIT,        "oom",            0,       0,             true,  false, "Whose last profile is captured when its process ends, if profile_capture_enabled") \
    X(profile_capture_before_sec,       SECONDS,        "60",             0,       86400,         true,  false, "An automatic capture is two: the heap profile of so long ago as well, to compare with; 0: one alone") \
    X(rules_dir,                        PATH,           "rules",          0,       0,             true,  false, "Folder with the rules, *.lua") \
    X(rules_watch,                      BOOL,           "false",          0,       0,             false, false, "Load the rules anew when a *.lua of rules_dir changes, as SIGHUP does; rules with a problem change nothing") \
    X(state_dir,                        PATH_OR_NONE,   "",               0,       0,             false, false, "Folder in which open alerts are kept over a restart of goprofd; empty: nowhere") \
    X(auth_token_file,                  PATH_OR_NONE,   "",               0,       0,             false, false, "File with the bearer tokens of those who may ask, one a line; read again at SIGHUP. Empty: everybody may. /health/ needs none") \
    X(default_target,                   NAME,           "",               0,       0,             false, false, "Target that requests without ?target= mean; empty: the first") \
    X(external_url,                     URL_OR_NONE,    "",               0,       0,             false, false, "Where people reach this goprofd, for links in notifications; empty: its own address") \
    X(notify_queue_dir,                 PATH_OR_NONE,   "",               0,       0,             false, false, "Where notifications wait that could not be delivered; empty: in memory, lost with the daemon") \
    X(notify_queue_max_bytes,           BYTES,          "16MiB",          65536,   1099511627776, false, false, "Bound for the waiting notifications of each receiver; the oldest goes first") \
    X(cors_allow_origins,               ORIGINS,        "",               0,       0,             false, false, "Web pages of these origins may read the API, and those named may also POST; empty: none") \
    X(http_threads,                     COUNT,          "1",              1,       64,            false, false, "Threads that answer requests")
/* clang-format on */

#define COUNT_ONE(key, kind, text, min, max, reload, legacy, help) +1
enum { CONFIG_OPTION_COUNT = 0 CONFIG_OPTIONS(COUNT_ONE) };
#undef COUNT_ONE

/* What the parser needs of one option; entry i belongs to entry i of config_options(). */
struct option_spec {
    enum option_kind kind;
    size_t offset; /* of the member of struct config */
    double min;
    double max;
};
extern const struct option_spec config_specs[CONFIG_OPTION_COUNT];

/* The index of the option called [key], or -1. */
int config_option_find(const char *key);

/* Keys that belong to a later version: a reason to be clear instead of "unknown key".  NULL if [key] is
 * not one. */
const char *config_not_yet(const char *key);

#endif
