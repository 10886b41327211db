/* plugins.c - follows the runtime's list of modules and opens the file of each.
 *
 * The list is the target's: it is followed for PLUGINS_MAX steps, and each module is checked like the
 * first one (moduledata_read). */
#include "core/goproc/plugins.h"

#include <stdlib.h>
#include <string.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/go_program.h"
#include "core/goproc/memory.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/pclntab.h"
#include "core/goproc/procfs.h"

struct plugin {
    struct go_program program;
    struct pclntab *functions;
};

struct plugins {
    const struct procfs *fs;
    pid_t pid;
    struct memory *memory;
    const struct go_layout *layout;
    struct pclntab *functions; /* of the program; those of plugins are appended */
    uint64_t last;             /* address of the newest module that was looked at */
    size_t steps;
    struct plugin *loaded[PLUGINS_MAX];
    size_t count;
    struct error unnamed; /* why the first of those without names has none */
    bool has_unnamed;
};

struct plugins *plugins_new(const struct procfs *fs, pid_t pid, struct memory *memory,
                            const struct go_layout *layout, uint64_t first,
                            struct pclntab *functions)
{
    struct plugins *plugins = calloc(1, sizeof(*plugins));
    if (plugins == NULL)
        return NULL;
    plugins->fs = fs;
    plugins->pid = pid;
    plugins->memory = memory;
    plugins->layout = layout;
    plugins->functions = functions;
    plugins->last = first;
    return plugins;
}

void plugins_free(struct plugins *plugins)
{
    if (plugins == NULL)
        return;
    for (size_t i = 0; i < plugins->count; i++) {
        pclntab_free(plugins->loaded[i]->functions);
        go_program_close(&plugins->loaded[i]->program);
        free(plugins->loaded[i]);
    }
    free(plugins);
}

/* The first mapping of the file that holds the code of [module], and where that file was loaded. */
static const struct procfs_mapping *file_of(const struct procfs_maps *maps,
                                            const struct moduledata *module,
                                            const struct procfs_mapping **code)
{
    *code = NULL;
    for (size_t i = 0; i < maps->count && *code == NULL; i++)
        if (module->minpc >= maps->mappings[i].start && module->minpc < maps->mappings[i].end)
            *code = &maps->mappings[i];
    for (size_t i = 0; *code != NULL && (*code)->inode != 0 && i < maps->count; i++)
        if (maps->mappings[i].inode == (*code)->inode && maps->mappings[i].device == (*code)->device)
            return &maps->mappings[i];
    return NULL;
}

static bool open_file(const struct plugins *plugins, const struct procfs_maps *maps,
                      const struct moduledata *module, struct plugin *plugin, struct error *err)
{
    const struct procfs_mapping *code;
    const struct procfs_mapping *lowest = file_of(maps, module, &code);

    if (lowest == NULL)
        return error_set(err, ERROR_NOT_FOUND, "no file is mapped there");
    if (!go_program_open_mapping(plugins->fs, plugins->pid, code, &plugin->program, err))
        return false;
    const uint64_t bias =
        elf_file_load_bias(plugin->program.elf, lowest->start, lowest->offset);
    plugin->functions = pclntab_load_shared(plugins->fs->copies, plugin->program.elf, bias, module,
                                            plugins->layout, err);
    if (plugin->functions == NULL)
        go_program_close(&plugin->program);
    return plugin->functions != NULL;
}

static bool load(struct plugins *plugins, const struct procfs_maps *maps,
                 const struct moduledata *module, struct error *err)
{
    struct plugin *plugin = calloc(1, sizeof(*plugin));

    if (plugin == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for its tables");
    if (!open_file(plugins, maps, module, plugin, err)) {
        free(plugin);
        return false;
    }
    pclntab_append(plugins->functions, plugin->functions);
    plugins->loaded[plugins->count++] = plugin;
    return true;
}

/* The module after the last one; 0 if there is none, or none that can be believed. */
static uint64_t next_module(const struct plugins *plugins)
{
    uint64_t next = 0;
    return plugins->steps < PLUGINS_MAX &&
                   memory_read(plugins->memory, plugins->last + plugins->layout->moduledata_next,
                               &next, sizeof(next), NULL)
               ? next
               : 0;
}

bool plugins_take_new(struct plugins *plugins)
{
    struct procfs_maps maps = {0};
    uint64_t next = next_module(plugins);

    if (next == 0 || !procfs_maps_read(plugins->fs, plugins->pid, &maps, NULL))
        return false;
    for (; next != 0; next = next_module(plugins)) {
        struct moduledata module;
        struct error cause = {0};
        plugins->steps++;
        plugins->last = next;
        if (!moduledata_read(plugins->memory, next, plugins->layout, &module, &cause) ||
            !load(plugins, &maps, &module, &cause)) {
            if (!plugins->has_unnamed)
                plugins->unnamed = cause;
            plugins->has_unnamed = true;
        }
    }
    procfs_maps_release(&maps);
    return true;
}

bool plugins_are_there(struct memory *memory, const struct go_layout *layout, uint64_t first)
{
    uint64_t next = 0;
    return memory_read(memory, first + layout->moduledata_next, &next, sizeof(next), NULL) &&
           next != 0;
}

bool plugins_tell(const struct plugins *plugins, struct error *note)
{
    if (!plugins->has_unnamed)
        return false;
    (void)error_set(note, ERROR_NONE, "the functions of a plugin have no names: %s",
                    plugins->unnamed.message);
    return true;
}
