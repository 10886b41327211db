/* self_stats.c - reads /proc/self.  Loop threads, at most once a second each. */
#include "http/self_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/clock.h"

enum { STAT_MAX_BYTES = 2048 };

/* Fields of /proc/PID/stat counted from the state, which is field 3 of proc(5). */
enum { STAT_THREADS = 20 - 3, STAT_START = 22 - 3, STAT_VSIZE = 23 - 3, STAT_RSS = 24 - 3 };

static bool read_file(const char *path, char *text, size_t size)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return false;
    const ssize_t n = read(fd, text, size - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return true;
}

/* When the machine was booted, from the difference of two clocks: what starttime counts from. */
static uint64_t boot_realtime_ns(void)
{
    struct timespec up = {0};
    if (clock_gettime(CLOCK_BOOTTIME, &up) == -1)
        return 0;
    return clock_realtime_ns() - ((uint64_t)up.tv_sec * CLOCK_NS_PER_S + (uint64_t)up.tv_nsec);
}

static void read_stat(struct self_stats *stats)
{
    char text[STAT_MAX_BYTES];
    if (!read_file("/proc/self/stat", text, sizeof(text)))
        return;
    const char *cursor = strrchr(text, ')'); /* the name before it may hold spaces */
    if (cursor == NULL)
        return;
    cursor++;
    const long ticks_per_s = sysconf(_SC_CLK_TCK);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    for (int field = 0; field <= STAT_RSS; field++) {
        cursor += strspn(cursor, " ");
        const uint64_t value = strtoull(cursor, NULL, 10);
        if (field == STAT_THREADS)
            stats->threads = value;
        else if (field == STAT_START && ticks_per_s > 0)
            stats->start_realtime_ns =
                boot_realtime_ns() + value * (CLOCK_NS_PER_S / (uint64_t)ticks_per_s);
        else if (field == STAT_VSIZE)
            stats->virtual_bytes = value;
        else if (field == STAT_RSS && page_bytes > 0)
            stats->resident_bytes = value * (uint64_t)page_bytes;
        cursor += strcspn(cursor, " ");
    }
}

static uint64_t count_open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return SELF_STAT_UNKNOWN;
    uint64_t count = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count > 0 ? count - 1 : 0; /* without the one that reads the folder */
}

void self_stats_read(struct self_stats *stats)
{
    memset(stats, 0xFF, sizeof(*stats)); /* all unknown */
    read_stat(stats);
    stats->cpu_ns = clock_process_cpu_ns();
    stats->open_fds = count_open_fds();
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
        stats->max_fds = files.rlim_cur;
}
