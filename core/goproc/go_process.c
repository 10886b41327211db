/* go_process.c - puts the readers together: open a process, read it each interval.
 *
 * Called by the sampler thread and by the one-shot commands.  Order at open:
 *
 *   identity, /proc/PID/mem -> executable file -> version, layout -> symbols, moduledata, function
 *   tables (stripped: the other way round) -> self-check -> buckets
 *
 * The open /proc/PID/mem belongs to one address space and reads 0 bytes once that is gone, by exit
 * or by exec; it tells what start time and executable alone cannot: exec of the same program. */
#include "core/goproc/go_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/goproc/buckets.h"
#include "core/goproc/alloc_type.h"
#include "core/goproc/call_stacks.h"
#include "core/goproc/code_mappings.h"
#include "core/goproc/core_file.h"
#include "core/goproc/core_program.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/go_program.h"
#include "core/goproc/heap_stats.h"
#include "core/goproc/image_copy.h"
#include "core/goproc/image_mark.h"
#include "core/goproc/layout_dwarf.h"
#include "core/goproc/memory.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/other_runtimes.h"
#include "core/goproc/pclntab.h"
#include "core/goproc/plugins.h"
#include "core/goproc/pod.h"
#include "core/goproc/procfs_file.h"
#include "core/goproc/profiling_switch.h"
#include "core/goproc/stack_source.h"
#include "core/goproc/stripped.h"
#include "core/goproc/symbol_checks.h"
#include "core/goproc/symbols.h"
#include "core/goproc/tick_clock.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

enum { OPEN_TRIES = 4 };

struct go_process {
    struct procfs fs;
    pid_t pid;
    struct procfs_identity identity;
    int exit_fd; /* pidfd, or -1 on kernels without */
    int mem_fd;              /* or -1 where that takes more rights than reading memory */
    struct image_mark mark; /* without mem_fd: tells an exec */
    struct core_file *core; /* it is over, and this is what is left; NULL: a live process */
    struct go_program program;
    char go_version[BUILDINFO_VERSION_MAX_BYTES + 1];
    bool layout_assumed; /* made for another version, or without this one's experiments */
    bool layout_told;    /* by debug information: then it is this one */
    struct go_layout own_layout;
    const struct go_layout *layout;
    struct memory memory;
    struct symbols symbols;
    struct moduledata module;
    uint64_t bias;
    struct pclntab *functions;
    struct plugins *plugins; /* NULL: of a core */
    struct site_table *sites;
    struct call_stacks *stacks;
    struct heap_stats *stats;
    struct buckets *buckets;
    const struct mapping *mappings; /* in [sites] */
    size_t mapping_count;
    struct tick_clock clock;
    struct buffer cmdline;
    char *command; /* arguments joined with spaces */
    char exe[PROCFS_PATH_MAX_BYTES];
    char image[PROCFS_PATH_MAX_BYTES]; /* the file that holds Go: exe, or a library in it */
    struct other_runtimes others;
    uint64_t unpacked_at;              /* there is none: where the program lies in memory */
    char cgroup[PROCFS_PATH_MAX_BYTES];
    char container_id[80];
    struct pod pod;
};

static bool same_image(const struct go_process *process, struct error *err)
{
    struct image_mark now;
    if (image_mark_read(&process->fs, process->pid, &now) &&
        now.start_ticks == process->mark.start_ticks && now.places == process->mark.places)
        return true;
    return error_set(err, ERROR_GONE, "process %d has exited or was replaced by exec",
                     (int)process->pid);
}

