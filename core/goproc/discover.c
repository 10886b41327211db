/* discover.c - which processes are new since the last look, cheaply. */
#include "core/goproc/discover.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/goproc/procfs.h"
#include "core/goproc/procfs_file.h"

enum { DISCOVER_PIDS_MAX = 4194304 /* the kernel's own PID_MAX_LIMIT */, LISTING_FIRST_COUNT = 512 };

/* Of so many known processes each scan asks whether they still run the same file; on a host with more
 * they take turns.  Each takes some 7 microseconds (a VM, Linux 6.18). */
enum { EXEC_CHECKS_MAX = 512 };

/* However quiet the host seems, /proc is listed this often. */
#define LISTING_MAX_AGE_NS (10 * UINT64_C(1000000000))
#define LOOK_FIRST_DELAY_NS UINT64_C(1000000000)
#define LOOK_MAX_DELAY_NS (60 * UINT64_C(1000000000))

/* What exec() changes: the file behind /proc/PID/exe, or where we may not follow that link, the name. */
struct image {
    dev_t device;
    ino_t inode;
    char comm[64];
};

struct known_process {
    pid_t pid;
    ino_t folder_inode; /* of /proc/PID: another one means another process */
    uint64_t start_ticks;
    struct image image;
    bool ask_again;
    uint64_t look_at_ns; /* when to look for an exec, or ask again */
    uint64_t delay_ns;   /* the one after that */
};

struct listed_pid {
    pid_t pid;
    ino_t folder_inode;
};

struct listing {
    struct listed_pid *pids;
    size_t count;
    size_t capacity;
};

struct discover {
    const struct procfs *fs;
    struct listing listing;
    struct known_process *known; /* in order of pid */
    struct known_process *next;  /* the same, while a scan builds it */
    size_t known_count;
    size_t known_capacity;
    size_t next_capacity;
    size_t exec_check_at; /* index in [known] where the next scan's turn begins */
    uint64_t last_pid; /* the newest the kernel had given out before the last listing; 0: unknown */
    uint64_t listed_at_ns;
};

struct discover *discover_new(const struct procfs *fs)
{
    struct discover *discover = calloc(1, sizeof(*discover));
    if (discover != NULL)
        discover->fs = fs;
    return discover;
}

void discover_free(struct discover *discover)
{
    if (discover == NULL)
        return;
    free(discover->listing.pids);
    free(discover->known);
    free(discover->next);
    free(discover);
}

size_t discover_known_count(const struct discover *discover)
{
    return discover->known_count;
}

/* ---- the listing ---- */

static int compare_pids(const void *a, const void *b)
{
    const pid_t left = ((const struct listed_pid *)a)->pid;
    const pid_t right = ((const struct listed_pid *)b)->pid;
    return (left > right) - (left < right);
}

static bool add_listed(struct listing *listing, pid_t pid, ino_t folder_inode, struct error *err)
{
    if (listing->count == listing->capacity) {
        const size_t capacity =
            listing->capacity == 0 ? LISTING_FIRST_COUNT : listing->capacity * 2;
        void *grown = capacity > DISCOVER_PIDS_MAX
                          ? NULL
                          : realloc(listing->pids, capacity * sizeof(listing->pids[0]));
        if (grown == NULL)
            return error_set(err, ERROR_NO_MEMORY, "no memory to list %zu processes", capacity);
        listing->pids = grown;
        listing->capacity = capacity;
    }
    listing->pids[listing->count++] = (struct listed_pid){.pid = pid, .folder_inode = folder_inode};
    return true;
}

static bool list_pids(const struct procfs *fs, struct listing *listing, struct error *err)
{
    char path[PROCFS_PATH_MAX_BYTES];
    listing->count = 0;
    if (!procfs_path(fs, path, "proc"))
        return error_set(err, ERROR_USAGE, "root path of /proc is too long");
    DIR *dir = opendir(path);
    if (dir == NULL)
        return error_set(err, ERROR_SYSTEM, "open %s: %s", path, error_errno_text(errno));

    bool ok = true;
    bool in_order = true;
    while (ok) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            if (errno != 0)
                ok = error_set(err, ERROR_SYSTEM, "list %s: %s", path, error_errno_text(errno));
            break;
        }
        pid_t pid = 0;
        if (!procfs_parse_pid(entry->d_name, &pid))
            continue;
        in_order = in_order && (listing->count == 0 || listing->pids[listing->count - 1].pid < pid);
        ok = add_listed(listing, pid, entry->d_ino, err);
    }
    (void)closedir(dir);
    if (ok && listing->count == 0 && !procfs_is_mounted(fs))
        return error_set(err, ERROR_SYSTEM,
                         "nothing is mounted at /proc: mount -t proc proc /proc");
    if (ok && !in_order) /* the kernel's /proc is in order; a fixture tree need not be */
        qsort(listing->pids, listing->count, sizeof(listing->pids[0]), compare_pids);
    return ok;
}

