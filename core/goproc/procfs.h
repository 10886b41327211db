/* procfs.h - what the kernel tells about a process, parsed from /proc and cgroup files.
 *
 * Every function takes a root ("/" in production, a fixture tree in tests), under which "proc"
 * and "sys/fs/cgroup" lie.  The target names itself (comm, cmdline, paths), so all of it is hostile
 * text: bounded and never trusted.  No state, any thread. */
#ifndef GOPROFD_GOPROC_PROCFS_H
#define GOPROFD_GOPROC_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/buffer.h"
#include "core/base/error.h"

struct snapshot_values;

enum { PROCFS_PATH_MAX_BYTES = 4096, PROCFS_MAPS_MAX = 65536, PROCFS_CMDLINE_MAX_BYTES = 65536 };

struct table_copies;

struct procfs {
    const char *root; /* "" or "/" for the live system; borrowed */
    /* Where processes that are opened through it share the tables of their programs (table_copies.h); NULL:
     * each has its own.  Outlives them. */
    struct table_copies *copies;
};

struct procfs_identity {
    pid_t pid;
    uint64_t start_ticks;       /* field 22 of stat: clock ticks after boot */
    uint64_t start_realtime_ns;
    uid_t uid;                  /* effective */
    char comm[64];              /* at most 15 bytes and a NUL from the kernel */
    char state;                 /* R S D Z T ... */
};

struct procfs_mapping {
    uint64_t start;
    uint64_t end;
    uint64_t offset;
    uint64_t inode;
    uint32_t device; /* major << 20 | minor */
    bool readable;
    bool writable;
    bool executable;
    const char *path; /* in [paths]; "" for anonymous; may end in " (deleted)" */
};

struct procfs_maps {
    struct procfs_mapping *mappings;
    size_t count;
    struct buffer paths_;
};

bool procfs_identity_read(const struct procfs *fs, pid_t pid, struct procfs_identity *identity,
                          struct error *err) GOPROFD_MUST_CHECK;
/* Only the start time: one file, for "is this still the same process?" around a read. */
bool procfs_start_ticks_read(const struct procfs *fs, pid_t pid, uint64_t *start_ticks,
                             struct error *err) GOPROFD_MUST_CHECK;
uint64_t procfs_ticks_to_ns(uint64_t ticks); /* since boot: CLOCK_BOOTTIME */
bool procfs_parse_start_time(const char *stat_line, uint64_t *ticks, struct error *err)
    GOPROFD_MUST_CHECK;

/* The arguments as the kernel gives them, each ended by a NUL. */
bool procfs_cmdline_read(const struct procfs *fs, pid_t pid, struct buffer *out, struct error *err)
    GOPROFD_MUST_CHECK;
/* Where /proc/PID/exe points (with " (deleted)" if so). */
bool procfs_exe_read(const struct procfs *fs, pid_t pid, char out[PROCFS_PATH_MAX_BYTES],
                     struct error *err) GOPROFD_MUST_CHECK;

bool procfs_maps_read(const struct procfs *fs, pid_t pid, struct procfs_maps *maps,
                      struct error *err) GOPROFD_MUST_CHECK;
bool procfs_maps_parse(const char *text, size_t length, struct procfs_maps *maps, struct error *err)
    GOPROFD_MUST_CHECK;
void procfs_maps_release(struct procfs_maps *maps);

/* Fills rss_*, swap_bytes, virtual_bytes, threads, cpu_ns and the cgroup_* fields it can learn (cgroup
 * v2 and v1, the nearest ancestor with a limit).  A field whose file is missing stays absent; false
 * only when the process itself is gone or unreadable.  Once; each beat is process_usage.h's. */
bool procfs_usage_read(const struct procfs *fs, pid_t pid, struct snapshot_values *values,
                       struct error *err) GOPROFD_MUST_CHECK;

/* Path of the memory cgroup and the container id found in it ("" if none); bounded copies. */
bool procfs_cgroup_read(const struct procfs *fs, pid_t pid, char path[PROCFS_PATH_MAX_BYTES],
                        char container_id[80], struct error *err) GOPROFD_MUST_CHECK;

/* Calls [visit] for each numeric entry of /proc; stops when it returns false. */
bool procfs_each_pid(const struct procfs *fs, bool (*visit)(pid_t pid, void *context),
                     void *context, struct error *err) GOPROFD_MUST_CHECK;

/* Whether /proc keeps processes from us (hidepid): then it lists fewer than there are. */
bool procfs_hides_processes(const struct procfs *fs);

/* A thread by which the process [pid] can be looked at although its first thread has ended; 0: it is none of
 * those. */
pid_t procfs_living_thread(const struct procfs *fs, pid_t pid);

/* The pid that a directory of /proc is named after; false for any other name. */
bool procfs_parse_pid(const char *name, pid_t *pid);

/* Why reading memory of [pid] may be refused to us, in words with the cure: other uid without
 * CAP_SYS_PTRACE, Yama scope N, not dumpable, another user namespace, hidepid.  For ERROR_DENIED. */
void procfs_explain_denied(const struct procfs *fs, pid_t pid, struct error *err);

#endif
