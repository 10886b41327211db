/* go_process_runtime.c - finds the runtime in a program's image, and sets up what reads it.
 *
 * Called once at open, for live processes and core files:
 *
 *   executable file -> version, layout -> symbols, moduledata, function tables (stripped: the other way
 *   round) -> self-check -> readers */
#include "core/goproc/go_process_parts.h"

#include <string.h>

#include "core/goproc/alloc_type.h"
#include "core/goproc/buckets.h"
#include "core/goproc/call_stacks.h"
#include "core/goproc/code_mappings.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/heap_stats.h"
#include "core/goproc/layout_dwarf.h"
#include "core/goproc/pclntab.h"
#include "core/goproc/stripped.h"
#include "core/goproc/symbol_checks.h"
#include "core/store/site.h"

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

bool go_process_open_runtime(struct go_process *process, const struct procfs_maps *maps,
                             struct error *err)
{
    const bool ok = find_bias(process, maps, err) && find_version(process, err) &&
                    choose_layout(process, err) && find_symbols(process, err) &&
                    open_readers(process, maps, err);
    if (!ok && process->layout_assumed)
        error_wrap(err, "built with %s, which goprofd does not know", process->go_version);
    return ok;
}
