/* procfs_file.h - reading small kernel files under a root; for the procfs_*.c files only.
 *
 * Below the errors for people: these hand back an errno value, so that procfs_explain_denied
 * can read files without explaining itself. */
#ifndef GOPROFD_GOPROC_PROCFS_FILE_H
#define GOPROFD_GOPROC_PROCFS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/goproc/procfs.h"

/* Files whose length a hostile process can stretch: "Groups:" of status may list 65536 ids. */
#define PROCFS_STATUS_MAX_BYTES ((size_t)1 << 20)

/* Writes ROOT/RELATIVE; false if it does not fit. */
bool procfs_path(const struct procfs *fs, char out[PROCFS_PATH_MAX_BYTES], const char *relative);

/* Appends the whole file, terminated.  Returns 0, or an errno value; EFBIG when the buffer's cap
 * is reached: what fitted is then in [out]. */
int procfs_load(const struct procfs *fs, const char *relative, struct buffer *out);

/* The same for proc/PID/NAME, with a message for people: ERROR_GONE, ERROR_DENIED with the
 * cure, ERROR_LIMIT, ERROR_SYSTEM. */
bool procfs_load_pid(const struct procfs *fs, pid_t pid, const char *name, struct buffer *out,
                     struct error *err) GOPROFD_MUST_CHECK;

/* Turns the errno of a failed access to proc/PID/NAME into [err]; returns false. */
bool procfs_pid_error(const struct procfs *fs, pid_t pid, const char *name, int errno_value,
                      struct error *err);

/* procfs_denied.c: whether [pid] exists although /proc does not show it (hidepid). */
bool procfs_is_hidden(const struct procfs *fs, pid_t pid);
/* procfs_denied.c: false if there is nothing of the kernel's below /proc. */
bool procfs_is_mounted(const struct procfs *fs);

/* What follows [key] in the line of [text] that starts with it, blanks skipped; or NULL. */
const char *procfs_line(const char *text, const char *key);

/* Reads the decimal number that follows [key]; false if there is none. */
bool procfs_line_u64(const char *text, const char *key, uint64_t *value);

/* proc/PID/stat, as far as we need it. */
struct procfs_stat {
    char comm[64];
    char state;
    uint64_t flags; /* PF_* of the kernel's linux/sched.h */
    uint64_t user_ticks;
    uint64_t system_ticks;
    uint64_t threads;
    uint64_t start_ticks;
};
bool procfs_stat_parse(const char *line, struct procfs_stat *stat, struct error *err)
    GOPROFD_MUST_CHECK;

/* Of a zombie, whose [stat] says so: it has exited, or only its first thread has.  Returns false. */
bool procfs_explain_ended(const struct procfs *fs, pid_t pid, const struct procfs_stat *stat,
                          struct error *err);

#endif