/* Whether the process is still the one that was opened, running the same image. */
static bool check_alive(const struct go_process *process, struct error *err)
{
    struct procfs_identity now;
    char byte;

    if (process->core != NULL)
        return true; /* as alive as it will ever be */
    if (process->exit_fd != -1) {
        struct pollfd poll_exit = {.fd = process->exit_fd, .events = POLLIN};
        if (poll(&poll_exit, 1, 0) > 0)
            return error_set(err, ERROR_GONE, "process %d has exited", (int)process->pid);
    } else {
        if (!procfs_identity_read(&process->fs, process->pid, &now, err))
            return false;
        if (now.start_ticks != process->identity.start_ticks)
            return error_set(err, ERROR_GONE, "pid %d now names another process",
                             (int)process->pid);
    }
    if (process->mem_fd == -1)
        return same_image(process, err);
    ssize_t got = pread(process->mem_fd, &byte, 1,
                        (off_t)process->symbols.address[SYMBOL_MPROF_CYCLE]);
    if (got != 1)
        return error_set(err, ERROR_GONE, "process %d has exited or was replaced by exec",
                         (int)process->pid);
    return true;
}

/* Opening. */

static bool set_denied(const struct go_process *process, struct error *err)
{
    procfs_explain_denied(&process->fs, process->pid, err);
    return false;
}

/* CAP_SYS_PTRACE lets us read memory, but without being root not open that file. */
static bool open_without_mem(struct go_process *process, struct error *err)
{
    char byte;
    if (!image_mark_read(&process->fs, process->pid, &process->mark) ||
        !memory_open_process(&process->memory, process->pid, err) ||
        !memory_read(&process->memory, process->mark.code, &byte, 1, err))
        return set_denied(process, err);
    return true;
}

static bool open_identity(struct go_process *process, struct error *err)
{
    char relative[64];
    char path[PROCFS_PATH_MAX_BYTES];
    struct procfs_identity again;

    if (!procfs_identity_read(&process->fs, process->pid, &process->identity, err))
        return false;
    /* Children of a fork before exec and zombies are caught by what follows. */
    process->exit_fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (process->exit_fd == -1 && errno == ESRCH)
        return error_set(err, ERROR_GONE, "process %d has exited", (int)process->pid);
    snprintf(relative, sizeof(relative), "proc/%d/mem", (int)process->pid);
    if (!procfs_path(&process->fs, path, relative))
        return error_set(err, ERROR_LIMIT, "the path of /proc/%d/mem is too long",
                         (int)process->pid);
    process->mem_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (process->mem_fd == -1) {
        if (errno == EACCES || errno == EPERM)
            return open_without_mem(process, err);
        return procfs_pid_error(&process->fs, process->pid, "mem", errno, err);
    }
    if (!procfs_identity_read(&process->fs, process->pid, &again, err))
        return false;
    if (again.start_ticks != process->identity.start_ticks)
        return error_set(err, ERROR_GONE, "pid %d now names another process", (int)process->pid);
    return memory_open_process(&process->memory, process->pid, err);
}

/* Where the image was loaded. */
static bool find_bias(struct go_process *process, const struct procfs_maps *maps,
                      struct error *err)
{
    const struct procfs_mapping *lowest = NULL;

    if (!elf_file_is_relocatable(process->program.elf)) {
        process->bias = 0;
        return true;
    }
    if (process->unpacked_at != 0) {
        process->bias = elf_file_load_bias(process->program.elf, process->unpacked_at, 0);
        return true;
    }
    for (size_t i = 0; i < maps->count; i++) {
        const struct procfs_mapping *mapping = &maps->mappings[i];
        if (strcmp(mapping->path, process->image) == 0 &&
            (lowest == NULL || mapping->start < lowest->start))
            lowest = mapping;
    }
    if (lowest == NULL)
        return error_set(err, ERROR_UNSUPPORTED,
                         "its executable is not among its mappings: nothing tells where it is loaded");
    process->bias = elf_file_load_bias(process->program.elf, lowest->start, lowest->offset);
    return true;
}

/* The version noted by the linker, or the one that the runtime holds itself. */
static bool find_version(struct go_process *process, struct error *err)
{
    const char *noted = process->program.info.go_version;
    size_t length = strlen(noted);
    struct moduledata module;

    _Static_assert(sizeof(process->go_version) > STRIPPED_VERSION_MAX_BYTES, "must hold either");
    if (length > 0) {
        memcpy(process->go_version, noted, length + 1); /* bounded by buildinfo */
        return true;
    }
    return moduledata_find(process->program.elf, &process->memory, process->bias, NULL, &module,
                           err) &&
           stripped_find_version(process->program.elf, process->bias, &process->memory, &module,
                                 process->go_version, err);
}

