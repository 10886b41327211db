/* go_layout.h - where each Go version keeps things: offsets of runtime structures.
 *
 * One column per minor version, taken from the DWARF of programs built with 1.18.10, 1.19.8, 1.20.14,
 * 1.21.13, 1.22.12, 1.23.12, 1.24.13, 1.25.12, 1.26.8 and 1.27.3 for linux/amd64 and
 * linux/arm64 (gen/layout_gen.go prints and checks it).  A patch release could differ, so whoever
 * uses a column proves it on the live process first (heap_stats_check).  Constant data; any thread. */
#ifndef GOPROFD_GOPROC_GO_LAYOUT_H
#define GOPROFD_GOPROC_GO_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

#define GO_LAYOUT_ABSENT UINT32_MAX /* this version has no such member */

/* All offsets in bytes.  Sources: src/runtime/{symtab,mgcpacer,mstats,runtime2,mcache,mheap,mprof}.go
 * and, since 1.22, src/internal/abi/symtab.go. */
/* clang-format off */
/*  member                         1.18   1.19   1.20   1.21   1.22   1.23   1.24   1.25   1.26   1.27 */
#define GO_LAYOUT_MEMBERS(X) \
    X(moduledata_gofunc,            304,   304,   320,   320,   320,   320,   320,   320,   320,   344) \
    X(moduledata_types,             280,   280,   296,   296,   296,   296,   296,   296,   296,   296) \
    X(moduledata_etypes,            288,   288,   304,   304,   304,   304,   304,   304,   304,   312) \
    X(moduledata_textsectmap,       312,   312,   328,   328,   328,   328,   328,   328,   336,   360) \
    X(moduledata_next,              544,   544,   560,   584,   584,   576,   576,   576,   584,   560) \
    X(moduledata_bytes,             552,   552,   568,   592,   592,   584,   584,   584,   592,   568) \
    X(func_fixed_bytes,              40,    40,    44,    44,    44,    44,    44,    44,    44,    44) \
    X(func_start_line,           ABSENT, ABSENT,    36,    36,    36,    36,    36,    36,    36,    36) \
    X(func_id,                       36,    36,    40,    40,    40,    40,    40,    40,    40,    40) \
    X(inline_node_bytes,             20,    20,    16,    16,    16,    16,    16,    16,    16,    16) \
    X(inline_func_id,                 2,     2,     0,     0,     0,     0,     0,     0,     0,     0) \
    X(inline_name,                   12,    12,     4,     4,     4,     4,     4,     4,     4,     4) \
    X(inline_parent_pc,              16,    16,     8,     8,     8,     8,     8,     8,     8,     8) \
    X(inline_start_line,         ABSENT, ABSENT,    12,    12,    12,    12,    12,    12,    12,    12) \
    X(funcid_wrapper,                21,    21,    21,    21,    22,    22,    22,    23,    23,    23) \
    X(funcid_gopanic,                 9,     9,     9,     9,    10,    10,    10,    10,    10,    10) \
    X(funcid_panicwrap,              14,    14,    14,    14,    15,    15,    15,    15,    15,    15) \
    X(funcid_sigpanic,               18,    18,    18,    18,    19,    19,    19,    20,    20,    20) \
    X(record_cycle_bytes,            32,    32,    32,    32,    32,    32,    32,    32,    32,    16) \
    X(mprof_flushed,               4, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT) \
    X(gc_memory_limit,        ABSENT,     8,     8,     8,     8,     8,     8,     8,     8,     8) \
    X(gc_heap_goal,              104, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT) \
    X(gc_percent_heap_goal,      ABSENT,   104,    48,    72,    72,    72,    72,    72,    72,    72) \
    X(gc_sweep_dist_min_trigger, ABSENT,   112,    56,    80,    80,    80,    80,    80,    80,    80) \
    X(gc_triggered,              ABSENT,   120,    64,    88,    88,    88,    88,    88,    88,    88) \
    X(gc_heap_marked,               168,   184,   128,   152,   152,   152,   152,   152,   152,   152) \
    X(gc_heap_in_use,            ABSENT,   304,   248,   272,   272,   272,   272,   272,   272,   272) \
    X(gc_heap_released,          ABSENT,   312,   256,   280,   280,   280,   280,   280,   280,   280) \
    X(gc_heap_free,              ABSENT,   320,   264,   288,   288,   288,   288,   288,   288,   288) \
    X(gc_total_alloc,            ABSENT,   328,   272,   296,   296,   296,   296,   296,   296,   296) \
    X(gc_total_free,             ABSENT,   336,   280,   304,   304,   304,   304,   304,   304,   304) \
    X(gc_mapped_ready,           ABSENT,   344,   288,   312,   312,   312,   312,   312,   312,   312) \
    X(stats_deltas,             5960,     0,     0,     0,     0,     0,     0,     0,     0,     0) \
    X(stats_heap_sys,             48, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT) \
    X(stats_heap_in_use,          56, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT) \
    X(stats_heap_released,        64, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT) \
    X(stats_gen,                   9488,  3528,  3528,  3528,  3528,  3528,  3528,  3504,  3504,  3504) \
    X(stats_stacks_sys,              88,  3544,  3544,  3544,  3544,  3544,  3544,  3520,  3520,  3520) \
    X(stats_mspan_sys,              104,  3552,  3552,  3552,  3552,  3552,  3552,  3528,  3528,  3528) \
    X(stats_mcache_sys,             120,  3560,  3560,  3560,  3560,  3560,  3560,  3536,  3536,  3536) \
    X(stats_buckhash_sys,           128,  3568,  3568,  3568,  3568,  3568,  3568,  3544,  3544,  3544) \
    X(stats_gc_misc_sys,            152,  3576,  3576,  3576,  3576,  3576,  3576,  3552,  3552,  3552) \
    X(stats_other_sys,              160,  3584,  3584,  3584,  3584,  3584,  3584,  3560,  3560,  3560) \
    X(stats_last_gc_unix,           168,  3592,  3592,  3592,  3592,  3592,  3592,  3568,  3568,  3568) \
    X(stats_pause_total_ns,         176,  3600,  3600,  3600,  3600,  3600,  3600,  3576,  3576,  3576) \
    X(stats_pause_ns,               184,  3608,  3608,  3608,  3608,  3608,  3608,  3584,  3584,  3584) \
    X(stats_numgc,                 4280,  7704,  7704,  7704,  7704,  7704,  7704,  7680,  7680,  7680) \
    X(stats_numforcedgc,           4284,  7708,  7708,  7708,  7708,  7708,  7708,  7684,  7684,  7684) \
    X(stats_gc_cpu_fraction,       4288,  7712,  7712,  7712,  7712,  7712,  7712,  7688,  7688,  7688) \
    X(delta_in_ptr_scalar_bits,      40,    40,    40,    40,    40,    40,    40, ABSENT, ABSENT, ABSENT) \
    X(delta_tiny_alloc_count,        48,    48,    48,    48,    48,    48,    48,    40,    40,    40) \
    X(delta_large_alloc,             56,    56,    56,    56,    56,    56,    56,    48,    48,    48) \
    X(delta_large_alloc_count,       64,    64,    64,    64,    64,    64,    64,    56,    56,    56) \
    X(delta_small_alloc_count,       72,    72,    72,    72,    72,    72,    72,    64,    64,    64) \
    X(delta_large_free,             616,   616,   616,   616,   616,   616,   616,   608,   608,   608) \
    X(delta_large_free_count,       624,   624,   624,   624,   624,   624,   624,   616,   616,   616) \
    X(delta_small_free_count,       632,   632,   632,   632,   632,   632,   632,   624,   624,   624) \
    X(delta_bytes,                 1176,  1176,  1176,  1176,  1176,  1176,  1176,  1168,  1168,  1168) \
    X(p_mcache,                      64,    64,    64,    64,    64,    56,    56,    56,    56,    56) \
    X(p_gfree_count,               2472,  2472,  2472,  2472,  2472,  2464,  2464,  2464,  2472,  2472) \
    X(mcache_tiny_allocs,            32,    32,    32,    32,    32,    32,    40,    40,    40,    40) \
    X(mcache_alloc,                  40,    40,    40,    40,    40,    40,    48,    48,    48,    48) \
    X(mspan_npages,                  32,    32,    32,    32,    32,    32,    32,    32,    32,    32) \
    X(mspan_alloc_count,             96,    96,    96,   104,    96,    96,    96,    96,    96,    96) \
    X(mspan_spanclass,               98,    98,    98,   106,    98,    98,    98,    98,    98,    98) \
    X(mspan_object_slots,         56,    56,    56,    56,    50,    50,    50,    50,    50,    50) \
    X(mspan_before_cache,        ABSENT,   102,   102,   110,   102,   102,   102,   102,   102,   102) \
    X(mspan_state,                   99,    99,    99,   107,    99,    99,    99,    99,    99,    99) \
    X(mspan_start,                   24,    24,    24,    24,    24,    24,    24,    24,    24,    24) \
    X(mheap_allspans,             65848, 65856, 65824, 65864, 65864, 65864, 65864, 65864, 65864, 65864) \
    X(sched_ngsys,                   72,    72,    72,    72,    72,    72,    72,    80,    96,    96) \
    X(sched_gfree_count,            176,   176,   184,   184,   184,   184,   184,   184,   200,   200) \
    X(sched_gfree_nostack_count, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT,  200,   216,   216) \
    X(funcid_async_preempt,            3,     3,     3,     3,     3,     3,     3,     3,     3,     3) \
    X(funcid_debug_call,               5,     5,     5,     5,     6,     6,     6,     6,     6,     6) \
    X(funcid_cgocallback,              4,     4,     4,     4,     4,     4,     4,     4,     4,     4) \
    X(g_syscallsp,                   112,   112,   112,   112,   112,   112,   112,   104,   104,   104) \
    X(g_syscallpc,                   120,   120,   120,   120,   120,   120,   120,   112,   112,   112) \
    X(g_status,                      144,   144,   144,   144,   144,   152,   152,   144,   144,   144) \
    X(g_id,                          152,   152,   152,   152,   152,   160,   160,   152,   152,   152) \
    X(g_waitsince,                   168,   168,   168,   168,   168,   176,   176,   168,   168,   168) \
    X(g_waitreason,                  176,   176,   176,   176,   176,   184,   184,   176,   176,   176) \
    X(g_parent_id,                 ABSENT, ABSENT, ABSENT,   272,   272,   280,   280,   272,   280,   280) \
    X(g_gopc,                        296,   296,   296,   280,   280,   288,   288,   280,   288,   288) \
    X(g_startpc,                     312,   312,   312,   296,   296,   304,   304,   296,   304,   304) \
    X(g_lockedm,                     232,   232,   232,   208,   208,   216,   216,   208,   208,   208) \
    X(g_labels,                      360,   360,   360,   344,   344,   352,   352,   344,   352,   352) \
    X(g_bytes,                       392,   392,   392,   408,   424,   432,   440,   440,   456,   456) \
    X(m_alllink,                     336,   336,   336,   336,   328,   352,   352,   344,   352,   352) \
    X(m_createstack,                 360,   360,   360,   360,   352,   376,   376,   368,   392,   392) \
    X(sweep_state,                    28,    28,    28,    28,    20,    20,    20,    20,    20,    20) \
    X(ticks_val,                      16,    16,     8,     8,    24,    24,    24,    24,    24,    24) \
    X(ticks_start_ticks,           ABSENT, ABSENT, ABSENT, ABSENT,     8,     8,     8,     8,     8,     8) \
    X(ticks_start_time,            ABSENT, ABSENT, ABSENT, ABSENT,    16,    16,    16,    16,    16,    16)

