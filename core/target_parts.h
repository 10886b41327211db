/* target_parts.h - what a target consists of; for target*.c only.
 *
 *   target.c       its life: attach, state, view
 *   target_read.c  one beat
 *   target_loss.c  how its process came to its end, and its last profile
 *   target_scraped.c  one beat of a target that is scraped
 *   target_pushed.c  one beat of a target that pushes */
#ifndef GOPROFD_TARGET_PARTS_H
#define GOPROFD_TARGET_PARTS_H

#include "core/target.h"

#include "core/base/error.h"
#include "core/store/target_info.h"
#include "core/target_builds.h"

struct go_process;
struct memory_watch;
struct process_usage;
struct profile;
struct snapshot;
struct snapshot_values;
struct tops;

struct scraped; /* target_scraped.c */
struct pushed;  /* target_pushed.c */

struct target {
    const struct target_context *context;
    char *id;
    char *name;
    bool configured;
    pid_t pid;
    uint64_t start_ticks; /* of the attached process: the pid alone can be reused */
    int exit_fd;          /* pidfd of that process, readable or not, or -1 */
    uint64_t generation;
    struct target_builds builds;
    uint64_t opening; /* how often a process was opened */
    struct process_usage *usage; /* what the kernel tells of it; NULL while none is attached */
    struct memory_watch *memory; /* what its pages are; NULL until its first snapshot */
    uint64_t oom_group;            /* which cgroup [oom_kills] were counted in; 0: none yet */
    uint64_t oom_kills;            /* when last looked at */
    uint64_t oom_kills_rose_at_ns; /* 0: not since it was attached */
    uint64_t profile_generation;   /* of the process that [profile] is of */
    bool short_of_memory;          /* at the last read */
    bool enable_profiling; /* the config says so */
    bool rate_written;     /* by us, into [process] */
    struct scraped *scraped; /* these two NULL: it is a process of this host */
    struct pushed *pushed;
    struct target_loss loss;
    bool has_loss;
    struct go_process *process; /* NULL unless it could be opened */
    enum target_state state;
    uint64_t state_since_monotonic_ns;
    uint64_t state_since_realtime_ns;
    struct error reason;
    uint64_t retry_at_ns;
    uint64_t retry_pause_ns;
    uint64_t sequence;
    pid_t past_pid; /* of the process that an earlier goprofd read last; 0: none, or another was attached */
    uint64_t past_start_ticks;
    const struct snapshot *snapshot; /* newest; survives the process */
    const struct profile *profile;
    const struct tops *tops; /* of [profile] */
    const struct target_info *info; /* newest; its facts about a lost process are kept */
    bool info_stale;                /* something changed since [info] was built */
};

/* [reason] may be NULL.  A change is logged. */
void target_set_state(struct target *target, enum target_state state, const struct error *reason,
                      uint64_t now_monotonic_ns);
enum target_state target_state_of_error(enum error_code code);
/* Tries to open the process of target->pid; on failure the state says why and when to try again. */
void target_open_process(struct target *target, uint64_t now_monotonic_ns);
/* Lets go of the process; its pid stays. */
void target_detach(struct target *target);

/* target_read.c */
/* Takes over a hold: the target's newest profile, with its tops. */
void target_take_profile(struct target *target, const struct profile *profile);
void target_fill_profile_values(struct snapshot_values *values, const struct profile *profile);

/* target_scraped.c */
void target_read_scraped(struct target *target, uint64_t now_monotonic_ns);
/* Texts stay [target]'s. */
void target_scraped_facts(const struct target *target, struct target_facts *facts,
                          const char **cmdline, size_t *cmdline_length);
void target_free_scraped(struct scraped *scraped); /* NULL is allowed */

/* target_pushed.c */
void target_read_pushed(struct target *target, uint64_t now_monotonic_ns);
void target_free_pushed(struct pushed *pushed); /* NULL is allowed */

/* target_loss.c */
/* Looks whether the OOM killer was at work in the cgroup of the process since the last look: by what was
 * read in this beat, or by what the kernel says now. */
void target_watch_oom_kills(struct target *target, bool ask_now, uint64_t now_monotonic_ns);
/* The process is no longer there, or its pid names another one: the target is gone. */
void target_lose_process(struct target *target, uint64_t now_monotonic_ns);

#endif