/* For a version that is not known the program's own debug information counts more than a table. */
static bool improve_layout(struct go_process *process, struct error *err)
{
    struct error cause;

    process->own_layout = *process->layout;
    process->layout_told = layout_dwarf_apply(process->program.elf, &process->own_layout, &cause);
    if (process->layout_told)
        process->layout = &process->own_layout;
    return process->layout_told || cause.code == ERROR_NOT_FOUND ||
           error_set(err, cause.code, "%s", cause.message);
}

static bool choose_layout(struct go_process *process, struct error *err)
{
    struct go_version version;
    enum elf_machine machine = elf_file_machine(process->program.elf);

    process->layout = go_layout_find(process->go_version, err);
    if (process->layout == NULL && (process->layout = go_layout_assume(process->go_version)) == NULL)
        return false;
    process->layout_assumed =
        process->layout == go_layout_assume(process->go_version) ||
        (go_version_parse(process->go_version, &version) && version.experiments);
    if (machine == ELF_MACHINE_OTHER)
        return error_set(err, ERROR_UNSUPPORTED,
                         "built for another machine: amd64 and arm64 can be read");
    if (machine == ELF_MACHINE_AARCH64)
        process->layout = go_layout_arm64(process->layout);
    return !process->layout_assumed || improve_layout(process, err);
}

/* Where the module and its function tables are: by its symbol, if there is one. */
static bool find_module(struct go_process *process, struct error *err)
{
    uint64_t address = process->symbols.address[SYMBOL_FIRST_MODULEDATA];

    if ((address == 0 || !moduledata_read(&process->memory, address, process->layout,
                                          &process->module, NULL)) &&
        !moduledata_find(process->program.elf, &process->memory, process->bias, process->layout,
                         &process->module, err))
        return false;
    process->functions = pclntab_load_shared(process->fs.copies, process->program.elf, process->bias,
                                             &process->module, process->layout, err);
    return process->functions != NULL;
}

/* Addresses that were worked out, and a layout made for another version, are believed only when what
 * is found there makes sense. */
static bool prove_symbols(struct go_process *process, bool worked_out, struct error *err)
{
    struct memory *memory = &process->memory;
    const struct symbols *symbols = &process->symbols;

    /* Nor does a core file prove that it belongs to the program. */
    if ((worked_out || process->layout_assumed || process->core != NULL) &&
        !symbol_checks_run(memory, process->layout, &process->module, symbols, err))
        return false;
    return !process->layout_assumed ||
           symbol_checks_records(memory, process->layout, &process->module, symbols, err);
}

/* By the symbol table; without one by the code of known functions. */
static bool find_symbols(struct go_process *process, struct error *err)
{
    const struct elf_file *elf = process->program.elf;
    bool named = elf_file_has_symbols(elf) &&
                 symbols_from_symtab(elf, process->bias, &process->symbols, NULL);

    if (!named)
        process->symbols = (struct symbols){0};
    if (!find_module(process, err))
        return false;
    const struct stripped_program stripped = {.elf = elf,
                                              .bias = process->bias,
                                              .module = &process->module,
                                              .functions = process->functions,
                                              .minor = process->layout->minor};
    return (named || stripped_find_symbols(&stripped, &process->symbols, err)) &&
           prove_symbols(process, !named, err);
}

