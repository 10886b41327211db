/* capture_file.c - whole files or none, never over another, and rotation. */
#include "core/capture/capture_file.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/capture/capture.h"
#include "temp_dir.h"

#define AT_NS (UINT64_C(1795394852) * CLOCK_NS_PER_S) /* 2026-11-23 00:47:32 */

static const struct capture_content content = {
    .profile = "profile\n", .profile_bytes = 8, .sidecar = "{}\n", .sidecar_bytes = 3};

static void write_one(const char *dir, const char *id, uint64_t at_ns,
                      char path[CAPTURE_PATH_MAX_BYTES])
{
    struct error err = {0};
    cr_assert(capture_file_write(dir, id, &content, at_ns, path, &err), "%s", err.message);
}

static void assert_file(const char *path, const char *text)
{
    char *found = temp_dir_read(path);
    cr_assert_str_eq(found, text);
    free(found);
}

Test(capture_file, writes_profile_and_sidecar_and_nothing_else)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    char expected[TEMP_PATH_BYTES];
    struct stat status;
    temp_dir_init(&dir);
    umask(022);

    write_one(dir.path, "demo", AT_NS, path);
    cr_assert_str_eq(path, temp_dir_path(&dir, "demo/heap-20261123-004732Z.pb.gz", expected));
    assert_file(path, "profile\n");
    assert_file(temp_dir_path(&dir, "demo/heap-20261123-004732Z.json", expected), "{}\n");
    cr_assert_eq(temp_dir_count(&dir, "demo"), 2);

    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0640);
    cr_assert_eq(stat(temp_dir_path(&dir, "demo", expected), &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0750);
    temp_dir_release(&dir);
}

Test(capture_file, creates_a_missing_folder_with_its_parents)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    char deep[TEMP_PATH_BYTES];
    temp_dir_init(&dir);
    write_one(temp_dir_path(&dir, "var//lib/profiles/", deep), "demo", AT_NS, path);
    cr_assert(temp_dir_has(&dir, "var/lib/profiles/demo/heap-20261123-004732Z.pb.gz"));
    cr_assert_not_null(strstr(path, "/profiles/demo/heap-"), "%s", path);
    temp_dir_release(&dir);
}

Test(capture_file, takes_a_folder_relative_to_the_working_directory)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    temp_dir_init(&dir);
    cr_assert_eq(chdir(dir.path), 0);
    write_one("./profiles", "demo", AT_NS, path);
    cr_assert_str_eq(path, "./profiles/demo/heap-20261123-004732Z.pb.gz");
    assert_file(path, "profile\n");
    temp_dir_release(&dir);
}

Test(capture_file, numbers_captures_of_one_second)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    temp_dir_init(&dir);
    for (int i = 0; i < 3; i++)
        write_one(dir.path, "demo", AT_NS + (uint64_t)i * CLOCK_NS_PER_MS, path);
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004732Z.pb.gz"));
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004732Z-2.pb.gz"));
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004732Z-3.pb.gz"));
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004732Z-3.json"));
    cr_assert_eq(temp_dir_count(&dir, "demo"), 6);
    temp_dir_release(&dir);
}

Test(capture_file, never_overwrites_a_profile_or_sidecar_that_stands_alone)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    char other[TEMP_PATH_BYTES];
    temp_dir_init(&dir);
    cr_assert_eq(mkdir(temp_dir_path(&dir, "demo", other), 0750), 0);
    temp_dir_put(&dir, "demo/heap-20261123-004732Z.pb.gz", "somebody's profile");
    temp_dir_put(&dir, "demo/heap-20261123-004732Z-2.json", "somebody's sidecar");

    write_one(dir.path, "demo", AT_NS, path);
    cr_assert_str_eq(path, temp_dir_path(&dir, "demo/heap-20261123-004732Z-3.pb.gz", other));
    assert_file(temp_dir_path(&dir, "demo/heap-20261123-004732Z.pb.gz", other),
                "somebody's profile");
    assert_file(temp_dir_path(&dir, "demo/heap-20261123-004732Z-2.json", other),
                "somebody's sidecar");
    cr_assert_not(temp_dir_has(&dir, "demo/heap-20261123-004732Z.json"));
    cr_assert_not(temp_dir_has(&dir, "demo/heap-20261123-004732Z-2.pb.gz"));
    cr_assert_eq(temp_dir_count(&dir, "demo"), 4);
    temp_dir_release(&dir);
}

