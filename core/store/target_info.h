/* target_info.h - who is watched, how, and in what state; sealed like a snapshot.
 *
 * The sampler publishes a new one when something in it changes.  All strings live in the
 * info's own arena. */
#ifndef GOPROFD_STORE_TARGET_INFO_H
#define GOPROFD_STORE_TARGET_INFO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

enum source_kind { SOURCE_PROCESS, SOURCE_PPROF, SOURCE_PUSH };
const char *source_kind_name(enum source_kind source); /* "process", "pprof", "push" */

enum target_state {
    TARGET_WAITING,     /* configured, no such process yet */
    TARGET_UP,          /* read at the last beat */
    TARGET_DEGRADED,    /* readable in part: one of the two things that are scraped, for example */
    TARGET_DENIED,      /* the kernel refuses */
    TARGET_UNSUPPORTED, /* not a Go version or layout we can read */
    TARGET_FAILING,     /* the last reads failed; still trying */
    TARGET_GONE,        /* the process exited; its last snapshots are kept */
};
const char *target_state_name(enum target_state state); /* "waiting", "up", ... */

struct key_value {
    const char *key;
    const char *value;
};

/* A module that a program was built with; `replacement` is "" or "PATH@VERSION" of what stood in for it. */
struct module_dependency {
    const char *path;
    const char *version;
    const char *replacement;
};

/* What a source fills in before the seal; every pointer is copied, NULL becomes "". */
struct target_facts {
    const char *id;   /* unique, stable over restarts; what ?target= and labels carry */
    const char *name; /* as configured, or the executable's base name */
    enum source_kind source;
    enum target_state state;
    const char *reason; /* why not up; "" when up */
    enum error_code reason_code;
    uint64_t state_since_realtime_ns;
    uint64_t generation; /* counts restarts of the target: 1, 2, ... */
    pid_t pid;           /* 0 if none */
    uint64_t start_ticks;
    uint64_t start_realtime_ns;
    const char *url; /* where a scraped one's profiles are fetched */
    const char *exe;
    const char *command; /* arguments joined with spaces */
    const char *go_version;
    const char *module_path;
    const char *module_version;
    const char *vcs_revision;
    const char *vcs_time;     /* of the revision, RFC 3339 */
    const char *vcs_modified; /* "true": built from a tree with local changes */
    const char *build_id;
    const char *layout; /* where struct layouts come from: "table", "dwarf", "assumed" */
    const char *container_id;
    const char *cgroup;
    const char *pod_uid; /* these three of Kubernetes, see core/goproc/pod.h */
    const char *pod;
    const char *pod_namespace;
    const struct key_value *build_settings; /* -ldflags, CGO_ENABLED, vcs.time, ... */
    size_t build_setting_count;
    const struct module_dependency *dependencies;
    size_t dependency_count;
    uint64_t build_generation;     /* counts builds of the target: 1, 2, ...; 0: no build id known */
    const char *previous_build_id; /* of the build before this one */
    uint64_t deployed_realtime_ns; /* when this build took over from that; 0: not seen */
};

struct target_info {
    _Atomic uint32_t refs_;
    struct arena *arena_;
    struct target_facts facts; /* all strings non-NULL, in the arena */
    const char *cmdline;       /* raw /proc/PID/cmdline: arguments each ended by a NUL */
    size_t cmdline_length;
};

/* NULL without memory. */
const struct target_info *target_info_new(const struct target_facts *facts, const char *cmdline,
                                          size_t cmdline_length);
const struct target_info *target_info_ref(const struct target_info *info);
void target_info_unref(const struct target_info *info); /* NULL is allowed */

#endif
