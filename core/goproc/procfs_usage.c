/* procfs_usage.c - what the kernel counts for a process: memory by kind, threads, CPU time.
 *
 * Each beat, on the sampler's thread: two small files and the cgroup's.  smaps_rollup would know
 * more but walks every page table of the target under its lock. */
#include "core/goproc/procfs.h"

#include "core/goproc/procfs_cgroup.h"
#include "core/goproc/procfs_file.h"
#include "core/store/fields.h"

enum { USAGE_STAT_MAX_BYTES = 4096 };

/* "VmRSS:     1752 kB" as bytes */
static bool status_bytes(const char *status, const char *key, uint64_t *bytes)
{
    uint64_t kibibytes = 0;
    return procfs_line_u64(status, key, &kibibytes) &&
           !__builtin_mul_overflow(kibibytes, (uint64_t)1024, bytes);
}

static void fill_from_status(const char *status, struct snapshot_values *values)
{
    uint64_t bytes = 0;
    if (status_bytes(status, "VmRSS:", &bytes))
        SNAPSHOT_SET(values, rss_bytes, bytes);
    if (status_bytes(status, "RssAnon:", &bytes)) /* these three since Linux 4.5 */
        SNAPSHOT_SET(values, rss_anon_bytes, bytes);
    if (status_bytes(status, "RssFile:", &bytes))
        SNAPSHOT_SET(values, rss_file_bytes, bytes);
    if (status_bytes(status, "RssShmem:", &bytes))
        SNAPSHOT_SET(values, rss_shmem_bytes, bytes);
    if (status_bytes(status, "VmSwap:", &bytes))
        SNAPSHOT_SET(values, swap_bytes, bytes);
    if (status_bytes(status, "VmSize:", &bytes))
        SNAPSHOT_SET(values, virtual_bytes, bytes);
}

bool procfs_usage_read(const struct procfs *fs, pid_t pid, struct snapshot_values *values,
                       struct error *err)
{
    struct procfs_stat stat;
    struct buffer text;
    buffer_init(&text, USAGE_STAT_MAX_BYTES);
    bool ok = procfs_load_pid(fs, pid, "stat", &text, err);
    if (ok && !procfs_stat_parse(text.data, &stat, err))
        ok = error_wrap(err, "pid %d", (int)pid);
    if (ok && (stat.state == 'Z' || stat.state == 'X'))
        ok = error_set(err, ERROR_GONE, "pid %d has exited and waits for its parent", (int)pid);
    buffer_release(&text);
    if (!ok)
        return false;
    SNAPSHOT_SET(values, threads, stat.threads);
    SNAPSHOT_SET(values, cpu_ns, procfs_ticks_to_ns(stat.user_ticks + stat.system_ticks));

    buffer_init(&text, PROCFS_STATUS_MAX_BYTES);
    ok = procfs_load_pid(fs, pid, "status", &text, err);
    if (ok)
        fill_from_status(text.data, values);
    buffer_release(&text);
    if (ok)
        procfs_cgroup_usage(fs, pid, values);
    return ok;
}