/* The heap pads its lists of spans to cache lines, and those are longer on arm64 since 1.20. */
/*  member                           1.18    1.19    1.20    1.21    1.22    1.23    1.24    1.25    1.26    1.27 */
#define GO_LAYOUT_MEMBERS_AMD64(X) \
    X(mheap_spanalloc_inuse,        92272,  92272,  92232,  92280,  92344,  92344,  92344,  92368,  92368,  92368) \
    X(mheap_cachealloc_inuse,       92344,  92344,  92304,  92352,  92416,  92416,  92416,  92440,  92512,  92512)
#define GO_LAYOUT_MEMBERS_ARM64(X) \
    X(mheap_spanalloc_inuse,        92272,  92272, 100936, 100984, 101112, 101112, 101112, 101136, 101136, 101136) \
    X(mheap_cachealloc_inuse,       92344,  92344, 101008, 101056, 101184, 101184, 101184, 101208, 101280, 101280)
/* clang-format on */

/* What never changed from 1.18 to 1.27. */
enum {
    /* runtime.moduledata: pcHeader, then slices of pointer, length, capacity */
    GO_MODULEDATA_PCHEADER = 0,
    GO_MODULEDATA_FUNCNAMETAB = 8,
    GO_MODULEDATA_CUTAB = 32,
    GO_MODULEDATA_FILETAB = 56,
    GO_MODULEDATA_PCTAB = 80,
    GO_MODULEDATA_PCLNTABLE = 104,
    GO_MODULEDATA_FTAB = 128,
    GO_MODULEDATA_MINPC = 160,
    GO_MODULEDATA_MAXPC = 168,
    GO_MODULEDATA_TEXT = 176,
    GO_MODULEDATA_ETEXT = 184,
    GO_MODULEDATA_NOPTRDATA = 192,
    GO_MODULEDATA_DATA = 208,
    GO_MODULEDATA_BSS = 224,
    GO_MODULEDATA_NOPTRBSS = 240,
    /* runtime.gcControllerState */
    GO_GC_PERCENT = 0,
    /* runtime.heapStatsDelta */
    GO_DELTA_COMMITTED = 0,
    GO_DELTA_RELEASED = 8,
    GO_DELTA_IN_HEAP = 16,
    GO_DELTA_IN_STACKS = 24,
    GO_DELTA_IN_WORK_BUFS = 32,
    GO_DELTA_COUNT = 3,
    /* runtime.g: bounds of the stack, and where a goroutine that does not run goes on */
    GO_G_STACK_LO = 0,
    GO_G_STACK_HI = 8,
    GO_G_SCHED_SP = 56,
    GO_G_SCHED_PC = 64,
    /* span classes: size class times two, plus "holds no pointers" */
    GO_SIZE_CLASSES = 68,
    GO_SPAN_CLASSES = 2 * GO_SIZE_CLASSES,
    /* minor versions that have a column */
    GO_LAYOUT_FIRST_MINOR = 18,
    GO_LAYOUT_FIRST_PATCH = 4, /* of it: before, heapStatsDelta was 8 bytes longer */
    GO_LAYOUT_LAST_MINOR = 27,
};