Test(capture_file, names_the_folder_and_the_cure_when_a_file_is_in_the_way)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    char file[TEMP_PATH_BYTES];
    struct error err = {0};
    temp_dir_init(&dir);
    temp_dir_put(&dir, "profiles", "a file");
    temp_dir_path(&dir, "profiles", file);
    cr_assert_not(capture_file_write(file, "demo", &content, AT_NS, path, &err));
    cr_assert_eq(err.code, ERROR_SYSTEM);
    cr_assert_not_null(strstr(err.message, "/profiles: "), "%s", err.message);
    cr_assert_not_null(strstr(err.message, "profile_capture_dir"), "%s", err.message);

    cr_assert_not(capture_dir_check(file, &err));
    cr_assert_not_null(strstr(err.message, "/profiles: "), "%s", err.message);
    temp_dir_release(&dir);
}

Test(capture_file, does_not_follow_a_link_in_place_of_a_targets_folder)
{
    struct temp_dir dir;
    struct temp_dir elsewhere;
    char path[CAPTURE_PATH_MAX_BYTES];
    char link[TEMP_PATH_BYTES];
    struct error err = {0};
    size_t deleted = 0;
    temp_dir_init(&dir);
    temp_dir_init(&elsewhere);
    temp_dir_put(&elsewhere, "heap-20200101-000000Z.pb.gz", "not ours to delete");
    cr_assert_eq(symlink(elsewhere.path, temp_dir_path(&dir, "demo", link)), 0);

    cr_assert_not(capture_file_write(dir.path, "demo", &content, AT_NS, path, &err));
    cr_assert_not_null(strstr(err.message, "/demo"), "%s", err.message);
    cr_assert_not(capture_file_rotate(dir.path, "demo", &(struct capture_limits){.max_files = 1}, NULL, AT_NS, &deleted, &err));
    cr_assert_eq(temp_dir_count(&elsewhere, "."), 1);
    temp_dir_release(&elsewhere);
    temp_dir_release(&dir);
}

/* A file size limit makes write() fail half way, as a full disk does. */
Test(capture_file, leaves_no_half_file_when_the_disk_is_full)
{
    enum { PROFILE_BYTES = 100000, LIMIT_BYTES = 4096 };
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    struct error err = {0};
    char *large = calloc(1, PROFILE_BYTES);
    const struct capture_content too_large = {
        .profile = large, .profile_bytes = PROFILE_BYTES, .sidecar = "{}\n", .sidecar_bytes = 3};
    const struct capture_content sidecar_too_large = {.profile = "profile\n",
                                                      .profile_bytes = 8,
                                                      .sidecar = large,
                                                      .sidecar_bytes = PROFILE_BYTES};
    temp_dir_init(&dir);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    const struct rlimit small = {.rlim_cur = LIMIT_BYTES, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    const bool first = capture_file_write(dir.path, "demo", &too_large, AT_NS, path, &err);
    struct error second_err = {0};
    const bool second =
        capture_file_write(dir.path, "demo", &sidecar_too_large, AT_NS, path, &second_err);
    setrlimit(RLIMIT_FSIZE, &before);

    cr_assert_not(first);
    cr_assert_eq(err.code, ERROR_SYSTEM);
    cr_assert_not_null(strstr(err.message, "write "), "%s", err.message);
    cr_assert_not(second);
    cr_assert_eq(temp_dir_count(&dir, "demo"), 0);

    write_one(dir.path, "demo", AT_NS, path); /* and goes on once there is room */
    free(large);
    temp_dir_release(&dir);
}

/* ---- rotation ---- */

static void rotate_by(const struct temp_dir *dir, const struct capture_limits *limits,
                      const char *keep, uint64_t now_ns, size_t expected_deleted)
{
    struct error err = {0};
    size_t deleted = 0;
    cr_assert(capture_file_rotate(dir->path, "demo", limits, keep, now_ns, &deleted, &err), "%s",
              err.message);
    cr_assert_eq(deleted, expected_deleted, "%zu deleted", deleted);
}

static void rotate(const struct temp_dir *dir, uint64_t max_files, const char *keep,
                   size_t expected_deleted)
{
    const struct capture_limits limits = {.max_files = max_files};
    rotate_by(dir, &limits, keep, AT_NS, expected_deleted);
}

/* Five captures, a second apart. */
static void write_five(const struct temp_dir *dir, char path[CAPTURE_PATH_MAX_BYTES])
{
    for (uint64_t i = 0; i < 5; i++)
        write_one(dir->path, "demo", AT_NS + i * CLOCK_NS_PER_S, path);
}

Test(capture_rotate, deletes_what_is_too_old)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    temp_dir_init(&dir);
    write_five(&dir, path);
    const struct capture_limits limits = {.max_age_ns = 10 * CLOCK_NS_PER_S};
    rotate_by(&dir, &limits, path, AT_NS + 10 * CLOCK_NS_PER_S, 0);
    rotate_by(&dir, &limits, path, AT_NS + 12 * CLOCK_NS_PER_S, 2);
    cr_assert_eq(temp_dir_count(&dir, "demo"), 6);
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004734Z.pb.gz"));
    rotate_by(&dir, &limits, path, AT_NS + 1000 * CLOCK_NS_PER_S, 2);
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004736Z.pb.gz"), "the newest stays");
    temp_dir_release(&dir);
}

