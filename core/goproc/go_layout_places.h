/* go_layout_places.h - what the numbers of go_layout.h are called in Go's debug information.
 *
 * Read by gen/layout_gen.go, which prints and checks the table, and by layout_dwarf.c, which asks the
 * debug information of a program whose version has no column.  Where a name differs between
 * versions the alternatives follow each other; the first that exists counts.
 *
 *   OFFSET  of the member [path] in the struct     SIZE  of the struct     VALUE  of a constant
 *
 *   NEEDED            every version has it
 *   NEEDED_SINCE_19   every version from Go 1.19 on has it
 *   ABSENT_IN_SOME    versions may have the struct without it
 *   UNLINKED_IN_SOME  programs may lack the struct altogether, if they do not use it */
#ifndef GOPROFD_GOPROC_GO_LAYOUT_PLACES_H
#define GOPROFD_GOPROC_GO_LAYOUT_PLACES_H

/* clang-format off */
#define GO_LAYOUT_PLACES(X) \
    X(moduledata_gofunc,          OFFSET, NEEDED,           "runtime.moduledata",             "gofunc") \
    X(moduledata_types,           OFFSET, NEEDED,           "runtime.moduledata",             "types") \
    X(moduledata_etypes,          OFFSET, NEEDED,           "runtime.moduledata",             "etypes") \
    X(moduledata_textsectmap,     OFFSET, NEEDED,           "runtime.moduledata",             "textsectmap") \
    X(moduledata_next,            OFFSET, NEEDED,           "runtime.moduledata",             "next") \
    X(moduledata_bytes,           SIZE,   NEEDED,           "runtime.moduledata",             "") \
    X(func_fixed_bytes,           SIZE,   NEEDED,           "runtime._func",                  "") \
    X(func_start_line,            OFFSET, ABSENT_IN_SOME,   "runtime._func",                  "startLine") \
    X(func_id,                    OFFSET, NEEDED,           "runtime._func",                  "funcID") \
    X(inline_node_bytes,          SIZE,   NEEDED,           "runtime.inlinedCall",            "") \
    X(inline_func_id,             OFFSET, NEEDED,           "runtime.inlinedCall",            "funcID") \
    X(inline_name,                OFFSET, NEEDED,           "runtime.inlinedCall",            "nameOff") \
    X(inline_name,                OFFSET, NEEDED,           "runtime.inlinedCall",            "func_") \
    X(inline_parent_pc,           OFFSET, NEEDED,           "runtime.inlinedCall",            "parentPc") \
    X(inline_start_line,          OFFSET, ABSENT_IN_SOME,   "runtime.inlinedCall",            "startLine") \
    X(funcid_wrapper,             VALUE,  NEEDED,           "internal/abi.FuncIDWrapper",     "") \
    X(funcid_wrapper,             VALUE,  NEEDED,           "runtime.funcID_wrapper",         "") \
    X(funcid_gopanic,             VALUE,  NEEDED,           "internal/abi.FuncID_gopanic",    "") \
    X(funcid_gopanic,             VALUE,  NEEDED,           "runtime.funcID_gopanic",         "") \
    X(funcid_panicwrap,           VALUE,  NEEDED,           "internal/abi.FuncID_panicwrap",  "") \
    X(funcid_panicwrap,           VALUE,  NEEDED,           "runtime.funcID_panicwrap",       "") \
    X(funcid_sigpanic,            VALUE,  NEEDED,           "internal/abi.FuncID_sigpanic",   "") \
    X(funcid_sigpanic,            VALUE,  NEEDED,           "runtime.funcID_sigpanic",        "") \
    X(record_cycle_bytes,         SIZE,   NEEDED,           "runtime.memRecordCycle",         "") \
    X(mprof_flushed,              OFFSET, UNLINKED_IN_SOME, "struct { runtime.cycle uint32; runtime.flushed bool }", "flushed") \
    X(gc_memory_limit,            OFFSET, NEEDED_SINCE_19,  "runtime.gcControllerState",       "memoryLimit") \
    X(gc_heap_goal,               OFFSET, ABSENT_IN_SOME,   "runtime.gcControllerState",       "heapGoal") \
    X(gc_percent_heap_goal,       OFFSET, NEEDED_SINCE_19,  "runtime.gcControllerState",      "gcPercentHeapGoal") \
    X(gc_sweep_dist_min_trigger,  OFFSET, NEEDED_SINCE_19,  "runtime.gcControllerState",      "sweepDistMinTrigger") \
    X(gc_triggered,               OFFSET, NEEDED_SINCE_19,  "runtime.gcControllerState",      "triggered") \
    X(gc_heap_marked,             OFFSET, NEEDED,           "runtime.gcControllerState",      "heapMarked") \
    X(gc_heap_in_use,             OFFSET, NEEDED_SINCE_19,  "runtime.gcControllerState",      "heapInUse") \
    X(gc_heap_released,           OFFSET, NEEDED_SINCE_19,  "runtime.gcControllerState",      "heapReleased") \
    X(gc_heap_free,               OFFSET, NEEDED_SINCE_19,  "runtime.gcControllerState",      "heapFree") \
    X(gc_total_alloc,             OFFSET, NEEDED_SINCE_19,  "runtime.gcControllerState",      "totalAlloc") \
    X(gc_total_free,              OFFSET, NEEDED_SINCE_19,  "runtime.gcControllerState",      "totalFree") \
    X(gc_mapped_ready,            OFFSET, NEEDED_SINCE_19,  "runtime.gcControllerState",      "mappedReady") \
    X(stats_deltas,               OFFSET, NEEDED,           "runtime.mstats",                  "heapStats.stats") \
    X(stats_heap_sys,             OFFSET, ABSENT_IN_SOME,   "runtime.mstats",                  "heap_sys") \
    X(stats_heap_in_use,          OFFSET, ABSENT_IN_SOME,   "runtime.mstats",                  "heap_inuse") \
    X(stats_heap_released,        OFFSET, ABSENT_IN_SOME,   "runtime.mstats",                  "heap_released") \
    X(stats_gen,                  OFFSET, NEEDED,           "runtime.mstats",                 "heapStats.gen") \
    X(stats_stacks_sys,           OFFSET, NEEDED,           "runtime.mstats",                 "stacks_sys") \
    X(stats_mspan_sys,            OFFSET, NEEDED,           "runtime.mstats",                 "mspan_sys") \
    X(stats_mcache_sys,           OFFSET, NEEDED,           "runtime.mstats",                 "mcache_sys") \
    X(stats_buckhash_sys,         OFFSET, NEEDED,           "runtime.mstats",                 "buckhash_sys") \
    X(stats_gc_misc_sys,          OFFSET, NEEDED,           "runtime.mstats",                 "gcMiscSys") \
    X(stats_other_sys,            OFFSET, NEEDED,           "runtime.mstats",                 "other_sys") \
    X(stats_last_gc_unix,         OFFSET, NEEDED,           "runtime.mstats",                 "last_gc_unix") \
    X(stats_pause_total_ns,       OFFSET, NEEDED,           "runtime.mstats",                 "pause_total_ns") \
    X(stats_pause_ns,             OFFSET, NEEDED,           "runtime.mstats",                 "pause_ns") \
    X(stats_numgc,                OFFSET, NEEDED,           "runtime.mstats",                 "numgc") \
    X(stats_numforcedgc,          OFFSET, NEEDED,           "runtime.mstats",                 "numforcedgc") \
    X(stats_gc_cpu_fraction,      OFFSET, NEEDED,           "runtime.mstats",                 "gc_cpu_fraction") \
    X(delta_in_ptr_scalar_bits,   OFFSET, ABSENT_IN_SOME,   "runtime.heapStatsDelta",         "inPtrScalarBits") \
    X(delta_tiny_alloc_count,     OFFSET, NEEDED,           "runtime.heapStatsDelta",         "tinyAllocCount") \
    X(delta_large_alloc,          OFFSET, NEEDED,           "runtime.heapStatsDelta",         "largeAlloc") \
    X(delta_large_alloc_count,    OFFSET, NEEDED,           "runtime.heapStatsDelta",         "largeAllocCount") \
    X(delta_small_alloc_count,    OFFSET, NEEDED,           "runtime.heapStatsDelta",         "smallAllocCount") \
    X(delta_large_free,           OFFSET, NEEDED,           "runtime.heapStatsDelta",         "largeFree") \
    X(delta_large_free_count,     OFFSET, NEEDED,           "runtime.heapStatsDelta",         "largeFreeCount") \
    X(delta_small_free_count,     OFFSET, NEEDED,           "runtime.heapStatsDelta",         "smallFreeCount") \
    X(delta_bytes,                SIZE,   NEEDED,           "runtime.heapStatsDelta",         "") \
    X(p_mcache,                   OFFSET, NEEDED,           "runtime.p",                      "mcache") \
    X(p_gfree_count,              OFFSET, NEEDED,           "runtime.p",                      "gFree.size") \
    X(p_gfree_count,              OFFSET, NEEDED,           "runtime.p",                      "gFree.n") \
    X(mcache_tiny_allocs,         OFFSET, NEEDED,           "runtime.mcache",                 "tinyAllocs") \
    X(mcache_alloc,               OFFSET, NEEDED,           "runtime.mcache",                 "alloc") \
    X(mspan_npages,               OFFSET, NEEDED,           "runtime.mspan",                  "npages") \
    X(mspan_alloc_count,          OFFSET, NEEDED,           "runtime.mspan",                  "allocCount") \
    X(mspan_spanclass,            OFFSET, NEEDED,           "runtime.mspan",                  "spanclass") \
    X(mspan_object_slots,         OFFSET, NEEDED,           "runtime.mspan",                   "nelems") \
    X(mspan_before_cache,         OFFSET, NEEDED_SINCE_19,  "runtime.mspan",                  "allocCountBeforeCache") \
    X(mspan_state,                OFFSET, NEEDED,           "runtime.mspan",                  "state") \
    X(mspan_start,                OFFSET, NEEDED,           "runtime.mspan",                  "startAddr") \
    X(mheap_allspans,             OFFSET, NEEDED,           "runtime.mheap",                  "allspans") \
    X(mheap_spanalloc_inuse,      OFFSET, NEEDED,           "runtime.mheap",                  "spanalloc.inuse") \
    X(mheap_cachealloc_inuse,     OFFSET, NEEDED,           "runtime.mheap",                  "cachealloc.inuse") \
    X(sched_ngsys,                OFFSET, NEEDED,           "runtime.schedt",                 "ngsys") \
    X(sched_gfree_count,          OFFSET, NEEDED,           "runtime.schedt",                 "gFree.stack.size") \
    X(sched_gfree_count,          OFFSET, NEEDED,           "runtime.schedt",                 "gFree.n") \
    X(sched_gfree_nostack_count,  OFFSET, ABSENT_IN_SOME,   "runtime.schedt",                 "gFree.noStack.size") \
    X(funcid_async_preempt,       VALUE,  NEEDED,           "internal/abi.FuncID_asyncPreempt", "") \
    X(funcid_async_preempt,       VALUE,  NEEDED,           "runtime.funcID_asyncPreempt",    "") \
    X(funcid_debug_call,          VALUE,  NEEDED,           "internal/abi.FuncID_debugCallV2", "") \
    X(funcid_debug_call,          VALUE,  NEEDED,           "runtime.funcID_debugCallV2",     "") \
    X(funcid_cgocallback,         VALUE,  NEEDED,           "internal/abi.FuncID_cgocallback", "") \
    X(funcid_cgocallback,         VALUE,  NEEDED,           "runtime.funcID_cgocallback",     "") \
    X(g_syscallsp,                OFFSET, NEEDED,           "runtime.g",                      "syscallsp") \
    X(g_syscallpc,                OFFSET, NEEDED,           "runtime.g",                      "syscallpc") \
    X(g_status,                   OFFSET, NEEDED,           "runtime.g",                      "atomicstatus") \
    X(g_id,                       OFFSET, NEEDED,           "runtime.g",                      "goid") \
    X(g_waitsince,                OFFSET, NEEDED,           "runtime.g",                      "waitsince") \
    X(g_waitreason,               OFFSET, NEEDED,           "runtime.g",                      "waitreason") \
    X(g_parent_id,                OFFSET, ABSENT_IN_SOME,   "runtime.g",                      "parentGoid") \
    X(g_gopc,                     OFFSET, NEEDED,           "runtime.g",                      "gopc") \
    X(g_startpc,                  OFFSET, NEEDED,           "runtime.g",                      "startpc") \
    X(g_lockedm,                  OFFSET, NEEDED,           "runtime.g",                      "lockedm") \
    X(g_labels,                   OFFSET, NEEDED,           "runtime.g",                      "labels") \
    X(g_bytes,                    SIZE,   NEEDED,           "runtime.g",                      "") \
    X(m_alllink,                  OFFSET, NEEDED,           "runtime.m",                      "alllink") \
    X(m_createstack,              OFFSET, NEEDED,           "runtime.m",                      "createstack") \
    X(sweep_state,                OFFSET, ABSENT_IN_SOME,   "runtime.sweepdata",              "active.state") \
    X(ticks_val,                  OFFSET, UNLINKED_IN_SOME, "runtime.ticksType",              "val") \
    X(ticks_val,                  OFFSET, UNLINKED_IN_SOME, "struct { runtime.lock runtime.mutex; runtime.pad uint32; runtime.val uint64 }", "val") \
    X(ticks_start_ticks,          OFFSET, UNLINKED_IN_SOME, "runtime.ticksType",              "startTicks") \
    X(ticks_start_time,           OFFSET, UNLINKED_IN_SOME, "runtime.ticksType",              "startTime")

