/* pclntab_lookup.c - pcs to functions and stacks to sites, on tables that are right and broken. */
#include "core/goproc/pclntab.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/goproc/call_stacks.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/store/site.h"
#include "tests/unit/goproc/pclntab_image.h"

static struct pclntab_image image;
static const struct go_layout *layout;
static struct elf_file *elf;
static struct pclntab *table;

static void make(const char *version)
{
    struct error err = {0};
    layout = go_layout_find(version, &err);
    pclntab_image_make(&image, layout);
    elf = pclntab_image_file(&image);
    table = pclntab_load(elf, 0, &image.module, layout, &err);
    cr_assert_not_null(table, "%s", err.message);
}

static void drop(void)
{
    pclntab_free(table);
    elf_file_close(elf);
}

static void check_frame(uint64_t pc, const char *function, const char *file, uint32_t line,
                        uint32_t start_line, bool inlined)
{
    struct pclntab_frame frame;
    cr_assert(pclntab_frame_at(table, pc, &frame), "0x%llx", (unsigned long long)pc);
    cr_assert_str_eq(frame.function.text, function);
    cr_assert_eq(frame.function.length, strlen(function));
    cr_assert_str_eq(frame.file.text, file);
    cr_assert_eq(frame.line, line, "%s: line %u", function, frame.line);
    cr_assert_eq(frame.start_line, start_line);
    cr_assert_eq(frame.inlined, inlined);
}

Test(pclntab, resolves_return_addresses_to_the_call_before_them)
{
    make("go1.26.8");
    check_frame(PC_MALLOCGC, "runtime.mallocgc", "/go/malloc.go", 10, 8, false);
    check_frame(PC_MALLOCGC + 0x80, "runtime.mallocgc", "/go/malloc.go", 10, 8, false);
    check_frame(PC_MALLOCGC + 0x81, "runtime.mallocgc", "/go/malloc.go", 20, 8, false);
    check_frame(PC_LEAK + 0x10, "main.leak", "/app/main.go", 100, 99, false);
    check_frame(PC_LEAK + 0x45, "main.middle", "/app/main.go", 200, 190, true);
    check_frame(PC_LEAK + 0x50, "main.inner", "/app/main.go", 300, 290, true);
    check_frame(PC_LEAK + 0x61, "main.leak", "/app/main.go", 101, 99, false);
    drop();
}

Test(pclntab, knows_where_a_line_begins_and_where_code_ends)
{
    uint64_t start, end;
    make("go1.26.8");
    cr_assert(pclntab_code_at(table, PC_MALLOCGC + 0x90, PC_MALLOCGC + 0x88, &start, &end));
    cr_assert_eq(start, PC_MALLOCGC + 0x80);
    cr_assert_eq(end, PC_LEAK);
    cr_assert(pclntab_code_at(table, PC_MALLOCGC + 0x90, PC_MALLOCGC + 0x7f, &start, &end));
    cr_assert_eq(start, PC_MALLOCGC);
    cr_assert(pclntab_code_at(table, PC_MALLOCGC + 0x90, PC_MALLOCGC - 1, &start, &end));
    cr_assert_eq(start, PC_MALLOCGC);
    cr_assert_not(pclntab_code_at(table, PC_END, PC_END, &start, &end));
    drop();
}

Test(pclntab, reads_the_wider_inline_nodes_of_1_19_which_know_no_start_line)
{
    make("go1.19.8");
    check_frame(PC_LEAK + 0x50, "main.inner", "/app/main.go", 300, 0, true);
    check_frame(PC_LEAK + 0x45, "main.middle", "/app/main.go", 200, 0, true);
    check_frame(PC_LEAK + 0x10, "main.leak", "/app/main.go", 100, 0, false);
    drop();
}

Test(pclntab, knows_no_function_outside_of_the_text)
{
    struct pclntab_frame frame;
    struct pclntab_text name;
    make("go1.26.8");
    cr_assert_not(pclntab_frame_at(table, PC_MALLOCGC - 1, &frame));
    cr_assert_not(pclntab_frame_at(table, PC_END, &frame));
    cr_assert_not(pclntab_frame_at(table, 0, &frame));
    cr_assert_not(pclntab_frame_at(table, UINT64_MAX, &frame));
    cr_assert_not(pclntab_name_at(table, PC_END, &name));
    drop();
}

Test(pclntab, takes_names_at_the_pc_itself)
{
    struct pclntab_text name;
    make("go1.26.8");
    /* The frame there is main.middle (pc - 1); FuncForPC says main.inner. */
    cr_assert(pclntab_name_at(table, PC_LEAK + 0x48, &name));
    cr_assert_str_eq(name.text, "main.inner");
    drop();
}

