/* permissions.c - who may read whom, and what is said to those who may not.
 *
 * Needs root, to become others.  Yama is tested on fixtures only (tests/unit/goproc/procfs_denied.c): its
 * scope belongs to the whole machine. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/daemon.h"
#include "tests/support/go_program.h"

enum { SOON_MS = 30000, ARGUMENTS_MAX = 32 };

#define NOBODY "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"
#define WITH_PTRACE "--inh-caps", "+sys_ptrace", "--ambient-caps", "+sys_ptrace"

struct scene {
    char *folder;
    char *program;
    char *goprofd; /* a copy that everybody may execute */
    struct process process;
};

/* profile_target with [mode], started by way of [launcher] (NULL-ended). */
static struct scene open_scene(const char *const *launcher, mode_t mode)
{
    if (geteuid() != 0)
        cr_skip_test("this test needs root");
    const struct go_version newest = go_version_newest();
    struct scene scene = {.folder = strdup("/tmp/goprofd-test-XXXXXX")};
    cr_assert_not_null(mkdtemp(scene.folder));
    cr_assert_eq(chmod(scene.folder, 0755), 0);
    scene.program = path_join(scene.folder, "profile_target");
    scene.goprofd = path_join(scene.folder, "goprofd");
    char *from = go_program_path(&newest, "profile_target");
    char *output = NULL;
    const char *copy[] = {"cp", from, GOPROFD_BINARY_DIR "/goprofd", scene.folder, NULL};
    cr_assert_eq(process_run(copy, NULL, &output), 0, "%s", output);
    free(output);
    free(from);
    cr_assert_eq(chmod(scene.program, mode), 0);
    cr_assert_eq(chmod(scene.goprofd, 0755), 0);

    const char *argv[ARGUMENTS_MAX] = {NULL};
    size_t count = 0;
    while (launcher[count] != NULL) {
        argv[count] = launcher[count];
        count++;
    }
    argv[count] = scene.program;
    char *log_path = path_join(scene.folder, "target.log");
    scene.process = process_start(argv, log_path, NULL);
    free(process_wait_for(&scene.process, "listening", SOON_MS));
    free(log_path);
    return scene;
}

static void close_scene(struct scene *scene)
{
    process_release(&scene->process);
    free(scene->program);
    free(scene->goprofd);
    scratch_remove(scene->folder);
}

/* A C program with a Go library of which no file is left: replaced by an update, say. */
static struct scene open_scene_without_file(void)
{
    if (geteuid() != 0)
        cr_skip_test("this test needs root");
    const struct go_version newest = go_version_newest();
    struct scene scene = {.folder = strdup("/tmp/goprofd-test-XXXXXX")};
    cr_assert_not_null(mkdtemp(scene.folder));
    cr_assert_eq(chmod(scene.folder, 0755), 0);
    scene.program = path_join(scene.folder, "c-host");
    scene.goprofd = path_join(scene.folder, "goprofd");
    char *library = path_join(scene.folder, "library-stripped.so");
    char *host_from = go_program_path(&newest, "c-host");
    char *library_from = go_program_path(&newest, "modes/library-stripped.so");
    char *output = NULL;
    const char *copy[] = {"install", "-m", "755", host_from, library_from,
                          GOPROFD_BINARY_DIR "/goprofd", scene.folder, NULL};
    cr_assert_eq(process_run(copy, NULL, &output), 0, "%s", output);
    free(output);

    const char *argv[] = {NOBODY, scene.program, library, NULL};
    char *log_path = path_join(scene.folder, "target.log");
    scene.process = process_start(argv, log_path, NULL);
    free(process_wait_for(&scene.process, "listening", SOON_MS));
    cr_assert_eq(unlink(library), 0);
    free(log_path);
    free(library_from);
    free(host_from);
    free(library);
    return scene;
}

/* What "goprofd heap PID" says, run by way of [launcher]; it must end with [status]. */
static char *heap_by(const struct scene *scene, const char *const *launcher, int status)
{
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)scene->process.pid);
    const char *argv[ARGUMENTS_MAX] = {NULL};
    size_t count = 0;
    while (launcher[count] != NULL) {
        argv[count] = launcher[count];
        count++;
    }
    argv[count++] = scene->goprofd;
    argv[count++] = "heap";
    argv[count++] = pid;
    char *output = NULL;
    const int actual = process_run(argv, NULL, &output);
    cr_assert_eq(actual, status, "ended with %d: %s", actual, output);
    assert_no_sanitizer_report(output);
    return output;
}

static void assert_reads(const struct scene *scene, const char *const *launcher)
{
    char *profile = heap_by(scene, launcher, 0);
    cr_assert_eq((unsigned char)profile[0], 0x1f, "not gzip: %s", profile);
    free(profile);
}

static void assert_refused(const struct scene *scene, const char *const *launcher,
                           const char *words)
{
    char *said = heap_by(scene, launcher, 1);
    cr_assert_not_null(strstr(said, words), "no \"%s\" in: %s", words, said);
    free(said);
}

