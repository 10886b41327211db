/* moduledata.c - reads runtime.moduledata, and finds it in programs without symbols.
 *
 * Source of the layout: src/runtime/symtab.go, type moduledata, Go 1.19 to 1.27 (offsets that moved
 * are in go_layout.h).  Called once per process at open. */
#include "core/goproc/moduledata.h"

#include <stdlib.h>
#include <string.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"

enum {
    MODULEDATA_MAX_BYTES = 640,
    MODULEDATA_FRONT_BYTES = GO_MODULEDATA_NOPTRBSS + 16, /* the part that never changed */
    FUNCTIONS_MAX = 8 << 20,
    TABLE_MAX_BYTES = 1 << 30,
    SCAN_STEP_BYTES = 256 << 10,
    SCAN_DATA_MAX_BYTES = 128 << 20,
};

static uint64_t word_at(const unsigned char *bytes, size_t offset)
{
    uint64_t word;
    memcpy(&word, bytes + offset, sizeof(word));
    return word;
}

static struct module_table table_at(const unsigned char *bytes, size_t offset)
{
    return (struct module_table){word_at(bytes, offset), word_at(bytes, offset + 8)};
}

static struct module_range range_at(const unsigned char *bytes, size_t offset)
{
    return (struct module_range){word_at(bytes, offset), word_at(bytes, offset + 8)};
}

static bool is_header(const unsigned char *bytes, uint32_t *magic)
{
    memcpy(magic, bytes, sizeof(*magic));
    return (*magic == PCLNTAB_MAGIC_1_2 || *magic == PCLNTAB_MAGIC_1_16 ||
            *magic == PCLNTAB_MAGIC_1_18 || *magic == PCLNTAB_MAGIC_1_20) &&
           bytes[4] == 0 && bytes[5] == 0 && (bytes[6] == 1 || bytes[6] == 2 || bytes[6] == 4) &&
           bytes[7] == 8;
}

static bool table_is_sane(const struct module_table *table, size_t element_bytes)
{
    return table->count <= TABLE_MAX_BYTES / element_bytes &&
           table->address <= UINT64_MAX - table->count * element_bytes;
}

/* The header says how many functions there are; the module must say the same. */
static bool check(const struct moduledata *module, const unsigned char *header, struct error *err)
{
    uint32_t magic;

    if (!is_header(header, &magic))
        return error_set(err, ERROR_CORRUPT, "moduledata at 0x%llx does not point to a pclntab",
                         (unsigned long long)module->address);
    uint64_t functions = word_at(header, 8);
    if (functions == 0 || functions > FUNCTIONS_MAX || module->ftab.count != functions + 1)
        return error_set(err, ERROR_CORRUPT,
                         "moduledata at 0x%llx: %llu functions, but a table of %llu",
                         (unsigned long long)module->address, (unsigned long long)functions,
                         (unsigned long long)module->ftab.count);
    if (module->minpc >= module->maxpc || module->text > module->minpc ||
        module->minpc > module->etext || module->maxpc - module->text > UINT32_MAX)
        return error_set(err, ERROR_CORRUPT, "moduledata at 0x%llx: impossible text range",
                         (unsigned long long)module->address);
    if (!table_is_sane(&module->funcnames, 1) || !table_is_sane(&module->cutab, 4) ||
        !table_is_sane(&module->files, 1) || !table_is_sane(&module->pctab, 1) ||
        !table_is_sane(&module->pclntable, 1) || !table_is_sane(&module->ftab, 8))
        return error_set(err, ERROR_CORRUPT, "moduledata at 0x%llx: a table of impossible size",
                         (unsigned long long)module->address);
    return true;
}

bool moduledata_read(struct memory *memory, uint64_t address, const struct go_layout *layout,
                     struct moduledata *module, struct error *err)
{
    unsigned char bytes[MODULEDATA_MAX_BYTES];
    unsigned char header[PCLNTAB_HEADER_BYTES];

    _Static_assert(MODULEDATA_MAX_BYTES >= 592, "must hold the largest version of moduledata");
    size_t size = layout != NULL ? layout->moduledata_bytes : MODULEDATA_FRONT_BYTES;
    if (!memory_read(memory, address, bytes, size, err))
        return error_wrap(err, "moduledata");
    *module = (struct moduledata){
        .address = address,
        .pcheader = word_at(bytes, GO_MODULEDATA_PCHEADER),
        .funcnames = table_at(bytes, GO_MODULEDATA_FUNCNAMETAB),
        .cutab = table_at(bytes, GO_MODULEDATA_CUTAB),
        .files = table_at(bytes, GO_MODULEDATA_FILETAB),
        .pctab = table_at(bytes, GO_MODULEDATA_PCTAB),
        .pclntable = table_at(bytes, GO_MODULEDATA_PCLNTABLE),
        .ftab = table_at(bytes, GO_MODULEDATA_FTAB),
        .minpc = word_at(bytes, GO_MODULEDATA_MINPC),
        .maxpc = word_at(bytes, GO_MODULEDATA_MAXPC),
        .text = word_at(bytes, GO_MODULEDATA_TEXT),
        .etext = word_at(bytes, GO_MODULEDATA_ETEXT),
        .noptrdata = range_at(bytes, GO_MODULEDATA_NOPTRDATA),
        .data = range_at(bytes, GO_MODULEDATA_DATA),
        .bss = range_at(bytes, GO_MODULEDATA_BSS),
        .noptrbss = range_at(bytes, GO_MODULEDATA_NOPTRBSS),
        .types = layout != NULL
                     ? (struct module_range){word_at(bytes, layout->moduledata_types),
                                             word_at(bytes, layout->moduledata_etypes)}
                     : (struct module_range){0},
        .gofunc = layout != NULL ? word_at(bytes, layout->moduledata_gofunc) : 0,
    };
    if (!memory_read(memory, module->pcheader, header, sizeof(header), err))
        return error_wrap(err, "pclntab header");
    module->quantum = header[6];
    if (!check(module, header, err))
        return false;
    /* Functions are found by their distance from `text`, which needs one contiguous text. */
    if (layout != NULL && table_at(bytes, layout->moduledata_textsectmap).count > 1)
        return error_set(err, ERROR_UNSUPPORTED, "its code is split into several text sections");
    return true;
}