/* The pid that the kernel gave out last, the end of /proc/loadavg: while it stays the same no process
 * was born.  0 if it cannot be told. */
static uint64_t read_last_pid(const struct procfs *fs)
{
    struct buffer text;
    uint64_t last_pid = 0;
    buffer_init(&text, 256);
    if (procfs_load(fs, "proc/loadavg", &text) == 0) {
        const char *blank = strrchr(text.data, ' ');
        if (blank == NULL || !procfs_line_u64(blank + 1, "", &last_pid))
            last_pid = 0;
    }
    buffer_release(&text);
    return last_pid;
}

/* ---- one process ---- */

/* Start time and image of [pid]; false when it is gone or hidden. */
static bool look_at(const struct procfs *fs, pid_t pid, uint64_t *start_ticks, struct image *image)
{
    char relative[48];
    char path[PROCFS_PATH_MAX_BYTES];
    struct procfs_stat line;
    struct buffer text;

    memset(image, 0, sizeof(*image));
    (void)snprintf(relative, sizeof(relative), "proc/%d/stat", (int)pid);
    buffer_init(&text, 4096);
    const bool ok =
        procfs_load(fs, relative, &text) == 0 && procfs_stat_parse(text.data, &line, NULL);
    buffer_release(&text);
    if (!ok)
        return false;
    *start_ticks = line.start_ticks;

    struct stat file;
    (void)snprintf(relative, sizeof(relative), "proc/%d/exe", (int)pid);
    if (procfs_path(fs, path, relative) && stat(path, &file) == 0) {
        image->device = file.st_dev;
        image->inode = file.st_ino;
    } else {
        /* Go programs name their threads rarely, but any program may rename itself: only a guess,
         * used where the link is closed to us. */
        memcpy(image->comm, line.comm, sizeof(image->comm));
    }
    return true;
}

/* Whether [process] runs another file than when it was judged: one system call, so that a shell
 * that calls exec() after a minute is found as soon as a new process.  What we may not look at has
 * only its planned looks. */
static bool has_called_exec(const struct procfs *fs, const struct known_process *process)
{
    char relative[48];
    char path[PROCFS_PATH_MAX_BYTES];
    struct stat file;
    if (process->image.inode == 0)
        return false;
    (void)snprintf(relative, sizeof(relative), "proc/%d/exe", (int)process->pid);
    return procfs_path(fs, path, relative) && stat(path, &file) == 0 &&
           (file.st_dev != process->image.device || file.st_ino != process->image.inode);
}

static bool same_image(const struct image *a, const struct image *b)
{
    return a->device == b->device && a->inode == b->inode && strcmp(a->comm, b->comm) == 0;
}

/* The first look comes with the next scan, then 1 s, 2 s, 4 s ... later.  From the third on they are
 * spread by pid, so that a host's thousand old processes do not all fall due in one beat. */
static void plan_next_look(struct known_process *process, uint64_t now_ns)
{
    const uint64_t delay_ns = process->delay_ns;
    if (delay_ns <= LOOK_FIRST_DELAY_NS) {
        process->look_at_ns = now_ns + delay_ns;
    } else {
        const uint64_t spread = (uint64_t)process->pid * UINT64_C(0x9E3779B97F4A7C15) >> 32;
        process->look_at_ns = now_ns + delay_ns / 2 + spread % (delay_ns / 2);
    }
    process->delay_ns = delay_ns == 0 ? LOOK_FIRST_DELAY_NS : delay_ns * 2;
    if (process->delay_ns > LOOK_MAX_DELAY_NS)
        process->delay_ns = LOOK_MAX_DELAY_NS;
}

typedef enum discover_verdict discover_visit(pid_t pid, uint64_t start_ticks, void *context);

/* Judges [process], which is new ([before] NULL) or due.  False when it vanished meanwhile. */
static bool judge(struct discover *discover, const struct known_process *before,
                  struct known_process *process, uint64_t now_ns, discover_visit *visit,
                  void *context)
{
    if (!look_at(discover->fs, process->pid, &process->start_ticks, &process->image))
        return false;

    const bool same = before != NULL && before->start_ticks == process->start_ticks &&
                      same_image(&before->image, &process->image);
    if (same) {
        process->delay_ns = before->delay_ns;
        process->ask_again = before->ask_again;
    }
    if (!same || process->ask_again)
        process->ask_again = visit(process->pid, process->start_ticks, context) == DISCOVER_ASK_AGAIN;
    plan_next_look(process, now_ns);
    return true;
}