static const char *const by_root[] = {NULL};
static const char *const by_nobody[] = {NOBODY, NULL};
static const char *const by_nobody_with_ptrace[] = {NOBODY, WITH_PTRACE, NULL};
static const char *const by_root_without_ptrace[] = {
    "setpriv", "--inh-caps", "-sys_ptrace", "--bounding-set", "-sys_ptrace", NULL};

Test(permissions, an_ordinary_user_reads_own_processes)
{
    struct scene scene = open_scene(by_nobody, 0755);
    assert_reads(&scene, by_nobody);
    close_scene(&scene);
}

Test(permissions, an_ordinary_user_is_told_the_uids_and_the_capability)
{
    struct scene scene = open_scene(by_root, 0755);
    assert_refused(&scene, by_nobody, "runs as uid 0 and goprofd as uid 65534 without CAP_SYS_PTRACE");
    close_scene(&scene);
}

Test(permissions, another_group_is_enough_for_a_refusal_that_names_it)
{
    static const char *const other_group[] = {"setpriv", "--reuid", "65534", "--regid", "12345",
                                              "--clear-groups", NULL};
    struct scene scene = open_scene(other_group, 0755);
    assert_refused(&scene, by_nobody, "runs as gid 12345 and goprofd as gid 65534");
    close_scene(&scene);
}

/* Where /proc/PID/mem is closed to it, since that belongs to the other user. */
Test(permissions, with_the_capability_an_ordinary_user_reads_everybodys_processes)
{
    struct scene scene = open_scene(by_root, 0755);
    assert_reads(&scene, by_nobody_with_ptrace);
    close_scene(&scene);
}

Test(permissions, root_of_a_container_without_the_capability_is_told_to_add_it)
{
    struct scene scene = open_scene(by_nobody, 0755);
    assert_refused(&scene, by_root_without_ptrace,
                   "add the capability SYS_PTRACE to goprofd's container or unit");
    close_scene(&scene);
}

Test(permissions, an_executable_that_may_not_be_read_is_named)
{
    struct scene scene = open_scene(by_nobody, 0711);
    assert_refused(&scene, by_nobody, "the executable of pid");
    assert_refused(&scene, by_nobody_with_ptrace, "cap_dac_read_search");
    assert_reads(&scene, by_root);
    close_scene(&scene);
}

Test(permissions, another_user_namespace_is_named_from_inside_and_read_from_outside)
{
    static const char *const inside[] = {"unshare", "--user", "--map-root-user", NULL};
    struct scene scene = open_scene(inside, 0755);
    assert_reads(&scene, by_root);
    close_scene(&scene);
    scene = open_scene(by_root, 0755);
    assert_refused(&scene, inside, "another user namespace");
    close_scene(&scene);
}

/* In a mount namespace of its own, so that nobody else's /proc changes. */
static void assert_refused_with_hidepid(const char *hidepid, const char *words)
{
    char script[256];
    (void)snprintf(script, sizeof(script),
                   "mount -t proc -o hidepid=%s proc /proc && exec setpriv --reuid 65534 --regid "
                   "65534 --clear-groups \"$0\" \"$@\"",
                   hidepid);
    const char *launcher[] = {"unshare", "--mount", "sh", "-c", script, NULL};
    struct scene scene = open_scene(by_root, 0755);
    assert_refused(&scene, launcher, words);
    close_scene(&scene);
}

Test(permissions, hidepid_is_named)
{
    assert_refused_with_hidepid("1", "hidepid");
    assert_refused_with_hidepid("2", "/proc is mounted with hidepid");
}

/* What `goprofd ps` says, run as nobody by way of [script], which ends in a call of "$0" "$@". */
static void assert_ps_says(const char *script, const char *words)
{
    struct scene scene = open_scene(by_root, 0755);
    const char *argv[] = {"unshare", "--mount", "sh", "-c", script, scene.goprofd, "ps", NULL};
    char *output = NULL;
    const int actual = process_run(argv, NULL, &output);
    cr_assert_eq(actual, 0, "ended with %d: %s", actual, output);
    cr_assert_not_null(strstr(output, words), "no \"%s\" in: %s", words, output);
    assert_no_sanitizer_report(output);
    free(output);
    close_scene(&scene);
}

Test(permissions, an_empty_list_says_what_keeps_it_empty)
{
    assert_ps_says("mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid 65534 --regid 65534 "
                   "--clear-groups \"$0\" \"$@\"",
                   "/proc is mounted with hidepid: processes of other users are not listed");
    assert_ps_says("exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$0\" \"$@\"",
                   "without CAP_SYS_PTRACE: run goprofd as the same user");
}

/* The kernel's link to it is for root only; memory is not. */
Test(permissions, a_library_that_lost_its_file_is_read_from_memory)
{
    struct scene scene = open_scene_without_file();
    assert_reads(&scene, by_nobody);
    assert_reads(&scene, by_root);

    const char *argv[] = {NOBODY, scene.goprofd, "ps", NULL};
    char row[64];
    char *output = NULL;
    cr_assert_eq(process_run(argv, NULL, &output), 0, "%s", output);
    (void)snprintf(row, sizeof(row), "\n%-8d c-host               go", (int)scene.process.pid);
    cr_assert_not_null(strstr(output, row), "no row of it in: %s", output);
    free(output);
    close_scene(&scene);
}
