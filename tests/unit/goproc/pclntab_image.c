/* pclntab_image.c - header, names, files, pc tables, functions, inline trees. */
#include "tests/unit/goproc/pclntab_image.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "tests/unit/goproc/elf_image.h"

static const char names[] = "\0runtime.mallocgc\0main.leak\0runtime.goexit\0main.Map[go.shape.int]"
                            "\0main.middle\0main.inner\0main.Map[go.shape.string]";
static const char files[] = "/go/malloc.go\0/app/main.go";

static uint32_t name_offset(const char *name)
{
    for (uint32_t i = 1; i < sizeof(names); i += (uint32_t)strlen(names + i) + 1)
        if (strcmp(names + i, name) == 0)
            return i;
    cr_assert_fail("%s", name);
    return 0;
}

static void put(struct pclntab_image *image, const void *bytes, size_t length)
{
    cr_assert_leq(image->length + length, sizeof(image->bytes));
    memcpy(image->bytes + image->length, bytes, length);
    image->length += length;
}

static void put_u32(struct pclntab_image *image, uint32_t value)
{
    put(image, &value, sizeof(value));
}

static void put_u64(struct pclntab_image *image, uint64_t value)
{
    put(image, &value, sizeof(value));
}

static void align8(struct pclntab_image *image)
{
    while (image->length % 8 != 0)
        put(image, "", 1);
}

static void put_uvarint(struct pclntab_image *image, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        put(image, &(unsigned char){(unsigned char)(value | 0x80)}, 1);
    put(image, &(unsigned char){(unsigned char)value}, 1);
}

/* Values with the offset at which each ends; the list ends with an end of 0. */
struct run {
    int32_t value;
    uint32_t end;
};

static uint32_t put_runs(struct pclntab_image *image, uint64_t table, const struct run *runs)
{
    uint32_t offset = (uint32_t)(image->length - table);
    int32_t value = -1;
    uint32_t at = 0;

    for (; runs->end != 0; runs++) {
        int32_t delta = runs->value - value;
        put_uvarint(image, ((uint32_t)delta << 1) ^ (uint32_t)(delta >> 31));
        put_uvarint(image, runs->end - at);
        value = runs->value;
        at = runs->end;
    }
    put(image, "", 1);
    return offset;
}

struct made_function {
    uint64_t entry;
    const char *name;
    uint32_t start_line;
    uint32_t pcsp, pcfile, pcln, inline_index; /* offsets into pctab */
    unsigned char flags;
    uint32_t inline_tree;                /* offset from gofunc; UINT32_MAX: none */
};

static void put_function(struct pclntab_image *image, const struct go_layout *layout,
                         const struct made_function *function)
{
    unsigned char fixed[64] = {0};
    uint32_t words[] = {(uint32_t)(function->entry - PC_MALLOCGC), name_offset(function->name), 0, 0, function->pcsp,
                        function->pcfile, function->pcln, 3, 0};
    memcpy(fixed, words, sizeof(words));
    if (layout->func_start_line != GO_LAYOUT_ABSENT)
        memcpy(fixed + layout->func_start_line, &function->start_line, 4);
    fixed[layout->func_id + 1] = function->flags;
    fixed[layout->func_id + 3] = 4; /* nfuncdata */
    put(image, fixed, layout->func_fixed_bytes);
    put_u32(image, 0);
    put_u32(image, 0);
    put_u32(image, function->inline_index);
    for (int i = 0; i < 3; i++)
        put_u32(image, UINT32_MAX);
    put_u32(image, function->inline_tree);
}

static void put_node(struct pclntab_image *image, const struct go_layout *layout, const char *name,
                     int32_t parent_pc, uint32_t start_line)
{
    unsigned char node[20] = {0};
    uint32_t offset = name_offset(name);
    memcpy(node + layout->inline_name, &offset, 4);
    memcpy(node + layout->inline_parent_pc, &parent_pc, 4);
    if (layout->inline_start_line != GO_LAYOUT_ABSENT)
        memcpy(node + layout->inline_start_line, &start_line, 4);
    put(image, node, layout->inline_node_bytes);
}

static struct module_table table_from(size_t start, uint64_t count)
{
    return (struct module_table){PCLNTAB_IMAGE_ADDRESS + start, count};
}