Test(capture_rotate, deletes_what_is_too_much)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    struct stat profile;
    struct stat sidecar;
    char name[TEMP_PATH_BYTES];
    temp_dir_init(&dir);
    write_five(&dir, path);
    cr_assert_eq(stat(path, &profile), 0);
    cr_assert_eq(stat(temp_dir_path(&dir, "demo/heap-20261123-004736Z.json", name), &sidecar), 0);
    const uint64_t pair_bytes = (uint64_t)profile.st_size + (uint64_t)sidecar.st_size;
    const struct capture_limits all = {.max_bytes = 5 * pair_bytes};
    const struct capture_limits two = {.max_bytes = 3 * pair_bytes - 1};
    rotate_by(&dir, &all, path, AT_NS, 0);
    rotate_by(&dir, &two, path, AT_NS, 3);
    cr_assert_eq(temp_dir_count(&dir, "demo"), 4);
    temp_dir_release(&dir);
}

Test(capture_rotate, deletes_the_oldest_profiles_with_their_sidecars)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    temp_dir_init(&dir);
    for (uint64_t i = 0; i < 5; i++)
        write_one(dir.path, "demo", AT_NS + i * CLOCK_NS_PER_S, path);
    rotate(&dir, 2, path, 3);
    cr_assert_eq(temp_dir_count(&dir, "demo"), 4);
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004735Z.pb.gz"));
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004735Z.json"));
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004736Z.pb.gz"));
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004736Z.json"));
    temp_dir_release(&dir);
}

Test(capture_rotate, counts_captures_of_one_second_by_number)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    temp_dir_init(&dir);
    for (int i = 0; i < 11; i++)
        write_one(dir.path, "demo", AT_NS, path);
    rotate(&dir, 2, path, 9);
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004732Z-10.pb.gz"));
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004732Z-11.pb.gz"));
    cr_assert_eq(temp_dir_count(&dir, "demo"), 4);
    temp_dir_release(&dir);
}

Test(capture_rotate, leaves_alone_what_is_not_ours)
{
    static const char *const foreign[] = {"demo/notes.txt", "demo/heap-20200101-000000Z.pb.gz.bak",
                                          "demo/goroutine-20200101-000000Z.pb.gz",
                                          "demo/.goprofd-x.tmp"};
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    char name[TEMP_PATH_BYTES];
    temp_dir_init(&dir);
    for (uint64_t i = 0; i < 3; i++)
        write_one(dir.path, "demo", AT_NS + i * CLOCK_NS_PER_S, path);
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        temp_dir_put(&dir, foreign[i], "foreign");
    /* Our name, but a folder and a link. */
    cr_assert_eq(mkdir(temp_dir_path(&dir, "demo/heap-20200101-000000Z.pb.gz", name), 0700), 0);
    cr_assert_eq(
        symlink("notes.txt", temp_dir_path(&dir, "demo/heap-20200102-000000Z.pb.gz", name)), 0);
    rotate(&dir, 1, path, 2);
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        cr_assert(temp_dir_has(&dir, foreign[i]), "%s", foreign[i]);
    cr_assert(temp_dir_has(&dir, "demo/heap-20200101-000000Z.pb.gz"));
    cr_assert(temp_dir_has(&dir, "demo/heap-20200102-000000Z.pb.gz"));
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004734Z.pb.gz"));
    temp_dir_release(&dir);
}