/* Without symbols. */

static bool scan_for_header(const struct elf_file *elf, const struct elf_segment *segment,
                            uint64_t skip_bytes, uint64_t *found, uint32_t *magic)
{
    unsigned char *chunk = malloc(SCAN_STEP_BYTES);
    bool hit = false;

    skip_bytes = (skip_bytes + 7) & ~UINT64_C(7);
    for (uint64_t at = skip_bytes;
         chunk != NULL && !hit && at < segment->file_bytes && segment->file_bytes - at >= 8;
         at += SCAN_STEP_BYTES) {
        uint64_t left = segment->file_bytes - at;
        size_t bytes = left < SCAN_STEP_BYTES ? (size_t)left : SCAN_STEP_BYTES;
        if (!elf_file_read(elf, segment->offset + at, chunk, bytes, NULL))
            break;
        for (size_t i = 0; !hit && i + 8 <= bytes; i += 8) {
            hit = is_header(chunk + i, magic);
            if (hit)
                *found = at + i;
        }
    }
    free(chunk);
    return hit;
}

bool moduledata_find_pclntab(const struct elf_file *elf, uint64_t from, uint64_t *address,
                             uint32_t *magic)
{
    static const char *const names[] = {".gopclntab", ".data.rel.ro.gopclntab"};
    unsigned char header[8];
    size_t count;
    const struct elf_segment *segments = elf_file_segments(elf, &count);

    for (size_t i = 0; from == 0 && i < sizeof(names) / sizeof(names[0]); i++) {
        const struct elf_section *section = elf_file_section(elf, names[i]);
        if (section != NULL && section->address != 0 &&
            elf_file_read(elf, section->offset, header, sizeof(header), NULL) &&
            is_header(header, magic)) {
            *address = section->address;
            return true;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct elf_segment *segment = &segments[i];
        uint64_t skip = from > segment->address ? from - segment->address : 0;
        uint64_t found;
        if (!segment->readable || skip >= segment->file_bytes)
            continue;
        if (scan_for_header(elf, segment, skip, &found, magic)) {
            *address = segment->address + found;
            return true;
        }
    }
    return false;
}

/* Looks for the word [pcheader] in the live, file-backed data of one segment.  [unread] says what of it could
 * not be read, if anything. */
static bool scan_for_module(struct memory *memory, const struct elf_segment *segment, uint64_t bias,
                            uint64_t pcheader, const struct go_layout *layout,
                            struct moduledata *module, struct error *unread)
{
    unsigned char *chunk = malloc(SCAN_STEP_BYTES);
    bool hit = false;
    uint64_t end =
        segment->file_bytes < SCAN_DATA_MAX_BYTES ? segment->file_bytes : SCAN_DATA_MAX_BYTES;
    uint64_t start = segment->address + bias;
    uint64_t misaligned = (8 - start % 8) % 8;

    for (uint64_t at = misaligned; chunk != NULL && !hit && at + 8 <= end; at += SCAN_STEP_BYTES) {
        size_t bytes = end - at < SCAN_STEP_BYTES ? (size_t)(end - at) : SCAN_STEP_BYTES;
        bytes = memory_read_some(memory, start + at, chunk, bytes, unread);
        for (size_t i = 0; !hit && i + 8 <= bytes; i += 8)
            hit = word_at(chunk, i) == pcheader &&
                  moduledata_read(memory, start + at + i, layout, module, NULL);
    }
    free(chunk);
    return hit;
}

bool moduledata_find(const struct elf_file *elf, struct memory *memory, uint64_t bias,
                     const struct go_layout *layout, struct moduledata *module, struct error *err)
{
    size_t count;
    const struct elf_segment *segments = elf_file_segments(elf, &count);
    uint64_t address, from = 0;
    uint32_t magic;
    struct error unread = {.code = ERROR_NONE};

    /* A magic may also be a constant in code or data; only the right one has a moduledata. */
    for (int tries = 0; tries < 64 && moduledata_find_pclntab(elf, from, &address, &magic);
         tries++) {
        for (size_t i = 0; i < count; i++)
            if (segments[i].writable &&
                scan_for_module(memory, &segments[i], bias, address + bias, layout, module,
                                &unread))
                return true;
        from = address + 8;
    }
    if (unread.code != ERROR_NONE)
        return error_set(err, unread.code, "Go module data not found: %s", unread.message);
    return error_set(err, ERROR_UNSUPPORTED, "no Go module data found in it");
}
