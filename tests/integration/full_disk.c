/* full_disk.c - the disk of the history is full, really: goprofd goes on, says so, and catches up.
 *
 * A disk that only goprofd sees (a tmpfs in a mount namespace of its own) is filled up to the last byte; that takes
 * root.  Everybody can limit the size of the files that goprofd writes, which ends a program that does not know
 * of it. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { PATIENCE_MS = 60000, BLOCK_BYTES = 4096, SEGMENTS_MAX = 20 };

struct scene {
    char *scratch;
    char *dir;     /* as goprofd sees it */
    char *outside; /* as we see it */
    struct go_program target;
    struct daemon daemon;
    struct rlimit limit; /* of the size of files, before */
};

/* Two ways of having no room. */
struct disk {
    const char *mount; /* shell: makes [dir], its $0, a disk of its own; NULL: it stays what it is */
    void (*fill)(struct scene *scene);
    void (*make_room)(struct scene *scene);
};

/* --- a tmpfs --- */

static void fill_tmpfs(struct scene *scene)
{
    static const char block[BLOCK_BYTES];
    char *ballast = path_join(scene->outside, "ballast");
    const int fd = open(ballast, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert_neq(fd, -1, "%s: %s", ballast, strerrordesc_np(errno));
    for (size_t bytes = sizeof(block); bytes > 0;) {
        if (write(fd, block, bytes) == -1) {
            cr_assert_eq(errno, ENOSPC);
            bytes /= 2;
        }
    }
    close(fd);
    free(ballast);
}

static void empty_tmpfs(struct scene *scene)
{
    char *ballast = path_join(scene->outside, "ballast");
    cr_assert_eq(unlink(ballast), 0);
    free(ballast);
}

static const struct disk tmpfs = {
    .mount = "mount -t tmpfs -o size=256k none \"$0\"", .fill = fill_tmpfs, .make_room = empty_tmpfs};

static bool can_mount(void)
{
    char *dir = scratch_new();
    const char *const argv[] = {"unshare", "-m", "sh", "-c", tmpfs.mount, dir, NULL};
    char *output = NULL;
    const bool can = geteuid() == 0 && process_run(argv, NULL, &output) == 0;
    free(output);
    scratch_remove(dir);
    return can;
}

/* --- a limit --- */

/* The hard limit stays, or it would take a privilege to go back. */
static void limit_files(struct scene *scene)
{
    cr_assert_eq(prlimit(scene->daemon.process.pid, RLIMIT_FSIZE, NULL, &scene->limit), 0);
    const struct rlimit none = {.rlim_cur = 20, .rlim_max = scene->limit.rlim_max};
    cr_assert_eq(prlimit(scene->daemon.process.pid, RLIMIT_FSIZE, &none, NULL), 0);
}

static void unlimit_files(struct scene *scene)
{
    cr_assert_eq(prlimit(scene->daemon.process.pid, RLIMIT_FSIZE, &scene->limit, NULL), 0);
}

static const struct disk limited = {.fill = limit_files, .make_room = unlimit_files};

/* --- the story --- */

static struct scene open_scene(const struct disk *disk)
{
    const struct go_version newest = go_version_newest();
    char config[1024];
    struct scene scene = {.scratch = scratch_new()};
    scene.target = go_program_start(&newest, "profile_target", NULL, scene.scratch, "target.log", NULL);
    scene.dir = path_join(scene.scratch, "history");
    cr_assert_eq(mkdir(scene.dir, 0700), 0);
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 20, history_flush_sec = 0, history_dir = '%s', "
                   "history_disk_max_bytes = '1MiB', targets = { { name = 'target', pid = %d } } }",
                   scene.dir, (int)scene.target.process.pid);
    char *script = NULL;
    cr_assert(asprintf(&script, "%s && exec \"$@\"", disk->mount == NULL ? "true" : disk->mount) > 0);
    const char *const own_disk[] = {"unshare", "-m", "sh", "-c", script, scene.dir, NULL};
    scene.daemon = daemon_start_as(
        daemon_folder_new(), config, &(struct process_options){.under = disk->mount == NULL ? NULL : own_disk});
    free(script);
    cr_assert(asprintf(&scene.outside, "/proc/%d/root%s", (int)scene.daemon.process.pid, scene.dir) > 0);
    return scene;
}

