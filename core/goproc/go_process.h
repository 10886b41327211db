/* go_process.h - one live Go process, opened once and read each interval; never stopped.
 *
 * Entered by the sampler, `goprofd ps` and `goprofd heap`.  All parsing of bytes ends here: out come
 * facts (values, sites, profile).  One thread at a time per process.
 *
 *   go_process_open:  pid -> ELF file, build info, moduledata, symbols, layout, self-check
 *   go_process_read:  memory -> snapshot values + profile (a shared one while no GC passed) */
#ifndef GOPROFD_GOPROC_GO_PROCESS_H
#define GOPROFD_GOPROC_GO_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/goproc/procfs.h"

struct core_file;
struct profile;
struct site_table;
struct snapshot;
struct stack_source;
struct target_facts;
struct go_process;

/* Opens [pid].  ERROR_GONE, ERROR_DENIED (with the cure), ERROR_UNSUPPORTED (not Go; Go too old:
 * version named; no symbols; ...), ERROR_CORRUPT, each with a message for people. */
struct go_process *go_process_open(const struct procfs *fs, pid_t pid, struct error *err);
/* The same from the core file [path] of a process that is over; [exe] is its program, or NULL for the
 * file at the path that the core names.  ERROR_NOT_FOUND and ERROR_USAGE besides, about the two files. */
struct go_process *go_process_open_core(const char *path, const char *exe, struct error *err);
const struct core_file *go_process_core(const struct go_process *process); /* NULL: it is live */
void go_process_close(struct go_process *process); /* NULL is allowed */

/* Whether the executable of [pid] is a Go program, cheaply (no memory of the process is read):
 * true; or false with ERROR_UNSUPPORTED for "not a Go program" and the other codes as above. */
bool go_process_probe(const struct procfs *fs, pid_t pid, char go_version[64], struct error *err)
    GOPROFD_MUST_CHECK;

/* Static facts: pid, start, exe, command, Go version, module, build settings, layout, cgroup.
 * Pointers stay valid until close.  `id`, `name`, `state` and `generation` are left alone. */
void go_process_facts(const struct go_process *process, struct target_facts *facts);
/* Whether something in it is not read although the process is: [*note] then says what (another Go runtime),
 * with ERROR_NONE.  May change with a read. */
bool go_process_restriction(const struct go_process *process, struct error *note);
const char *go_process_cmdline(const struct go_process *process, size_t *length);

/* Reads the runtime into [building] (values, partial; what the kernel tells is process_usage.h's) and
 * returns the heap profile in [*profile]: one hold for the caller; the same sealed object as last time
 * while no new GC was published.  The start time is checked before and after.  False: ERROR_GONE when it
 * exited or was replaced (also by exec), ERROR_BUSY when GC never let go within the retries, and so
 * on.  `tops` is not set here. */
bool go_process_read(struct go_process *process, struct snapshot *building,
                     const struct profile **profile, struct error *err) GOPROFD_MUST_CHECK;

/* Where its sites are kept: for who tags them, and the time of reads (site.h); borrowed until the close. */
struct site_table *go_process_sites(const struct go_process *process);

/* What a profile on demand is read from (stack_reading.h); borrowed from [process] until it is closed. */
void go_process_stack_source(struct go_process *process, struct stack_source *source);
/* Whether it is still the process that was opened, running the same program; else ERROR_GONE. */
bool go_process_is_alive(const struct go_process *process, struct error *err) GOPROFD_MUST_CHECK;

/* Switches heap profiling on if it is off (MemProfileRate 0), and off again if it still is as the former
 * left it: the only write there ever is (profiling_switch.h).  On only after all variables were checked
 * for plausible values.  [*written] tells whether anything was. */
bool go_process_enable_profiling(struct go_process *process, bool *written,
                                 struct error *err) GOPROFD_MUST_CHECK;
bool go_process_restore_profiling(struct go_process *process, bool *written,
                                  struct error *err) GOPROFD_MUST_CHECK;

/* A descriptor that polls readable when the process exits, or -1; stays the process's. */
int go_process_exit_fd(const struct go_process *process);

#endif
