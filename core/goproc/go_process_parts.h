/* go_process_parts.h - what a go_process is made of; for go_process*.c only.
 *
 *   go_process_open.c     pid or core file -> identity, image, facts
 *   go_process_runtime.c  image -> version, layout, symbols, readers
 *   go_process.c          what is read of it from then on */
#ifndef GOPROFD_GOPROC_GO_PROCESS_PARTS_H
#define GOPROFD_GOPROC_GO_PROCESS_PARTS_H

#include "core/base/buffer.h"
#include "core/goproc/buildinfo.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/go_process.h"
#include "core/goproc/go_program.h"
#include "core/goproc/image_mark.h"
#include "core/goproc/memory.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/other_runtimes.h"
#include "core/goproc/pod.h"
#include "core/goproc/procfs_file.h"
#include "core/goproc/symbols.h"
#include "core/goproc/tick_clock.h"

struct buckets;
struct call_stacks;
struct heap_stats;
struct mapping;
struct pclntab;
struct plugins;

struct go_process {
    struct procfs fs;
    pid_t pid;
    struct procfs_identity identity;
    int exit_fd; /* pidfd, or -1 on kernels without */
    int mem_fd;              /* or -1 where that takes more rights than reading memory */
    struct image_mark mark; /* without mem_fd: tells an exec */
    struct core_file *core; /* it is over, and this is what is left; NULL: a live process */
    struct go_program program;
    char go_version[BUILDINFO_VERSION_MAX_BYTES + 1];
    bool layout_assumed; /* made for another version, or without this one's experiments */
    bool layout_told;    /* by debug information: then it is this one */
    struct go_layout own_layout;
    const struct go_layout *layout;
    struct memory memory;
    struct symbols symbols;
    struct moduledata module;
    uint64_t bias;
    struct pclntab *functions;
    struct plugins *plugins; /* NULL: of a core */
    bool has_unread_plugins; /* the core */
    struct site_table *sites;
    struct call_stacks *stacks;
    struct heap_stats *stats;
    struct buckets *buckets;
    const struct mapping *mappings; /* in [sites] */
    size_t mapping_count;
    struct tick_clock clock;
    size_t profile_depth; /* profile_depth.h */
    struct buffer cmdline;
    char *command; /* arguments joined with spaces */
    char exe[PROCFS_PATH_MAX_BYTES];
    char image[PROCFS_PATH_MAX_BYTES]; /* the file that holds Go: exe, or a library in it */
    struct other_runtimes others;
    uint64_t unpacked_at;              /* there is none: where the program lies in memory */
    char cgroup[PROCFS_PATH_MAX_BYTES];
    char container_id[80];
    struct pod pod;
};

/* From the image to the readers; live or not.  [maps] are those of the process. */
bool go_process_open_runtime(struct go_process *process, const struct procfs_maps *maps,
                             struct error *err) GOPROFD_MUST_CHECK;

#endif
