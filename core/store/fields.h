/* fields.h - every number of a snapshot, declared once.
 *
 * The list declares the members of struct snapshot_values and the table snapshot_fields[];
 * JSON, Prometheus, Lua, history queries, docs and tests loop over the table.  A source
 * fills what it knows with SNAPSHOT_SET(); what it cannot know stays absent and no view
 * shows it.
 *
 * `metric` is the Prometheus name (base units: the view turns ns into seconds), `legacy` a
 * second name that goprof-optimizer exports; NULL means not exported. */
#ifndef GOPROFD_STORE_FIELDS_H
#define GOPROFD_STORE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_type { FIELD_U64, FIELD_I64, FIELD_F64 };
enum field_kind { FIELD_GAUGE, FIELD_COUNTER };
enum field_unit { UNIT_BYTES, UNIT_COUNT, UNIT_NS, UNIT_SECONDS, UNIT_PERCENT, UNIT_RATIO };

/* clang-format off */
/*        member                         type kind           unit        metric                              legacy                        help */
#define SNAPSHOT_FIELDS(X) \
    X(heap_alloc_bytes,                  U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_heap_alloc_bytes",     "goprof_heap_alloc_bytes",    "Bytes of heap objects, live and not yet swept (MemStats.HeapAlloc)") \
    X(heap_inuse_bytes,                  U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_heap_inuse_bytes",     "goprof_heap_inuse_bytes",    "Bytes in in-use heap spans (MemStats.HeapInuse)") \
    X(heap_idle_bytes,                   U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_heap_idle_bytes",      "goprof_heap_idle_bytes",     "Bytes in idle heap spans (MemStats.HeapIdle)") \
    X(heap_released_bytes,               U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_heap_released_bytes",  "goprof_heap_released_bytes", "Bytes of idle heap returned to the system (MemStats.HeapReleased)") \
    X(heap_sys_bytes,                    U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_heap_sys_bytes",       NULL, "Bytes of heap obtained from the system (MemStats.HeapSys)") \
    X(heap_live_bytes,                   U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_heap_live_bytes",           NULL, "Heap bytes marked live by the last GC") \
    X(heap_objects,                      U64, FIELD_GAUGE,   UNIT_COUNT, "go_memstats_heap_objects",         NULL, "Allocated heap objects (MemStats.HeapObjects)") \
    X(num_gc,                            U64, FIELD_COUNTER, UNIT_COUNT, "go_gc_cycles_total",               "goprof_num_gc",              "Completed GC cycles (MemStats.NumGC)") \
    X(num_forced_gc,                     U64, FIELD_COUNTER, UNIT_COUNT, "goprof_forced_gc_total",           NULL, "GC cycles the program asked for (MemStats.NumForcedGC)") \
    X(last_gc_unix,                      I64, FIELD_GAUGE,   UNIT_SECONDS, "go_memstats_last_gc_time_seconds", NULL, "When the last GC finished, Unix seconds; 0 if none yet") \
    X(next_gc_bytes,                     U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_next_gc_bytes",        NULL, "Heap size at which the next GC ends (MemStats.NextGC)") \
    X(total_alloc_bytes,                 U64, FIELD_COUNTER, UNIT_BYTES, "go_memstats_alloc_bytes_total",    NULL, "Bytes ever allocated on the heap (MemStats.TotalAlloc)") \
    X(mallocs,                           U64, FIELD_COUNTER, UNIT_COUNT, "go_memstats_mallocs_total",        NULL, "Heap objects ever allocated (MemStats.Mallocs)") \
    X(frees,                             U64, FIELD_COUNTER, UNIT_COUNT, "go_memstats_frees_total",          NULL, "Heap objects ever freed (MemStats.Frees)") \
    X(stack_inuse_bytes,                 U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_stack_inuse_bytes",    NULL, "Bytes in stack spans (MemStats.StackInuse)") \
    X(stack_sys_bytes,                   U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_stack_sys_bytes",      NULL, "Stack bytes obtained from the system (MemStats.StackSys)") \
    X(mspan_inuse_bytes,                 U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_mspan_inuse_bytes",    NULL, "Bytes of mspan structures in use (MemStats.MSpanInuse)") \
    X(mspan_sys_bytes,                   U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_mspan_sys_bytes",      NULL, "Bytes obtained for mspan structures (MemStats.MSpanSys)") \
    X(mcache_inuse_bytes,                U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_mcache_inuse_bytes",   NULL, "Bytes of mcache structures in use (MemStats.MCacheInuse)") \
    X(mcache_sys_bytes,                  U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_mcache_sys_bytes",     NULL, "Bytes obtained for mcache structures (MemStats.MCacheSys)") \
    X(buck_hash_sys_bytes,               U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_buck_hash_sys_bytes",  NULL, "Bytes of the runtime's profiling buckets (MemStats.BuckHashSys)") \
    X(gc_sys_bytes,                      U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_gc_sys_bytes",         NULL, "Bytes of GC metadata (MemStats.GCSys)") \
    X(other_sys_bytes,                   U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_other_sys_bytes",      NULL, "Other runtime bytes (MemStats.OtherSys)") \
    X(sys_bytes,                         U64, FIELD_GAUGE,   UNIT_BYTES, "go_memstats_sys_bytes",            NULL, "All bytes obtained from the system (MemStats.Sys)") \
    X(gc_pause_total_ns,                 U64, FIELD_COUNTER, UNIT_NS,    "goprof_gc_pause_seconds_total",    NULL, "Total stop-the-world pause (MemStats.PauseTotalNs)") \
    X(last_gc_pause_ns,                  U64, FIELD_GAUGE,   UNIT_NS,    "goprof_last_gc_pause_seconds",     NULL, "Stop-the-world pause of the newest GC") \
    X(gc_cpu_fraction,                   F64, FIELD_GAUGE,   UNIT_RATIO, "go_memstats_gc_cpu_fraction",      NULL, "Share of CPU used by GC since the program started") \
    X(gogc_percent,                      I64, FIELD_GAUGE,   UNIT_PERCENT, "go_gc_gogc_percent",             NULL, "GOGC; -1 is off") \
    X(gomemlimit_bytes,                  U64, FIELD_GAUGE,   UNIT_BYTES, "go_gc_gomemlimit_bytes",           NULL, "GOMEMLIMIT; absent when no limit is set") \
    X(goroutines,                        U64, FIELD_GAUGE,   UNIT_COUNT, "go_goroutines",                    NULL, "Goroutines that exist, without the runtime's own") \
    X(gomaxprocs,                        U64, FIELD_GAUGE,   UNIT_COUNT, "go_sched_gomaxprocs_threads",      NULL, "GOMAXPROCS") \
    X(mem_profile_rate,                  U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_mem_profile_rate_bytes",    NULL, "runtime.MemProfileRate; 0 means the program switched profiling off") \
    X(profile_sites,                     U64, FIELD_GAUGE,   UNIT_COUNT, "goprof_profile_sites",             NULL, "Allocation sites in the heap profile") \
    X(profile_inuse_bytes,               U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_profile_inuse_bytes",       NULL, "Live bytes by the heap profile, scaled, as of the last GC") \
    X(profile_inuse_objects,             U64, FIELD_GAUGE,   UNIT_COUNT, "goprof_profile_inuse_objects",     NULL, "Live objects by the heap profile, scaled, as of the last GC") \
    X(profile_alloc_bytes,               U64, FIELD_COUNTER, UNIT_BYTES, "goprof_profile_alloc_bytes_total", NULL, "Bytes ever allocated by the heap profile, scaled") \
    X(profile_alloc_objects,             U64, FIELD_COUNTER, UNIT_COUNT, "goprof_profile_alloc_objects_total", NULL, "Objects ever allocated by the heap profile, scaled") \
    X(threads,                           U64, FIELD_GAUGE,   UNIT_COUNT, "go_threads",                       NULL, "Kernel threads of the process") \
    X(rss_bytes,                         U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_rss_bytes",                 NULL, "Resident set size") \
    X(rss_anon_bytes,                    U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_rss_anon_bytes",            NULL, "Resident anonymous memory") \
    X(rss_file_bytes,                    U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_rss_file_bytes",            NULL, "Resident file mappings") \
    X(rss_shmem_bytes,                   U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_rss_shmem_bytes",           NULL, "Resident shared memory") \
    X(swap_bytes,                        U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_swap_bytes",                NULL, "Swapped-out memory") \
    X(virtual_bytes,                     U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_virtual_bytes",             NULL, "Virtual address space") \
    X(cpu_ns,                            U64, FIELD_COUNTER, UNIT_NS,    "goprof_cpu_seconds_total",         NULL, "CPU time of the process, user and system") \
    X(cgroup_memory_current_bytes,       U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_cgroup_memory_current_bytes", NULL, "Memory charged to the cgroup (memory.current)") \
    X(cgroup_memory_max_bytes,           U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_cgroup_memory_max_bytes",   NULL, "Hard limit of the cgroup or its nearest limited ancestor (memory.max); absent without a limit") \
    X(cgroup_memory_max_used_bytes,      U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_cgroup_memory_max_used_bytes", NULL, "Memory charged to the cgroup whose limit that is; more than memory.current where it is an ancestor's") \
    X(cgroup_memory_high_bytes,          U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_cgroup_memory_high_bytes",  NULL, "Throttling limit of the cgroup (memory.high); absent without a limit") \
    X(cgroup_oom_kills,                  U64, FIELD_COUNTER, UNIT_COUNT, "goprof_cgroup_oom_kills_total",    NULL, "Processes of the cgroup killed by the OOM killer") \
    X(rss_part_heap_live_bytes,          U64, FIELD_GAUGE,   UNIT_BYTES, NULL,                               NULL, "Resident part of RSS: Go objects that the last GC found in use") \
    X(rss_part_heap_garbage_bytes,       U64, FIELD_GAUGE,   UNIT_BYTES, NULL,                               NULL, "Resident part of RSS: Go objects allocated since the last GC, or dead and not swept yet") \
    X(rss_part_heap_fragmentation_bytes, U64, FIELD_GAUGE,   UNIT_BYTES, NULL,                               NULL, "Resident part of RSS: free places between objects in spans that are in use") \
    X(rss_part_heap_idle_bytes,          U64, FIELD_GAUGE,   UNIT_BYTES, NULL,                               NULL, "Resident part of RSS: free heap that was not returned to the system") \
    X(rss_part_stacks_bytes,             U64, FIELD_GAUGE,   UNIT_BYTES, NULL,                               NULL, "Resident part of RSS: stacks of goroutines") \
    X(rss_part_runtime_bytes,            U64, FIELD_GAUGE,   UNIT_BYTES, NULL,                               NULL, "Resident part of RSS: the Go runtime's own tables") \
    X(rss_part_globals_bytes,            U64, FIELD_GAUGE,   UNIT_BYTES, NULL,                               NULL, "Resident part of RSS: global variables of the program and its libraries") \
    X(rss_part_non_go_bytes,             U64, FIELD_GAUGE,   UNIT_BYTES, NULL,                               NULL, "Resident part of RSS: memory that Go did not allocate, as malloc and mmap") \
    X(rss_part_unexplained_bytes,        U64, FIELD_GAUGE,   UNIT_BYTES, NULL,                               NULL, "Resident part of RSS: gained since the pages were last looked at, and not counted by the runtime") \
    X(rss_part_files_bytes,              U64, FIELD_GAUGE,   UNIT_BYTES, NULL,                               NULL, "Resident part of RSS: pages of files") \
    X(rss_part_shared_bytes,             U64, FIELD_GAUGE,   UNIT_BYTES, NULL,                               NULL, "Resident part of RSS: shared memory") \
    X(rss_parts_age_ns,                  U64, FIELD_GAUGE,   UNIT_NS,    "goprof_rss_parts_age_seconds",     NULL, "How long ago the pages behind the parts of RSS, and pss_bytes, were looked at") \
    X(rss_parts_cost_ns,                 U64, FIELD_GAUGE,   UNIT_NS,    "goprof_rss_parts_cost_seconds",    NULL, "How long goprofd took to look at them") \
    X(pss_bytes,                         U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_pss_bytes",                 NULL, "Resident memory with shared pages divided among those who share them") \
    X(rss_huge_bytes,                    U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_rss_huge_bytes",            NULL, "Resident anonymous memory in transparent huge pages") \
    X(memory_limit_bytes,                U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_memory_limit_bytes",        NULL, "Limit with the least headroom: memory.max or memory.high of the cgroup, or GOMEMLIMIT; absent without any") \
    X(memory_limit_used_bytes,           U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_memory_limit_used_bytes",   NULL, "What counts against that limit: memory.current, or for GOMEMLIMIT what a GC cannot give back") \
    X(memory_limit_headroom_bytes,       U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_memory_limit_headroom_bytes", NULL, "What is left below that limit") \
    X(memory_growth_bytes_per_second,    F64, FIELD_GAUGE,   UNIT_BYTES, "goprof_memory_growth_bytes_per_second", NULL, "Robust slope of anonymous and shared memory over the last minutes; 0: it does not grow") \
    X(time_to_limit_seconds,             F64, FIELD_GAUGE,   UNIT_SECONDS, "goprof_time_to_limit_seconds",     NULL, "When the first limit is reached at the present slope; absent while memory does not grow") \
    X(read_duration_ns,                  U64, FIELD_GAUGE,   UNIT_NS,    "goprof_read_duration_seconds",     NULL, "How long goprofd took to read the target") \
    X(read_bytes,                        U64, FIELD_GAUGE,   UNIT_BYTES, "goprof_read_bytes",                NULL, "Bytes goprofd copied from the target for this snapshot") \
    X(read_retries,                      U64, FIELD_GAUGE,   UNIT_COUNT, "goprof_read_retries",              NULL, "Times a part was read again because a GC was moving it")
