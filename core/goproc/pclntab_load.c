/* pclntab_load.c - copies Go's function tables out of a file, and gives them back.
 *
 * Called at open, once for the program and once for each of its plugins.  What is where comes from
 * the target: the tables' span is checked against the file, offsets within it by pclntab.c. */
#include "core/goproc/pclntab.h"

#include <stdlib.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/pclntab_tables.h"
#include "core/goproc/table_copies.h"

#define TABLES_MAX_BYTES (UINT64_C(1) << 30)

static void widen(uint64_t *lowest, uint64_t *highest, const struct module_table *table,
                  size_t element_bytes)
{
    uint64_t end = table->address + table->count * element_bytes;

    if (table->address < *lowest)
        *lowest = table->address;
    if (end > *highest)
        *highest = end;
}

static struct span span_of(const struct pclntab *table, uint64_t lowest,
                           const struct module_table *from, size_t element_bytes)
{
    return (struct span){table->copy->bytes + (from->address - lowest),
                         (size_t)(from->count * element_bytes)};
}

struct pclntab *pclntab_load(const struct elf_file *elf, uint64_t bias,
                             const struct moduledata *module, const struct go_layout *layout,
                             struct error *err)
{
    return pclntab_load_shared(NULL, elf, bias, module, layout, err);
}

struct pclntab *pclntab_load_shared(struct table_copies *copies, const struct elf_file *elf,
                                    uint64_t bias, const struct moduledata *module,
                                    const struct go_layout *layout, struct error *err)
{
    uint64_t lowest = UINT64_MAX, highest = 0;
    struct pclntab *table = calloc(1, sizeof(*table));

    if (table == NULL) {
        error_set(err, ERROR_NO_MEMORY, "pclntab: no memory");
        return NULL;
    }
    *table = (struct pclntab){.elf = elf,
                              .layout = layout,
                              .quantum = module->quantum,
                              .bias = bias,
                              .minpc = module->minpc,
                              .maxpc = module->maxpc,
                              .text = module->text,
                              .gofunc = module->gofunc};
    /* The linker lays the tables out one after the other: one read takes them all. */
    widen(&lowest, &highest, &module->funcnames, 1);
    widen(&lowest, &highest, &module->cutab, 4);
    widen(&lowest, &highest, &module->files, 1);
    widen(&lowest, &highest, &module->pctab, 1);
    widen(&lowest, &highest, &module->pclntable, 1);
    widen(&lowest, &highest, &module->ftab, 8);
    if (highest - lowest > TABLES_MAX_BYTES || highest - lowest > elf_file_bytes(elf)) {
        error_set(err, ERROR_CORRUPT, "pclntab: its tables span %llu bytes",
                  (unsigned long long)(highest - lowest));
        goto fail;
    }
    table->copy = table_copies_take(copies, elf, lowest - bias, (size_t)(highest - lowest), err);
    if (table->copy == NULL || (table->trees = tree_pages_take(copies, elf, err)) == NULL)
        goto fail;
    table->funcnames = span_of(table, lowest, &module->funcnames, 1);
    table->cutab = span_of(table, lowest, &module->cutab, 4);
    table->files = span_of(table, lowest, &module->files, 1);
    table->pctab = span_of(table, lowest, &module->pctab, 1);
    table->pclntable = span_of(table, lowest, &module->pclntable, 1);
    table->ftab = span_of(table, lowest, &module->ftab, 8);
    table->function_count = (size_t)module->ftab.count - 1;
    return table;

fail:
    pclntab_free(table);
    return NULL;
}

void pclntab_free(struct pclntab *table)
{
    if (table == NULL)
        return;
    tree_pages_release(table->trees);
    table_copy_release(table->copy);
    free(table);
}

void pclntab_append(struct pclntab *table, struct pclntab *plugin)
{
    while (table->next != NULL)
        table = table->next;
    table->next = plugin;
}

size_t pclntab_bytes(const struct pclntab *table)
{
    return table->copy->length + table->trees->bytes;
}