struct go_layout {
    unsigned minor; /* 26 for Go 1.26 */
    bool internal_runtime_hidden; /* pprof hides internal/runtime/... frames too (1.24) */
    bool size_exact;              /* records hold counts only: bytes = count x size (1.27) */
    bool spinbit_mutex;           /* only bit 0 of a mutex says that it is held (1.24) */
    bool short_names_merge;       /* pprof compares names with [...] for type arguments (1.21) */
    bool headroom_is_share;       /* headroom under a memory limit is 3 % (1.21), before: 1 MiB */
#define GO_LAYOUT_DECLARE(member, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27) uint32_t member;
    GO_LAYOUT_MEMBERS(GO_LAYOUT_DECLARE)
    GO_LAYOUT_MEMBERS_AMD64(GO_LAYOUT_DECLARE)
#undef GO_LAYOUT_DECLARE
};

/* In place of a version: it is Go, but of another compiler with a runtime of its own. */
#define GO_VERSION_GCCGO "gccgo"

struct go_version {
    unsigned major;
    unsigned minor;
    unsigned patch; /* 0 of what is not a release: rc, beta */
    bool experiments; /* built with GOEXPERIMENT: structures may differ */
    bool development; /* "devel": between two releases */
};

/* Reads "go1.26.8", "go1.22rc1", "go1.21.5 X:arenas", "go1.20.3-vendor.7", "devel go1.28-abcdef ...".
 * False if [text] is none of these. */
bool go_version_parse(const char *text, struct go_version *version);

/* The column for [version_text] on amd64, or NULL with ERROR_UNSUPPORTED that names the version. */
const struct go_layout *go_layout_find(const char *version_text, struct error *err);
/* The newest column, for a version that is newer than all of them: a claim, to be proven on the live
 * process (symbol_checks.h).  NULL if [version_text] is no such version. */
const struct go_layout *go_layout_assume(const char *version_text);
/* The state of the heap profile's cycles out of the first 8 bytes of its variable: the number of cycles shifted by
 * one, and in bit 0 whether the newest was published, as the runtime itself keeps it since 1.19. */
uint32_t go_layout_cycle_word(const struct go_layout *layout, uint64_t bytes);
/* How many of those bytes belong to it. */
size_t go_layout_cycle_bytes(const struct go_layout *layout);
/* The same version on arm64. */
const struct go_layout *go_layout_arm64(const struct go_layout *layout);

/* Object size of each size class; src/runtime/sizeclasses.go (1.19), src/internal/runtime/gc/
 * sizeclasses.go (1.27), the same in between. */
extern const uint16_t go_size_class_bytes[GO_SIZE_CLASSES];

#endif