/* clang-format on */

#define FIELD_CTYPE_U64 uint64_t
#define FIELD_CTYPE_I64 int64_t
#define FIELD_CTYPE_F64 double

enum snapshot_field_index {
#define DECLARE_INDEX(member, type, kind, unit, metric, legacy, help) SNAPSHOT_FIELD_##member,
    SNAPSHOT_FIELDS(DECLARE_INDEX)
#undef DECLARE_INDEX
        SNAPSHOT_FIELD_COUNT
};

enum { SNAPSHOT_PRESENT_WORDS = (SNAPSHOT_FIELD_COUNT + 63) / 64 };

struct snapshot_values {
    uint64_t present[SNAPSHOT_PRESENT_WORDS]; /* bit i: field i is known */
#define DECLARE_MEMBER(member, type, kind, unit, metric, legacy, help) FIELD_CTYPE_##type member;
    SNAPSHOT_FIELDS(DECLARE_MEMBER)
#undef DECLARE_MEMBER
};

struct field {
    const char *name; /* JSON, msgpack and Lua name */
    enum field_type type;
    enum field_kind kind;
    enum field_unit unit;
    const char *metric; /* or NULL */
    const char *legacy; /* or NULL */
    const char *help;
    size_t offset; /* into struct snapshot_values */
};

union field_value {
    uint64_t u64;
    int64_t i64;
    double f64;
};

extern const struct field snapshot_fields[SNAPSHOT_FIELD_COUNT];

/* The field called [name], or NULL. */
const struct field *snapshot_field_find(const char *name);

/* Reads [field] of [values]; false if the source did not know it. */
bool snapshot_field_get(const struct snapshot_values *values, const struct field *field,
                        union field_value *value);

/* The same as a double, whatever its type; false if absent. */
bool snapshot_field_get_f64(const struct snapshot_values *values, const struct field *field,
                            double *value);

/* The word in docs and API for a unit: "bytes", "count", "ns", ... */
const char *field_unit_name(enum field_unit unit);

#define SNAPSHOT_SET(values, member, v)                                                            \
    ((values)->member = (v),                                                                       \
     (void)((values)->present[SNAPSHOT_FIELD_##member / 64] |= UINT64_C(1)                         \
                                                               << (SNAPSHOT_FIELD_##member % 64)))
#define SNAPSHOT_HAS(values, member)                                                               \
    (((values)->present[SNAPSHOT_FIELD_##member / 64] >> (SNAPSHOT_FIELD_##member % 64)) & 1)

#endif