Test(capture_rotate, keeps_the_new_capture_though_the_clock_went_back)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    temp_dir_init(&dir);
    write_one(dir.path, "demo", AT_NS, path);
    write_one(dir.path, "demo", AT_NS + CLOCK_NS_PER_S, path);
    write_one(dir.path, "demo", AT_NS - 3600 * CLOCK_NS_PER_S, path);
    rotate(&dir, 2, path, 1);
    cr_assert_eq(access(path, F_OK), 0);
    cr_assert_not(temp_dir_has(&dir, "demo/heap-20261123-004732Z.pb.gz"));
    cr_assert(temp_dir_has(&dir, "demo/heap-20261123-004733Z.pb.gz"));
    temp_dir_release(&dir);
}

Test(capture_rotate, takes_along_an_old_sidecar_that_lost_its_profile)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    temp_dir_init(&dir);
    write_one(dir.path, "demo", AT_NS, path);
    temp_dir_put(&dir, "demo/heap-20200101-000000Z.json", "{}");
    write_one(dir.path, "demo", AT_NS + CLOCK_NS_PER_S, path);
    rotate(&dir, 1, path, 1);
    cr_assert_eq(temp_dir_count(&dir, "demo"), 2);
    temp_dir_release(&dir);
}

Test(capture_rotate, keeps_everything_without_a_limit)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    temp_dir_init(&dir);
    for (int i = 0; i < 4; i++)
        write_one(dir.path, "demo", AT_NS, path);
    rotate(&dir, 0, path, 0);
    cr_assert_eq(temp_dir_count(&dir, "demo"), 8);
    temp_dir_release(&dir);
}

Test(capture_rotate, cleans_up_temporary_files_an_hour_after_a_crash)
{
    struct temp_dir dir;
    char path[CAPTURE_PATH_MAX_BYTES];
    struct error err = {0};
    size_t deleted = 0;
    const uint64_t now_ns = clock_realtime_ns(); /* compared with the file's own time */
    const struct capture_limits nine = {.max_files = 9};
    temp_dir_init(&dir);
    write_one(dir.path, "demo", AT_NS, path);
    temp_dir_put(&dir, "demo/.goprofd-4711-0.tmp", "half");
    cr_assert(capture_file_rotate(dir.path, "demo", &nine, path, now_ns, &deleted, &err));
    cr_assert(temp_dir_has(&dir, "demo/.goprofd-4711-0.tmp"), "may still be in use");
    cr_assert(capture_file_rotate(dir.path, "demo", &nine, path, now_ns + 3700 * CLOCK_NS_PER_S,
                                  &deleted, &err));
    cr_assert_not(temp_dir_has(&dir, "demo/.goprofd-4711-0.tmp"));
    cr_assert_eq(temp_dir_count(&dir, "demo"), 2);
    temp_dir_release(&dir);
}

Test(capture_dir_check, creates_the_folder_and_leaves_it_empty)
{
    struct temp_dir dir;
    char path[TEMP_PATH_BYTES];
    struct error err = {0};
    temp_dir_init(&dir);
    cr_assert(capture_dir_check(temp_dir_path(&dir, "new/folder", path), &err), "%s", err.message);
    cr_assert(temp_dir_has(&dir, "new/folder"));
    cr_assert_eq(temp_dir_count(&dir, "new/folder"), 0);
    temp_dir_release(&dir);
}

Test(capture_dir_check, refuses_an_empty_name)
{
    struct error err = {0};
    cr_assert_not(capture_dir_check("", &err));
    cr_assert_not_null(strstr(err.message, "profile_capture_dir"), "%s", err.message);
}