/* What go_layout.h says never changed; all of it OFFSET, NEEDED. */
#define GO_LAYOUT_FIXED_PLACES(X) \
    X(GO_MODULEDATA_PCHEADER,     "runtime.moduledata",             "pcHeader") \
    X(GO_MODULEDATA_FUNCNAMETAB,  "runtime.moduledata",             "funcnametab") \
    X(GO_MODULEDATA_CUTAB,        "runtime.moduledata",             "cutab") \
    X(GO_MODULEDATA_FILETAB,      "runtime.moduledata",             "filetab") \
    X(GO_MODULEDATA_PCTAB,        "runtime.moduledata",             "pctab") \
    X(GO_MODULEDATA_PCLNTABLE,    "runtime.moduledata",             "pclntable") \
    X(GO_MODULEDATA_FTAB,         "runtime.moduledata",             "ftab") \
    X(GO_MODULEDATA_MINPC,        "runtime.moduledata",             "minpc") \
    X(GO_MODULEDATA_MAXPC,        "runtime.moduledata",             "maxpc") \
    X(GO_MODULEDATA_TEXT,         "runtime.moduledata",             "text") \
    X(GO_MODULEDATA_ETEXT,        "runtime.moduledata",             "etext") \
    X(GO_MODULEDATA_NOPTRDATA,    "runtime.moduledata",             "noptrdata") \
    X(GO_MODULEDATA_DATA,         "runtime.moduledata",             "data") \
    X(GO_MODULEDATA_BSS,          "runtime.moduledata",             "bss") \
    X(GO_MODULEDATA_NOPTRBSS,     "runtime.moduledata",             "noptrbss") \
    X(GO_GC_PERCENT,              "runtime.gcControllerState",      "gcPercent") \
    X(GO_G_STACK_LO,              "runtime.g",                      "stack.lo") \
    X(GO_G_STACK_HI,              "runtime.g",                      "stack.hi") \
    X(GO_G_SCHED_SP,              "runtime.g",                      "sched.sp") \
    X(GO_G_SCHED_PC,              "runtime.g",                      "sched.pc") \
    X(GO_DELTA_COMMITTED,         "runtime.heapStatsDelta",         "committed") \
    X(GO_DELTA_RELEASED,          "runtime.heapStatsDelta",         "released") \
    X(GO_DELTA_IN_HEAP,           "runtime.heapStatsDelta",         "inHeap") \
    X(GO_DELTA_IN_STACKS,         "runtime.heapStatsDelta",         "inStacks") \
    X(GO_DELTA_IN_WORK_BUFS,      "runtime.heapStatsDelta",         "inWorkBufs")
/* clang-format on */

#endif
