/* smaps.h - what of each mapping of a process is resident, from /proc/PID/smaps.
 *
 * The kernel walks every page table of the process for it, under its lock: milliseconds for a large one.
 * So it is read now and then only (target_memory.c).  Names of mappings are the target's own words. */
#ifndef GOPROFD_GOPROC_SMAPS_H
#define GOPROFD_GOPROC_SMAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

struct procfs;

enum { SMAPS_AREAS_MAX = 65536 };

enum smaps_kind {
    SMAPS_ANONYMOUS,  /* without a name */
    SMAPS_FILE,       /* of a file, or of shared memory */
    SMAPS_C_HEAP,     /* "[heap]": brk, where malloc begins */
    SMAPS_FIRST_STACK,
    SMAPS_GO_HEAP,    /* "[anon: Go: heap]": Go 1.25 and a kernel with names for anonymous memory */
    SMAPS_GO_RUNTIME, /* "[anon: Go: ...]" of other kinds */
    SMAPS_NAMED,      /* "[anon: ...]" by someone else */
    SMAPS_KERNEL,     /* [vdso] and the like */
};

struct smaps_area {
    uint64_t start;
    uint64_t end;
    enum smaps_kind kind;
    bool writable;
    uint64_t rss_bytes;
    uint64_t pss_bytes;
    uint64_t anonymous_bytes; /* of the resident: no file's, or changed since it was mapped */
    uint64_t huge_bytes;      /* of the anonymous */
    uint64_t swap_bytes;
};

struct smaps {
    struct smaps_area *areas; /* ascending */
    size_t count;
    bool has_go_names; /* at least one area says that it is Go's */
};

/* ERROR_GONE, ERROR_DENIED, ERROR_LIMIT (too many mappings), ERROR_CORRUPT. */
bool smaps_read(const struct procfs *fs, pid_t pid, struct smaps *smaps,
                struct error *err) GOPROFD_MUST_CHECK;
bool smaps_parse(const char *text, size_t length, struct smaps *smaps,
                 struct error *err) GOPROFD_MUST_CHECK;
void smaps_release(struct smaps *smaps);

#endif