Test(pclntab, expands_the_last_pc_to_all_callers_it_was_inlined_into)
{
    uint64_t pcs[8];
    make("go1.26.8");
    cr_assert_eq(pclntab_expand_last(table, PC_LEAK + 0x50, pcs, 8), 3);
    cr_assert_eq(pcs[0], PC_LEAK + 0x50);
    cr_assert_eq(pcs[1], PC_LEAK + 0x44 + 1);
    cr_assert_eq(pcs[2], PC_LEAK + 0x10 + 1);
    cr_assert_eq(pclntab_expand_last(table, PC_LEAK + 0x50, pcs, 2), 2);
    cr_assert_eq(pclntab_expand_last(table, PC_LEAK + 0x10, pcs, 8), 0);
    cr_assert_eq(pclntab_expand_last(table, 0, pcs, 8), 0);
    drop();
}

Test(pclntab, ends_an_inline_tree_that_runs_in_circles)
{
    uint64_t pcs[PCLNTAB_INLINE_DEPTH_MAX + 1];
    struct error err = {0};
    layout = go_layout_find("go1.26.8", &err);
    pclntab_image_make(&image, layout);
    /* main.inner claims to have been inlined at a pc that is itself in main.inner. */
    int32_t itself = 0x50;
    memcpy(image.bytes + (image.module.gofunc - PCLNTAB_IMAGE_ADDRESS) + layout->inline_parent_pc,
           &itself, sizeof(itself));
    elf = pclntab_image_file(&image);
    table = pclntab_load(elf, 0, &image.module, layout, &err);
    cr_assert_not_null(table);
    cr_assert_leq(pclntab_expand_last(table, PC_LEAK + 0x50, pcs, PCLNTAB_INLINE_DEPTH_MAX + 1),
                  PCLNTAB_INLINE_DEPTH_MAX + 1);
    drop();
}

Test(pclntab, looks_into_plugins_where_the_program_has_no_function)
{
    const uint64_t bias = 0x10000000;
    struct pclntab_text name;
    uint64_t pcs[8], start, end;
    struct error err = {0};
    make("go1.26.8");
    struct moduledata elsewhere = image.module;
    uint64_t *const addresses[] = {&elsewhere.pcheader,      &elsewhere.funcnames.address,
                                   &elsewhere.cutab.address, &elsewhere.files.address,
                                   &elsewhere.pctab.address, &elsewhere.pclntable.address,
                                   &elsewhere.ftab.address,  &elsewhere.minpc,
                                   &elsewhere.maxpc,         &elsewhere.text,
                                   &elsewhere.etext,         &elsewhere.gofunc};
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
        *addresses[i] += bias;
    struct pclntab *plugin = pclntab_load(elf, bias, &elsewhere, layout, &err);
    cr_assert_not_null(plugin, "%s", err.message);
    cr_assert_not(pclntab_name_at(table, PC_LEAK + bias, &name));
    pclntab_append(table, plugin);
    check_frame(PC_LEAK + bias + 0x50, "main.inner", "/app/main.go", 300, 290, true);
    check_frame(PC_LEAK + 0x50, "main.inner", "/app/main.go", 300, 290, true);
    cr_assert_eq(pclntab_expand_last(table, PC_LEAK + bias + 0x50, pcs, 8), 3);
    cr_assert_eq(pcs[2], PC_LEAK + bias + 0x10 + 1);
    cr_assert(pclntab_code_at(table, PC_MALLOCGC + bias + 0x90, PC_MALLOCGC + bias + 0x88, &start,
                              &end));
    cr_assert_eq(start, PC_MALLOCGC + bias + 0x80);
    cr_assert_not(pclntab_name_at(table, PC_END + bias, &name));
    drop();
    pclntab_free(plugin);
}

/* Asks about every pc and lets the sanitizers judge. */
static void ask_everything(void)
{
    for (uint64_t pc = PC_MALLOCGC - 2; pc < PC_END + 2; pc += 3) {
        struct pclntab_frame frame;
        struct pclntab_text name;
        uint64_t pcs[16];
        if (pclntab_frame_at(table, pc, &frame)) {
            cr_assert_eq(frame.function.text[frame.function.length], '\0');
            cr_assert_eq(frame.file.text[frame.file.length], '\0');
        }
        (void)pclntab_name_at(table, pc, &name);
        (void)pclntab_expand_last(table, pc, pcs, 16);
    }
}

Test(pclntab, survives_lies_in_every_byte_of_its_tables)
{
    static struct pclntab_image right;
    struct error err = {0};
    layout = go_layout_find("go1.26.8", &err);
    pclntab_image_make(&right, layout);
    for (size_t at = 0; at < right.length; at++) {
        for (unsigned lie = 0x7f; lie <= 0xff; lie += 0x80) {
            image = right;
            image.bytes[at] = (unsigned char)lie;
            elf = pclntab_image_file(&image);
            table = pclntab_load(elf, 0, &image.module, layout, &err);
            cr_assert_not_null(table, "%s", err.message);
            ask_everything();
            drop();
        }
    }
}