static bool open_readers(struct go_process *process, const struct procfs_maps *maps,
                         struct error *err)
{
    process->sites = site_table_new();
    tick_clock_start(&process->clock);
    if (process->sites == NULL ||
        (process->stacks = call_stacks_new(process->functions, process->sites,
                                           process->layout)) == NULL ||
        (process->stats = heap_stats_new(&process->memory, process->layout,
                                         &process->symbols)) == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to open pid %d", (int)process->pid);
    call_stacks_decode_calls(process->stacks, process->program.elf, process->bias);
    const struct alloc_types_source types = {.elf = process->program.elf,
                                             .bias = process->bias,
                                             .types = process->module.types,
                                             .minor = process->layout->minor,
                                             .functions = process->functions,
                                             .memory = &process->memory};
    call_stacks_decode_types(process->stacks, &types);
    if (!heap_stats_check(process->stats, err) ||
        !code_mappings_build(&process->fs, process->pid, maps, process->image,
                             process->program.build_id, process->sites, &process->mappings,
                             &process->mapping_count, err))
        return false;
    const struct buckets_source source = {
        .memory = &process->memory,
        .layout = process->layout,
        .symbols = &process->symbols,
        .stacks = process->stacks,
        .sites = process->sites,
        .mappings = process->mappings,
        .mapping_count = process->mapping_count,
        .start_realtime_ns = process->identity.start_realtime_ns,
    };
    process->buckets = buckets_new(&source, &BUCKETS_LIMITS_DEFAULT);
    if (process->buckets == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to open pid %d", (int)process->pid);
    return true;
}

/* Which file holds Go: the executable, another one that is mapped, or none, if it was unpacked in memory. */
static bool find_image(struct go_process *process, const struct procfs_maps *maps,
                       struct error *err)
{
    struct error cause;

    if (go_program_open_mapped(&process->fs, process->pid, maps, &process->program, process->image,
                               &cause))
        return true;
    int fd = cause.code == ERROR_UNSUPPORTED
                 ? image_copy_open(&process->memory, maps, &process->unpacked_at, NULL)
                 : -1;
    process->image[0] = '\0';
    return (fd != -1 && go_program_open_fd(fd, &process->program, NULL)) ||
           error_set(err, cause.code, "%s", cause.message);
}

/* From the image to the readers; live or not. */
static bool open_runtime(struct go_process *process, const struct procfs_maps *maps,
                         struct error *err)
{
    const bool ok = find_bias(process, maps, err) && find_version(process, err) &&
                    choose_layout(process, err) && find_symbols(process, err) &&
                    open_readers(process, maps, err);
    if (!ok && process->layout_assumed)
        error_wrap(err, "built with %s, which goprofd does not know", process->go_version);
    return ok;
}

static bool open_plugins(struct go_process *process, struct error *err)
{
    process->plugins = plugins_new(&process->fs, process->pid, &process->memory, process->layout,
                                   process->module.address, process->functions);
    if (process->plugins == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to open pid %d", (int)process->pid);
    (void)plugins_take_new(process->plugins); /* their files are among the mappings already */
    return true;
}

static bool open_image(struct go_process *process, struct error *err)
{
    struct procfs_maps maps = {0};

    if (!procfs_maps_read(&process->fs, process->pid, &maps, err))
        return false;
    const bool ok = find_image(process, &maps, err) &&
                    procfs_exe_read(&process->fs, process->pid, process->exe, err) &&
                    open_runtime(process, &maps, err);
    if (ok)
        other_runtimes_look(&process->others, &process->fs, process->pid, &maps, process->image,
                            clock_monotonic_ns());
    procfs_maps_release(&maps);
    return ok && open_plugins(process, err);
}

/* What is only shown: none of it keeps a process from being read. */
static bool open_facts(struct go_process *process, struct error *err)
{
    buffer_init(&process->cmdline, PROCFS_CMDLINE_MAX_BYTES);
    if (!procfs_cmdline_read(&process->fs, process->pid, &process->cmdline, NULL))
        buffer_release(&process->cmdline);
    if (!procfs_cgroup_read(&process->fs, process->pid, process->cgroup, process->container_id,
                            NULL))
        process->cgroup[0] = process->container_id[0] = '\0';
    pod_read(&process->fs, process->pid, process->cgroup, &process->pod);
    process->command = malloc(process->cmdline.length + 1);
    if (process->command == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to open pid %d", (int)process->pid);
    size_t length = process->cmdline.length;
    if (length > 0)
        memcpy(process->command, process->cmdline.data, length);
    for (size_t i = 0; i < length; i++)
        if (process->command[i] == '\0')
            process->command[i] = ' ';
    while (length > 0 && process->command[length - 1] == ' ')
        length--;
    process->command[length] = '\0';
    return true;
}

/* What did not fit in a process that was just coming to its end says nothing about its program. */
static void tell_if_gone(const struct go_process *process, struct error *cause)
{
    struct pollfd poll_exit = {.fd = process->exit_fd, .events = POLLIN};
    if (process->exit_fd != -1 && poll(&poll_exit, 1, 0) > 0)
        error_set(cause, ERROR_GONE, "process %d has exited", (int)process->pid);
}

/* Whether the address space that was opened is no more, by exec or by an exit that is not complete: reading
 * then finds its end, and not a page that is missing. */
static bool has_lost_its_image(const struct go_process *process)
{
    char byte;
    return process->mem_fd != -1 && pread(process->mem_fd, &byte, 1, 0) == 0;
}

static struct go_process *open_once(const struct procfs *fs, pid_t pid, bool *again,
                                    struct error *err)
{
    struct error cause = {0};
    struct go_process *process = calloc(1, sizeof(*process));

    *again = false;
    if (process == NULL) {
        error_set(err, ERROR_NO_MEMORY, "no memory to open pid %d", (int)pid);
        return NULL;
    }
    process->fs = *fs;
    process->pid = pid;
    process->exit_fd = process->mem_fd = -1;
    buffer_init(&process->cmdline, PROCFS_CMDLINE_MAX_BYTES);
    if (open_identity(process, &cause) && open_image(process, &cause) &&
        open_facts(process, &cause) && check_alive(process, &cause))
        return process;

    if (cause.code == ERROR_DENIED && process->memory.source_ != NULL)
        set_denied(process, &cause);
    tell_if_gone(process, &cause);
    error_set(err, cause.code, "%s", cause.message);
    *again = has_lost_its_image(process);
    go_process_close(process);
    return NULL;
}

struct go_process *go_process_open(const struct procfs *fs, pid_t pid, struct error *err)
{
    struct go_process *process = NULL;
    bool again = true;

    /* What is half of one program and half of the next fits nowhere: it calls exec just now. */
    for (int tries = 0; process == NULL && again && tries < OPEN_TRIES; tries++)
        process = open_once(fs, pid, &again, err);
    if (process == NULL && again)
        error_set(err, ERROR_GONE, "process %d calls exec, or comes to its end, whenever it is looked at",
                  (int)pid);
    return process;
}

static bool open_core(struct go_process *process, const char *path, const char *exe,
                      struct error *err)
{
    struct procfs_maps maps = {0};

    process->core = core_file_open(path, err);
    if (process->core == NULL || !core_file_maps(process->core, &maps, err))
        return false;
    /* When it started is not in the core; the profile is as old as the file. */
    process->identity.start_realtime_ns = core_file_written_realtime_ns(process->core);
    core_file_memory(process->core, &process->memory);
    const bool ok = core_program_open(process->core, exe, &maps, &process->program, process->image,
                                      err) &&
                    open_runtime(process, &maps, err);
    procfs_maps_release(&maps);
    return ok;
}

struct go_process *go_process_open_core(const char *path, const char *exe, struct error *err)
{
    struct go_process *process = calloc(1, sizeof(*process));

    if (process == NULL) {
        error_set(err, ERROR_NO_MEMORY, "no memory to open %.100s", path);
        return NULL;
    }
    process->fs = (struct procfs){.root = ""};
    process->exit_fd = process->mem_fd = -1;
    buffer_init(&process->cmdline, PROCFS_CMDLINE_MAX_BYTES);
    if (open_core(process, path, exe, err))
        return process;
    const uint64_t missing = process->core == NULL ? 0 : core_file_missing_bytes(process->core);
    if (missing > 0) /* else one would look for the cause in the program */
        error_wrap(err, "the core is truncated, %llu bytes are missing", (unsigned long long)missing);
    go_process_close(process);
    return NULL;
}

const struct core_file *go_process_core(const struct go_process *process)
{
    return process->core;
}

void go_process_close(struct go_process *process)
{
    if (process == NULL)
        return;
    buckets_free(process->buckets);
    heap_stats_free(process->stats);
    call_stacks_free(process->stacks);
    site_table_unref(process->sites);
    pclntab_free(process->functions);
    plugins_free(process->plugins);
    memory_close(&process->memory);
    core_file_close(process->core);
    go_program_close(&process->program);
    if (process->mem_fd != -1)
        close(process->mem_fd);
    if (process->exit_fd != -1)
        close(process->exit_fd);
    buffer_release(&process->cmdline);
    free(process->command);
    free(process);
}

bool go_process_probe(const struct procfs *fs, pid_t pid, char go_version[64], struct error *err)
{
    struct go_program program;

    go_version[0] = '\0';
    if (!go_program_open(fs, pid, &program, err))
        return false;
    size_t length = strlen(program.info.go_version);
    if (length > 63)
        length = 63;
    memcpy(go_version, program.info.go_version, length);
    go_version[length] = '\0';
    go_program_close(&program);
    return true;
}

/* Facts. */

struct site_table *go_process_sites(const struct go_process *process)
{
    return process->sites;
}

void go_process_facts(const struct go_process *process, struct target_facts *facts)
{
    const struct buildinfo *info = &process->program.info;

    facts->source = SOURCE_PROCESS;
    facts->pid = process->pid;
    facts->start_ticks = process->identity.start_ticks;
    facts->start_realtime_ns = process->identity.start_realtime_ns;
    facts->exe = process->exe;
    facts->command = process->command;
    facts->go_version = process->go_version;
    facts->module_path = info->module_path[0] != '\0' ? info->module_path : info->path;
    facts->module_version = info->module_version;
    facts->vcs_revision = info->vcs_revision;
    facts->vcs_time = info->vcs_time;
    facts->vcs_modified = info->vcs_modified;
    facts->build_id = process->program.build_id[0] != '\0' ? process->program.build_id
                                                           : process->program.go_build_id;
    facts->layout = process->layout_told      ? "dwarf"
                    : process->layout_assumed ? "assumed"
                                              : "table";
    facts->container_id = process->container_id;
    facts->cgroup = process->cgroup;
    facts->pod_uid = process->pod.uid;
    facts->pod = process->pod.name;
    facts->pod_namespace = process->pod.namespace_name;
    facts->build_settings = info->settings;
    facts->build_setting_count = info->setting_count;
    facts->dependencies = info->dependencies;
    facts->dependency_count = info->dependency_count;
}

bool go_process_restriction(const struct go_process *process, struct error *note)
{
    return other_runtimes_tell(&process->others, note) ||
           (process->plugins != NULL && plugins_tell(process->plugins, note));
}

const char *go_process_cmdline(const struct go_process *process, size_t *length)
{
    *length = process->cmdline.length;
    return process->cmdline.data != NULL ? process->cmdline.data : "";
}

void go_process_stack_source(struct go_process *process, struct stack_source *source)
{
    *source = (struct stack_source){.memory = &process->memory,
                                    .layout = process->layout,
                                    .symbols = &process->symbols,
                                    .functions = process->functions,
                                    .stacks = process->stacks,
                                    .sites = process->sites,
                                    .clock = &process->clock,
                                    .mappings = process->mappings,
                                    .mapping_count = process->mapping_count};
}

bool go_process_is_alive(const struct go_process *process, struct error *err)
{
    return check_alive(process, err);
}

/* ---- the switch ---- */

static bool set_rate(struct go_process *process, int64_t from, int64_t to, bool *written,
                     struct error *err)
{
    *written = false;
    if (process->core != NULL)
        return error_set(err, ERROR_USAGE, "a core file is not written to");
    return check_alive(process, err) &&
           profiling_switch_set(&process->memory, process->pid,
                                process->symbols.address[SYMBOL_MEM_PROFILE_RATE], from, to,
                                written, err);
}

bool go_process_enable_profiling(struct go_process *process, bool *written, struct error *err)
{
    *written = false;
    return symbol_checks_run(&process->memory, process->layout, &process->module,
                             &process->symbols, err) &&
           set_rate(process, 0, PROFILING_SWITCH_RATE, written, err);
}

bool go_process_restore_profiling(struct go_process *process, bool *written, struct error *err)
{
    return set_rate(process, PROFILING_SWITCH_RATE, 0, written, err);
}

int go_process_exit_fd(const struct go_process *process)
{
    return process->exit_fd;
}

/* Reading. */

static void fill_profile_values(struct snapshot_values *values, const struct profile *profile,
                                int64_t rate)
{
    SNAPSHOT_SET(values, mem_profile_rate, (uint64_t)rate);
    SNAPSHOT_SET(values, profile_sites, profile->entry_count);
    SNAPSHOT_SET(values, profile_inuse_bytes, (uint64_t)profile->totals.inuse_bytes);
    SNAPSHOT_SET(values, profile_inuse_objects, (uint64_t)profile->totals.inuse_objects);
    SNAPSHOT_SET(values, profile_alloc_bytes, (uint64_t)profile->totals.alloc_bytes);
    SNAPSHOT_SET(values, profile_alloc_objects, (uint64_t)profile->totals.alloc_objects);
}

/* Files that were mapped later are to be told of in profiles, too; without memory for that they are not. */
static void renew_mappings(struct go_process *process)
{
    struct procfs_maps maps = {0};
    const struct mapping *mappings = NULL;
    size_t count = 0;

    if (procfs_maps_read(&process->fs, process->pid, &maps, NULL) &&
        code_mappings_build(&process->fs, process->pid, &maps, process->image,
                            process->program.build_id, process->sites, &mappings, &count, NULL)) {
        process->mappings = mappings;
        process->mapping_count = count;
        buckets_set_mappings(process->buckets, mappings, count);
    }
    procfs_maps_release(&maps);
}

static bool read_runtime(struct go_process *process, struct snapshot *building,
                         const struct profile **profile, struct error *err)
{
    struct snapshot_values *values = &building->values;
    uint64_t bytes_before = process->memory.read_bytes;
    uint64_t retries = 0;
    int64_t rate = 0;
    const size_t sites_before = buckets_count(process->buckets);

    if (process->plugins != NULL && plugins_take_new(process->plugins))
        renew_mappings(process); /* before a site is named that lies in a plugin */
    if (!heap_stats_read(process->stats, values, &retries, err) ||
        !buckets_read(process->buckets, building->realtime_ns, profile, &rate, &retries, err))
        return false;
    if (buckets_count(process->buckets) == sites_before)
        call_stacks_rest(process->stacks); /* nothing new: what finds stacks out is not needed now */
    fill_profile_values(values, *profile, rate);
    if ((*profile)->partial) {
        building->partial = true;
        building->partial_reason = (*profile)->partial_reason;
    }
    SNAPSHOT_SET(values, read_bytes, process->memory.read_bytes - bytes_before);
    SNAPSHOT_SET(values, read_retries, retries);
    return true;
}

bool go_process_read(struct go_process *process, struct snapshot *building,
                     const struct profile **profile, struct error *err)
{
    uint64_t started_ns = clock_monotonic_ns();
    struct error cause = {0};

    *profile = NULL;
    if (!check_alive(process, err))
        return false;
    bool ok = read_runtime(process, building, profile, &cause);
    /* Whatever was read counts only if it was read from this process: a failure because it is
     * going away is said to be that. */
    if (!check_alive(process, err)) {
        profile_unref(*profile);
        *profile = NULL;
        return false;
    }
    if (!ok) {
        if (cause.code == ERROR_DENIED)
            set_denied(process, &cause);
        return error_set(err, cause.code, "%s", cause.message);
    }
    if (process->core == NULL)
        other_runtimes_look_again(&process->others, &process->fs, process->pid, process->image,
                                  clock_monotonic_ns());
    SNAPSHOT_SET(&building->values, read_duration_ns, clock_monotonic_ns() - started_ns);
    return true;
}
