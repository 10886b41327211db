/* config.h - defaults, then config.lua, then GOPROF_* environment, then validation.
 *
 * core does not know Lua: lua/config_file.c evaluates the file and hands over a plain tree of
 * struct config_node; everything else (names, types, ranges, near misses) is decided here, from
 * one table, and all problems are reported at once.  Read-only after loading; a reload builds
 * a new one.  All memory is in the config's arena. */
#ifndef GOPROFD_BASE_CONFIG_H
#define GOPROFD_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/base/log.h"

enum config_node_kind { NODE_NIL, NODE_BOOL, NODE_NUMBER, NODE_STRING, NODE_TABLE, NODE_OTHER };

/* A value of config.lua as a tree.  NODE_OTHER (a function, ...) keeps Lua's type name in
 * `string`, for the message. */
struct config_node {
    enum config_node_kind kind;
    const char *key;  /* name of a table's member; NULL for list items */
    int64_t index;    /* 1-based position of a list item; 0 for named members */
    bool boolean;
    double number;
    const char *string;
    const struct config_node *children; /* of a table, in no particular order */
    size_t child_count;
};

enum config_target_kind { CONFIG_TARGET_PID, CONFIG_TARGET_EXE, CONFIG_TARGET_URL, CONFIG_TARGET_DISCOVER };

/* Whose last profiles are kept when they end. */
enum capture_on_exit { CAPTURE_ON_EXIT_NONE, CAPTURE_ON_EXIT_OOM, CAPTURE_ON_EXIT_ALL };

/* How a URL is scraped.  Paths are "" where not set. */
struct config_scrape {
    uint64_t interval_ns; /* 0: the default, which depends on the sampling interval */
    uint64_t timeout_ns;  /* of one request */
    const char *bearer_token_file;
    const char *basic_auth_file; /* holds user:password */
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
};

struct config_target {
    enum config_target_kind kind;
    const char *name; /* NULL: taken from the executable, or the host and port of the URL */
    pid_t pid;
    const char *exe;  /* glob over the path of the executable; without '/' over its base name */
    const char *url;
    struct config_scrape scrape; /* of [url] */
    const char *const *exclude; /* globs, for discover */
    size_t exclude_count;
    bool enable_heap_profiling; /* write runtime.MemProfileRate where it is 0 */
};

struct config_rule {
    const char *name;
    bool enabled;
    const struct config_node *params; /* NODE_TABLE of overrides (everything but `enabled`), or NULL */
};

/* A rule of `tags`: globs that must all match one frame of a stack; NULL: not asked.  See
 * core/store/tag_rules.h. */
struct config_tag {
    const char *tag;
    const char *match; /* full function name */
    const char *package;
    const char *file;
};

/* Alerts that match are shown, but nobody is told.  Globs; NULL matches all. */
struct config_silence {
    const char *rule;
    const char *target;
    const char *id; /* of the finding, with target and rule */
    const char *comment;
    unsigned severities; /* 1 << enum severity */
    uint64_t from_realtime_ns;
    uint64_t until_realtime_ns;
};

enum config_notify_kind { CONFIG_NOTIFY_ALERTMANAGER, CONFIG_NOTIFY_WEBHOOK };

/* One receiver of alerts.  Paths and texts are "" where not set. */
struct config_notify {
    enum config_notify_kind kind;
    const char *name; /* unique; folder of its queue, word in logs */
    const char *url;  /* Alertmanager: its base, without /api/v2/alerts */
    unsigned severities;
    bool send_resolved;
    uint64_t resend_ns;  /* Alertmanager: firing alerts are told again this often */
    uint64_t timeout_ns; /* of one request */
    const char *bearer_token_file;
    const char *basic_auth_file; /* holds user:password */
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
};

/* severities as a bit set: 1 << enum severity */
struct config {
    uint64_t sampling_interval_ms;
    uint64_t retention_window_sec;
    double high_retention_threshold_percent;
    double memory_spike_threshold_percent;
    const char *metrics_listen_addr;
    bool prometheus_enabled;
    bool pprof_enabled;
    const char *pprof_listen_addr; /* "": on the main listener */
    uint64_t max_history_samples;
    uint64_t history_max_bytes;
    bool alerting_enabled;
    enum log_level log_level;
    uint64_t shutdown_grace_period_sec;
    bool profile_capture_enabled;
    const char *profile_capture_dir;
    uint64_t profile_capture_max_files;
    uint64_t profile_capture_max_bytes;
    uint64_t profile_capture_max_age_sec;
    uint64_t profile_capture_min_interval_sec;
    unsigned profile_capture_on_severities;
    enum capture_on_exit profile_capture_on_exit;
    uint64_t profile_capture_before_sec;
    const char *rules_dir;
    bool rules_watch;
    const char *auth_token_file; /* "": everybody may ask */
    const char *state_dir; /* "": open alerts are forgotten with the daemon */
    const char *default_target; /* "": none */
    const char *external_url;     /* "": that of metrics_listen_addr */
    const char *history_dir; /* "": in memory only */
    uint64_t history_disk_max_bytes;
    uint64_t history_disk_max_age_sec;
    uint64_t history_flush_sec;
    const char *notify_queue_dir; /* "": in memory */
    uint64_t notify_queue_max_bytes;
    const char *cors_allow_origins; /* "": none; "*": all */
    uint64_t http_threads;
    const struct config_target *targets; /* at least one: discover by default */
    size_t target_count;
    const struct config_rule *rules;
    size_t rule_count;
    const struct config_tag *tags; /* in order; the first that matches counts */
    size_t tag_count;
    bool tags_by_function; /* `tags` is a function: lua/tagger.h runs it */
    const struct config_silence *silences;
    size_t silence_count;
    const struct config_notify *notify;
    size_t notify_count;
    struct arena *arena_;
};

/* A config with the defaults; NULL without memory. */
struct config *config_new(void);
void config_free(struct config *config);

/* Applies the tree that config.lua returned.  [source] is the file's name.  One line per
 * problem goes to [problems]: "FILE: KEY: found X; allowed Y; did you mean Z".  Returns the
 * number of problems. */
size_t config_apply(struct config *config, const struct config_node *root, const char *source,
                    struct buffer *problems);

/* Applies GOPROF_* from [environ_list] (like environ).  Unknown GOPROF_ names are problems too. */
size_t config_apply_environment(struct config *config, char *const *environ_list,
                                struct buffer *problems);

/* Checks that span several keys (warning below critical threshold, ...). */
size_t config_validate(const struct config *config, struct buffer *problems);

/* "64MiB", "1.5GB", 4096 -> bytes; "5s", "250ms", "10m", "1h30m" -> ns.  False if not one. */
bool config_parse_size(const char *text, uint64_t *bytes);
bool config_parse_duration(const char *text, uint64_t *ns);
/* "2030-01-31T18:00:00Z", or with +02:00.  False if not one. */
bool config_parse_time(const char *text, uint64_t *realtime_ns);

/* One option of the table, for --help, docs and tests. */
struct config_option {
    const char *key;
    const char *type;          /* "int", "percent", "bool", "string", "list", ... */
    const char *default_text;
    const char *allowed;       /* range or words */
    const char *help;
    bool reloadable;
    bool from_goprof_optimizer;
};
const struct config_option *config_options(size_t *count);

#endif