Test(pclntab, refuses_tables_that_are_not_in_the_file)
{
    struct error err = {0};
    layout = go_layout_find("go1.26.8", &err);
    pclntab_image_make(&image, layout);
    elf = pclntab_image_file(&image);
    image.module.pctab.count = 1 << 20;
    cr_assert_null(pclntab_load(elf, 0, &image.module, layout, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    image.module.pctab.count = 16;
    image.module.files.address = 0x10;
    cr_assert_null(pclntab_load(elf, 0, &image.module, layout, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    elf_file_close(elf);
}

/* moduledata */

/* Writes [module] as Go 1.26 lays it out. */
static void write_module(const struct moduledata *module, uint64_t words[74])
{
    memset(words, 0, 74 * 8);
    words[0] = module->pcheader;
    const struct module_table *tables[] = {&module->funcnames, &module->cutab, &module->files,
                                           &module->pctab, &module->pclntable, &module->ftab};
    for (size_t i = 0; i < 6; i++) {
        words[1 + 3 * i] = tables[i]->address;
        words[2 + 3 * i] = words[3 + 3 * i] = tables[i]->count;
    }
    words[20] = module->minpc;
    words[21] = module->maxpc;
    words[22] = module->text;
    words[23] = module->etext;
    words[320 / 8] = module->gofunc;
}

static bool read_module(uint64_t words[74], struct moduledata *module, struct error *err)
{
    const struct memory_segment segments[] = {{0x600000, words, 74 * 8},
                                              {PCLNTAB_IMAGE_ADDRESS, image.bytes, image.length}};
    const struct memory_image memory_image = {segments, 2};
    struct memory memory;
    memory_open_image(&memory, &memory_image);
    return moduledata_read(&memory, 0x600000, layout, module, err);
}

Test(pclntab, believes_only_module_data_that_agrees_with_the_header)
{
    static const struct {
        size_t word;
        uint64_t value;
    } lies[] = {{0, 0x600000}, {17, 6}, {20, 0}, {21, 0x401000}, {22, 0x401001}, {23, 0x400000},
                {2, UINT64_MAX}, {1, UINT64_MAX - 4}, {21, UINT64_MAX}};
    struct error err = {0};
    uint64_t words[74];
    struct moduledata module;

    layout = go_layout_find("go1.26.8", &err);
    pclntab_image_make(&image, layout);
    write_module(&image.module, words);
    cr_assert(read_module(words, &module, &err), "%s", err.message);
    cr_assert_eq(module.gofunc, image.module.gofunc);
    cr_assert_eq(module.ftab.count, 5);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        write_module(&image.module, words);
        words[lies[i].word] = lies[i].value;
        err = (struct error){0};
        cr_assert_not(read_module(words, &module, &err), "lie %zu", i);
        cr_assert_eq(err.code, ERROR_CORRUPT);
    }
}

/* Stacks to sites. */

static struct site_table *sites;
static struct call_stacks *stacks;

static void make_stacks(const char *version)
{
    make(version);
    sites = site_table_new();
    stacks = call_stacks_new(table, sites, layout);
    cr_assert_not_null(stacks);
}

static void drop_stacks(void)
{
    call_stacks_free(stacks);
    site_table_unref(sites);
    drop();
}

static const struct site *site_of(const uint64_t *pcs, size_t count)
{
    struct error err = {0};
    const struct site *site = call_stacks_add(stacks, pcs, count, 64, &err);
    cr_assert_not_null(site, "%s", err.message);
    return site;
}

Test(call_stacks, hides_the_runtime_drops_goexit_and_groups_inlined_calls)
{
    const uint64_t pcs[] = {PC_MALLOCGC + 0x20, PC_LEAK + 0x50, PC_LEAK + 0x45, PC_LEAK + 0x11,
                            PC_GOEXIT + 1};
    make_stacks("go1.26.8");
    const struct site *site = site_of(pcs, 5);
    cr_assert_eq(site->runtime_frame_count, 1);
    cr_assert_str_eq(site->runtime_frames[0]->function, "runtime.mallocgc");
    cr_assert_eq(site->frame_count, 3);
    cr_assert_str_eq(site->frames[0]->function, "main.inner");
    cr_assert_str_eq(site->frames[1]->function, "main.middle");
    cr_assert_str_eq(site->frames[2]->function, "main.leak");
    cr_assert(site->frames[0]->starts_location);
    cr_assert_not(site->frames[1]->starts_location);
    cr_assert_not(site->frames[2]->starts_location);
    cr_assert_eq(site->frames[2]->address, PC_LEAK + 0x50);
    drop_stacks();
}

Test(call_stacks, lets_sites_share_the_frames_they_go_through)
{
    const uint64_t one[] = {PC_MALLOCGC + 0x20, PC_LEAK + 0x50, PC_LEAK + 0x45, PC_LEAK + 0x11};
    const uint64_t other[] = {PC_MALLOCGC + 0x90, PC_LEAK + 0x50, PC_LEAK + 0x45, PC_LEAK + 0x11};
    const uint64_t alone[] = {PC_MALLOCGC + 0x20, PC_LEAK + 0x11};
    make_stacks("go1.26.8");
    const struct site *first = site_of(one, 4), *second = site_of(other, 4);
    cr_assert_neq(first, second);
    cr_assert_neq(first->runtime_frames[0], second->runtime_frames[0]);
    cr_assert_eq(first->frame_count, second->frame_count);
    for (uint32_t i = 0; i < first->frame_count; i++)
        cr_assert_eq(first->frames[i], second->frames[i]);
    /* The same call where it starts a Location of its own is another frame. */
    const struct site *third = site_of(alone, 2);
    const struct frame *joined = first->frames[first->frame_count - 1];
    cr_assert_str_eq(third->frames[0]->function, joined->function);
    cr_assert_not(joined->starts_location);
    cr_assert(third->frames[0]->starts_location);
    cr_assert_eq(third->frames[0]->address, PC_LEAK + 0x11);
    drop_stacks();
}

Test(call_stacks, shows_everything_when_all_of_it_is_the_runtime)
{
    const uint64_t pcs[] = {PC_MALLOCGC + 0x20, PC_MALLOCGC + 0x90, PC_GOEXIT + 1};
    make_stacks("go1.26.8");
    const struct site *site = site_of(pcs, 3);
    cr_assert_eq(site->runtime_frame_count, 0);
    cr_assert_eq(site->frame_count, 2);
    cr_assert_eq(site->frames[1]->line, 20);
    cr_assert(site->frames[1]->starts_location);
    drop_stacks();
}

Test(call_stacks, expands_a_stack_that_was_cut_within_an_inlined_call)
{
    const uint64_t pcs[] = {PC_MALLOCGC + 0x20, PC_LEAK + 0x50};
    make_stacks("go1.26.8");
    const struct site *site = site_of(pcs, 2);
    cr_assert_eq(site->frame_count, 3);
    cr_assert_str_eq(site->frames[2]->function, "main.leak");
    drop_stacks();
}

Test(call_stacks, tells_generic_instances_apart_except_where_pprof_does_not)
{
    /* main.Map[go.shape.string] inlined into main.Map[go.shape.int]. */
    const uint64_t pcs[] = {PC_MAP + 0x18, PC_MAP + 0x09, PC_GOEXIT + 1};
    make_stacks("go1.22.12");
    cr_assert_not(site_of(pcs, 3)->frames[1]->starts_location);
    drop_stacks();
    make_stacks("go1.21.13"); /* compares main.Map[...] with itself and takes it for recursion */
    cr_assert(site_of(pcs, 3)->frames[1]->starts_location);
    drop_stacks();
}

Test(call_stacks, keeps_addresses_that_are_in_no_go_function)
{
    const uint64_t pcs[] = {0x7fff12345678, PC_LEAK + 0x10};
    make_stacks("go1.26.8");
    const struct site *site = site_of(pcs, 2);
    cr_assert_eq(site->frame_count, 2);
    cr_assert_str_eq(site->frames[0]->function, "");
    cr_assert_eq(site->frames[0]->address, 0x7fff12345678);
    cr_assert(site->frames[1]->starts_location);
    drop_stacks();
}

Test(call_stacks, accepts_an_empty_stack_and_refuses_one_that_is_too_long)
{
    static uint64_t pcs[CALL_STACK_PCS_MAX + 1];
    struct error err = {0};
    make_stacks("go1.26.8");
    cr_assert_eq(site_of(pcs, 0)->frame_count, 1);
    cr_assert_null(call_stacks_add(stacks, pcs, CALL_STACK_PCS_MAX + 1, 8, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_eq(site_of(pcs, CALL_STACK_PCS_MAX)->frame_count, CALL_STACK_PCS_MAX);
    drop_stacks();
}

Test(call_stacks, remembers_more_pcs_than_its_first_table_holds)
{
    uint64_t pcs[2] = {0, PC_LEAK + 0x10};
    make_stacks("go1.26.8");
    for (uint64_t i = 1; i < 5000; i++) {
        pcs[0] = i * 8;
        cr_assert_eq(site_of(pcs, 2)->frames[0]->address, i * 8);
    }
    cr_assert_eq(site_table_count(sites), 4999);
    drop_stacks();
}