void pclntab_image_make(struct pclntab_image *image, const struct go_layout *layout)
{
    memset(image, 0, sizeof(*image));
    struct moduledata *module = &image->module;
    uint32_t magic = layout->minor >= 20 ? PCLNTAB_MAGIC_1_20 : PCLNTAB_MAGIC_1_18;
    put_u32(image, magic);
    put(image, "\0\0\1\10", 4);
    put_u64(image, 4); /* functions */
    while (image->length < PCLNTAB_HEADER_BYTES)
        put_u64(image, 0);
    module->funcnames = table_from(image->length, sizeof(names));
    put(image, names, sizeof(names));
    align8(image);
    module->cutab = table_from(image->length, 2);
    put_u32(image, 0);
    put_u32(image, (uint32_t)strlen(files) + 1);
    module->files = table_from(image->length, sizeof(files));
    put(image, files, sizeof(files));
    align8(image);

    size_t pctab = image->length;
    put(image, "", 1); /* offset 0 means "no table" */
    struct made_function functions[] = {
        {.entry = PC_MALLOCGC, .name = "runtime.mallocgc", .start_line = 8, .inline_tree = UINT32_MAX},
        {.entry = PC_LEAK, .name = "main.leak", .start_line = 99, .inline_tree = 0},
        {.entry = PC_GOEXIT, .name = "runtime.goexit", .start_line = 1, .inline_tree = UINT32_MAX, .flags = 1},
        {.entry = PC_MAP, .name = "main.Map[go.shape.int]", .start_line = 4, .inline_tree = 64},
    };
    uint32_t malloc_file = put_runs(image, pctab, (const struct run[]){{0, 0x100}, {0, 0}});
    uint32_t main_file = put_runs(image, pctab, (const struct run[]){{1, 0x200}, {0, 0}});
    functions[0].pcfile = functions[2].pcfile = malloc_file;
    functions[1].pcfile = functions[3].pcfile = main_file;
    functions[0].pcsp =
        put_runs(image, pctab, (const struct run[]){{PCSP_MALLOCGC, 0x100}, {0, 0}});
    functions[1].pcsp = put_runs(image, pctab, (const struct run[]){{PCSP_LEAK, 0x200}, {0, 0}});
    functions[2].pcsp = put_runs(image, pctab, (const struct run[]){{0, 0x100}, {0, 0}});
    functions[3].pcsp = put_runs(image, pctab, (const struct run[]){{PCSP_MAP, 0x100}, {0, 0}});
    functions[0].pcln =
        put_runs(image, pctab, (const struct run[]){{10, 0x80}, {20, 0x100}, {0, 0}});
    functions[1].pcln = put_runs(
        image, pctab,
        (const struct run[]){{100, 0x40}, {200, 0x48}, {300, 0x60}, {101, 0x200}, {0, 0}});
    functions[1].inline_index = put_runs(
        image, pctab, (const struct run[]){{-1, 0x40}, {1, 0x48}, {0, 0x60}, {-1, 0x200}, {0, 0}});
    functions[2].pcln = put_runs(image, pctab, (const struct run[]){{1, 0x100}, {0, 0}});
    functions[3].pcln = put_runs(image, pctab, (const struct run[]){{5, 0x100}, {0, 0}});
    functions[3].inline_index = put_runs(
        image, pctab, (const struct run[]){{-1, 0x10}, {0, 0x20}, {-1, 0x100}, {0, 0}});
    module->pctab = table_from(pctab, image->length - pctab);
    align8(image);

    size_t pclntable = image->length;
    uint32_t records[4];
    size_t ftab_bytes = 5 * 8;
    image->length += ftab_bytes; /* the table of functions comes first */
    for (size_t i = 0; i < 4; i++) {
        records[i] = (uint32_t)(image->length - pclntable);
        put_function(image, layout, &functions[i]);
        align8(image);
    }
    for (size_t i = 0; i < 4; i++) {
        uint32_t pair[2] = {(uint32_t)(functions[i].entry - PC_MALLOCGC), records[i]};
        memcpy(image->bytes + pclntable + i * 8, pair, 8);
    }
    uint32_t end[2] = {(uint32_t)(PC_END - PC_MALLOCGC), 0};
    memcpy(image->bytes + pclntable + 4 * 8, end, 8);
    module->pclntable = table_from(pclntable, image->length - pclntable);
    module->ftab = table_from(pclntable, 5);

    size_t gofunc = image->length;
    put_node(image, layout, "main.inner", 0x44, 290);
    put_node(image, layout, "main.middle", 0x10, 190);
    while (image->length < gofunc + 64)
        put(image, "", 1);
    put_node(image, layout, "main.Map[go.shape.string]", 0x08, 4);
    align8(image);
    module->gofunc = PCLNTAB_IMAGE_ADDRESS + gofunc;
    module->pcheader = PCLNTAB_IMAGE_ADDRESS;
    module->quantum = 1;
    module->minpc = module->text = PC_MALLOCGC;
    module->maxpc = module->etext = PC_END;
}

struct elf_file *pclntab_image_file(const struct pclntab_image *image)
{
    static unsigned char bytes[ELF_IMAGE_MAX_BYTES];
    struct error err = {0};
    const struct elf_image elf_image = {.parts = {{.name = ".gopclntab",
                                                   .bytes = image->bytes,
                                                   .length = image->length,
                                                   .address = PCLNTAB_IMAGE_ADDRESS}},
                                        .part_count = 1};
    size_t length = elf_image_build(&elf_image, bytes);
    struct elf_file *elf = elf_file_open(elf_image_fd(bytes, length), &err);
    cr_assert_not_null(elf, "%s", err.message);
    return elf;
}