/* ---- the scan ---- */

/* Makes those that have called exec() since they were judged fall due now. */
static void check_execs(struct discover *discover, uint64_t now_ns)
{
    const size_t count = discover->known_count;
    const size_t checks = count < EXEC_CHECKS_MAX ? count : EXEC_CHECKS_MAX;
    for (size_t i = 0; i < checks; i++) {
        struct known_process *process = &discover->known[(discover->exec_check_at + i) % count];
        if (now_ns < process->look_at_ns && has_called_exec(discover->fs, process))
            process->look_at_ns = now_ns;
    }
    discover->exec_check_at = count == 0 ? 0 : (discover->exec_check_at + checks) % count;
}

static bool reserve_next(struct discover *discover, struct error *err)
{
    const size_t needed = discover->listing.count;
    if (needed <= discover->next_capacity)
        return true;
    struct known_process *grown =
        realloc(discover->next, discover->listing.capacity * sizeof(*grown));
    if (grown == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to remember %zu processes", needed);
    discover->next = grown;
    discover->next_capacity = discover->listing.capacity;
    return true;
}

static void swap_known(struct discover *discover, size_t next_count)
{
    struct known_process *spare = discover->known;
    const size_t spare_capacity = discover->known_capacity;
    discover->known = discover->next;
    discover->known_capacity = discover->next_capacity;
    discover->known_count = next_count;
    discover->next = spare;
    discover->next_capacity = spare_capacity;
}

/* No process was born: only those whose time has come are looked at. */
static void look_at_known(struct discover *discover, uint64_t now_ns, discover_visit *visit,
                          void *context)
{
    size_t kept = 0;
    for (size_t i = 0; i < discover->known_count; i++) {
        const struct known_process before = discover->known[i];
        struct known_process process = before;
        if (now_ns >= before.look_at_ns) {
            process = (struct known_process){.pid = before.pid, .folder_inode = before.folder_inode};
            if (!judge(discover, &before, &process, now_ns, visit, context))
                continue;
        }
        discover->known[kept++] = process;
    }
    discover->known_count = kept;
}

static void look_at_listed(struct discover *discover, uint64_t now_ns, discover_visit *visit,
                           void *context)
{
    size_t next_count = 0;
    size_t old = 0;
    for (size_t i = 0; i < discover->listing.count; i++) {
        const struct listed_pid *listed = &discover->listing.pids[i];
        while (old < discover->known_count && discover->known[old].pid < listed->pid)
            old++;
        const struct known_process *before =
            old < discover->known_count && discover->known[old].pid == listed->pid
                ? &discover->known[old]
                : NULL;
        struct known_process *process = &discover->next[next_count];

        if (before != NULL && before->folder_inode == listed->folder_inode &&
            now_ns < before->look_at_ns) {
            *process = *before;
            next_count++;
            continue;
        }
        *process = (struct known_process){.pid = listed->pid, .folder_inode = listed->folder_inode};
        if (judge(discover, before, process, now_ns, visit, context))
            next_count++;
    }
    swap_known(discover, next_count);
}

bool discover_scan(struct discover *discover, uint64_t now_monotonic_ns, discover_visit *visit,
                   void *context, struct error *err)
{
    check_execs(discover, now_monotonic_ns);
    /* Read before the listing: a process born in between is then found by the next scan. */
    const uint64_t last_pid = read_last_pid(discover->fs);
    if (last_pid != 0 && last_pid == discover->last_pid &&
        now_monotonic_ns - discover->listed_at_ns < LISTING_MAX_AGE_NS) {
        look_at_known(discover, now_monotonic_ns, visit, context);
        return true;
    }
    if (!list_pids(discover->fs, &discover->listing, err) || !reserve_next(discover, err))
        return false;
    look_at_listed(discover, now_monotonic_ns, visit, context);
    discover->last_pid = last_pid;
    discover->listed_at_ns = now_monotonic_ns;
    return true;
}

/* ---- globs ---- */

bool discover_glob_matches(const char *glob, const char *exe)
{
    static const char deleted[] = " (deleted)";
    char path[PROCFS_PATH_MAX_BYTES];
    size_t length = strlen(exe);
    const size_t mark = sizeof(deleted) - 1;
    if (length > mark && strcmp(exe + length - mark, deleted) == 0)
        length -= mark;
    if (length >= sizeof(path))
        return false;
    memcpy(path, exe, length);
    path[length] = '\0';

    const char *subject = path;
    if (strchr(glob, '/') == NULL) {
        const char *slash = strrchr(path, '/');
        subject = slash != NULL ? slash + 1 : path;
    }
    return fnmatch(glob, subject, 0) == 0;
}