static bool is_firing(const json_t *alerts, const void *context)
{
    (void)context;
    return json_array_size(alerts) == 1 &&
           strcmp(answer_text(json_array_get(alerts, 0), "state"), "firing") == 0;
}

static bool is_not_firing(const json_t *alerts, const void *context)
{
    return !is_firing(alerts, context);
}

/* Each snapshot from the first to the last is in [dir] once. */
static void assert_complete(const char *dir)
{
    const char *const arguments[] = {"decode", dir, NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(arguments, NULL, &output), 0, "%s", output);
    json_int_t sequence = 0;
    char *rest = NULL;
    for (char *line = strtok_r(output, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        json_t *row = json_loads(line, 0, NULL);
        cr_assert_not_null(row, "%s", line);
        cr_assert_eq(json_integer_value(json_object_get(row, "sequence")), ++sequence);
        json_decref(row);
    }
    cr_assert_gt(sequence, 20);
    free(output);
}

static size_t count_segments(const char *dir)
{
    size_t count = 0;
    DIR *folder = opendir(dir);
    cr_assert_not_null(folder);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += strncmp(entry->d_name, "segment-", 8) == 0;
    closedir(folder);
    return count;
}

static void tell_the_story(const struct disk *disk)
{
    static const char alerts[] = "/v1/alerts?rule=history_disk_failed&state=firing";
    char disk_path[64];
    struct scene scene = open_scene(disk);
    const double written = daemon_wait_for_metric(&scene.daemon, "goprofd_history_disk_snapshots_total", 5);
    disk->fill(&scene);
    (void)daemon_wait_for_metric(&scene.daemon, "goprofd_history_disk_errors_total", 0);
    json_decref(daemon_wait_for(&scene.daemon, alerts, is_firing, NULL, PATIENCE_MS));
    /* It goes on in memory. */
    json_decref(daemon_wait_for_snapshot(&scene.daemon, "target", 0));

    disk->make_room(&scene);
    json_decref(daemon_wait_for(&scene.daemon, alerts, is_not_firing, NULL, PATIENCE_MS));
    (void)daemon_wait_for_metric(&scene.daemon, "goprofd_history_disk_snapshots_total", written + 20);

    /* Its disk would go with it, were it not open here. */
    const int disk_fd = open(scene.outside, O_RDONLY | O_DIRECTORY);
    cr_assert_neq(disk_fd, -1);
    (void)snprintf(disk_path, sizeof(disk_path), "/proc/self/fd/%d", disk_fd);
    char *output = process_output(&scene.daemon.process);
    const char *said = strstr(output, "history cannot be written to disk");
    cr_assert(disk->mount == NULL || said != NULL, "%s", output); /* the log is a file that is limited, too */
    cr_assert(said == NULL || strstr(said + 1, "history cannot be written to disk") == NULL, "said once:\n%s", output);
    free(output);
    daemon_stop(&scene.daemon);
    assert_complete(disk_path);
    cr_assert_lt(count_segments(disk_path), SEGMENTS_MAX);
    close(disk_fd);
    go_program_release(&scene.target);
    free(scene.outside);
    free(scene.dir);
    scratch_remove(scene.scratch);
}

Test(full_disk, goes_on_in_memory_tells_of_it_and_loses_nothing)
{
    const bool real = can_mount();
    if (!real)
        cr_log_warn("no disk can be mounted here: a limit on the size of files stands in for a full one");
    tell_the_story(real ? &tmpfs : &limited);
}

Test(full_disk, a_limit_on_the_size_of_files_is_a_full_disk_and_no_end)
{
    tell_the_story(&limited);
}
