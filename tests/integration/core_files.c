/* core_files.c - goprofd heap --core: the profile of a core is the one that was read before. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { SOON_MS = 60000 };

static void write_profile(const char *const *arguments)
{
    char *output = NULL;
    const int status = goprofd_run(arguments, NULL, &output);
    cr_assert_eq(status, 0, "goprofd %s %s ended with %d:\n%s", arguments[0], arguments[1], status,
                 output);
    free(output);
}

/* The samples and locations as text: what go tool pprof -raw says without times and mappings, of which a
 * core has no [vsyscall]. */
static char *raw_samples(const struct go_version *version, const char *profile)
{
    const char *argv[] = {version->go, "tool", "pprof", "-raw", profile, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(argv, NULL, &output), 0, "%s", output);
    char *begin = strstr(output, "Samples:");
    char *end = strstr(output, "\nMappings");
    cr_assert(begin != NULL && end != NULL && begin < end, "%s", output);
    *end = '\0';
    char *text = strdup(begin);
    free(output);
    return text;
}

static void assert_same_profile(const char *live, const char *core)
{
    const struct go_version newest = go_version_newest();
    char *one = raw_samples(&newest, live);
    char *other = raw_samples(&newest, core);
    cr_assert_gt(strlen(one), 1000, "%s", one);
    cr_assert_str_eq(one, other);
    free(one);
    free(other);
}

static char *text_of_pid(pid_t pid)
{
    char *text = NULL;
    cr_assert_gt(asprintf(&text, "%d", (int)pid), 0);
    return text;
}

ParameterizedTestParameters(core_files, of_gdb_hold_the_same_profile)
{
    size_t count = 0;
    struct go_version *versions = go_versions(&count);
    return cr_make_param_array(struct go_version, versions, count);
}

ParameterizedTest(struct go_version *version, core_files, of_gdb_hold_the_same_profile)
{
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(version, "profile_target", NULL, folder, "target.log", NULL);
    http_touch(program.port, "/gc");
    char *live = path_join(folder, "live.pb.gz");
    char *from_core = path_join(folder, "core.pb.gz");
    char *prefix = path_join(folder, "core");
    char *pid = text_of_pid(program.process.pid);
    char *core = NULL;
    cr_assert_gt(asprintf(&core, "%s.%s", prefix, pid), 0);

    write_profile((const char *const[]){"heap", pid, "-o", live, NULL});
    const char *gcore[] = {"gcore", "-o", prefix, pid, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(gcore, NULL, &output), 0, "%s", output);
    free(output);
    write_profile((const char *const[]){"heap", "--core", core, "-o", from_core, NULL});
    assert_same_profile(live, from_core);
    go_program_release(&program);
    free(core);
    free(pid);
    free(prefix);
    free(from_core);
    free(live);
    scratch_remove(folder);
}

/* Its functions have no names then, which is said. */
Test(core_files, of_a_program_with_a_plugin_say_what_is_not_in_the_profile)
{
    const struct go_version newest = go_version_newest();
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&newest, "plugin_host", NULL, folder, "target.log", NULL);
    char *file = go_program_path(&newest, "plugin.so");
    http_touch(program.port, "/plugin?path=%s", file);
    char *prefix = path_join(folder, "core");
    char *profile = path_join(folder, "core.pb.gz");
    char *pid = text_of_pid(program.process.pid);
    char *core = NULL, *output = NULL;
    cr_assert_gt(asprintf(&core, "%s.%s", prefix, pid), 0);
    const char *gcore[] = {"gcore", "-o", prefix, pid, NULL};
    cr_assert_eq(process_run(gcore, NULL, &output), 0, "%s", output);
    free(output);

    const char *arguments[] = {"heap", "--core", core, "-o", profile, NULL};
    cr_assert_eq(goprofd_run(arguments, NULL, &output), 0, "%s", output);
    cr_assert_not_null(strstr(output, "it has plugins"), "%s", output);
    free(output);
    go_program_release(&program);
    free(core);
    free(pid);
    free(profile);
    free(prefix);
    free(file);
    scratch_remove(folder);
}

/* A program that the kernel is to dump into its folder. */
struct dumped {
    struct process process;
    char *folder;
    char *program;
    char *live;
    char *core;
};

static struct dumped dump_filtered(const char *program, const char *filter)
{
    const struct go_version newest = go_version_newest();
    struct dumped dumped = {.folder = scratch_new()};
    char *pattern = file_read("/proc/sys/kernel/core_pattern");
    if (strcmp(pattern, "core\n") != 0)
        cr_skip_test("cores go elsewhere on this machine: core_pattern is %s", pattern);
    free(pattern);
    char *from = go_program_path(&newest, program);
    dumped.program = path_join(dumped.folder, "program");
    char *output = NULL;
    const char *copy[] = {"cp", from, dumped.program, NULL};
    cr_assert_eq(process_run(copy, NULL, &output), 0, "%s", output);
    free(output);
    free(from);

    static const char *const environment[] = {"GOTRACEBACK=crash", NULL};
    const struct process_options options = {.folder = dumped.folder, .environment = environment};
    char *log_path = path_join(dumped.folder, "target.log");
    const char *argv[] = {"sh", "-c",
                          "ulimit -c unlimited && echo \"$1\" >/proc/self/coredump_filter && exec \"$0\"",
                          dumped.program, filter, NULL};
    dumped.process = process_start(argv, log_path, &options);
    char *address = process_wait_for(&dumped.process, "listening ", SOON_MS);
    const char *colon = strrchr(address, ':');
    cr_assert_not_null(colon, "%s", address);
    http_touch((uint16_t)strtoul(colon + 1, NULL, 10), "/gc");
    free(address);
    free(log_path);
    dumped.live = path_join(dumped.folder, "live.pb.gz");
    dumped.core = path_join(dumped.folder, "core");
    char *pid = text_of_pid(dumped.process.pid);
    write_profile((const char *const[]){"heap", pid, "-o", dumped.live, NULL});
    free(pid);
    cr_assert_eq(process_stop(&dumped.process, SIGABRT, SOON_MS), 128 + SIGABRT);
    cr_assert_eq(access(dumped.core, R_OK), 0, "no core");
    return dumped;
}

static struct dumped dump(const char *program)
{
    return dump_filtered(program, "0x33"); /* the kernel's default */
}

static void dumped_release(struct dumped *dumped)
{
    process_release(&dumped->process);
    free(dumped->core);
    free(dumped->live);
    free(dumped->program);
    scratch_remove(dumped->folder);
}

static char *refusal(const char *core, const char *exe, const char *folder)
{
    char *output_path = path_join(folder, "refused.pb.gz");
    const char *with_exe[] = {"heap", "--core", core, exe, "-o", output_path, NULL};
    const char *without[] = {"heap", "--core", core, "-o", output_path, NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(exe != NULL ? with_exe : without, NULL, &output), 1, "%s", output);
    cr_assert_eq(access(output_path, F_OK), -1, "a profile all the same");
    free(output_path);
    return output;
}

static void assert_refusal(const char *core, const char *exe, const char *folder, const char *words)
{
    char *said = refusal(core, exe, folder);
    cr_assert_not_null(strstr(said, words), "%s", said);
    free(said);
}

/* Which leaves out what can be read from the program's file. */
Test(core_files, of_the_kernel_hold_the_same_profile)
{
    struct dumped dumped = dump("profile_target");
    char *from_core = path_join(dumped.folder, "core.pb.gz");
    write_profile((const char *const[]){"heap", "--core", dumped.core, "-o", from_core, NULL});
    assert_same_profile(dumped.live, from_core);

    /* Moved to another machine, with a stripped copy of the program. */
    char *stripped = path_join(dumped.folder, "stripped");
    const char *strip[] = {"strip", "-o", stripped, dumped.program, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(strip, NULL, &output), 0, "%s", output);
    free(output);
    cr_assert_eq(unlink(dumped.program), 0);
    write_profile(
        (const char *const[]){"heap", "--core", dumped.core, stripped, "-o", from_core, NULL});
    assert_same_profile(dumped.live, from_core);
    free(stripped);
    free(from_core);
    dumped_release(&dumped);
}

Test(core_files, that_cannot_be_read_are_refused_with_the_reason)
{
    struct go_version versions[GO_VERSIONS_MAX];
    (void)go_versions_read(versions);
    struct dumped dumped = dump("profile_target");
    char *other = go_program_path(&versions[0], "profile_target");
    assert_refusal(dumped.core, other, dumped.folder, "is not the program that wrote the core");
    assert_refusal(dumped.core, "/bin/sh", dumped.folder, "not a Go program");
    assert_refusal(dumped.program, NULL, dumped.folder, "not a core file but an executable");

    const char *cut[] = {"truncate", "-s", "8000000", dumped.core, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(cut, NULL, &output), 0, "%s", output);
    free(output);
    assert_refusal(dumped.core, NULL, dumped.folder, "truncated");
    cr_assert_eq(unlink(dumped.program), 0);
    assert_refusal(dumped.core, NULL, dumped.folder, "add the path of a copy");
    free(other);
    dumped_release(&dumped);
}

/* Neither a program whose variables have fixed places nor one that is searched for its module data. */
Test(core_files, written_without_the_programs_memory_name_the_filter)
{
    static const char *const programs[] = {"profile_target", "modes/pie"};
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        struct dumped dumped = dump_filtered(programs[i], "0");
        assert_refusal(dumped.core, NULL, dumped.folder, "coredump_filter");
        dumped_release(&dumped);
    }
}
