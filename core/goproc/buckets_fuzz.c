/* buckets_fuzz.c - libFuzzer harness: any bytes as the runtime's list of heap profile buckets.
 *
 * Built with -DGOPROFD_FUZZ=ON.  The first byte picks the Go version, whether all is swept, the flush still due and
 * the lock held, the second the profile cycle; the rest is memory, with the newest bucket at its start. */
#include <elf.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/fuzz_case.h"
#include "core/goproc/buckets.h"
#include "core/goproc/call_stacks.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/pclntab.h"
#include "core/goproc/symbols.h"
#include "core/store/profile.h"

#define VARIABLES_ADDRESS UINT64_C(0x700000)
#define BUCKETS_ADDRESS UINT64_C(0x800000)
#define TABLES_ADDRESS UINT64_C(0x500000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct variables {
    uint64_t head, cycle, lock, rate, forced, sweep;
};

/* Function tables without a function that could be found: stacks stay bare addresses. */
static struct pclntab *bare_tables(struct elf_file **elf, const struct go_layout *layout)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
        unsigned char tables[64];
    } file = {
        .header = {.e_type = ET_EXEC,
                   .e_machine = EM_X86_64,
                   .e_phoff = sizeof(Elf64_Ehdr),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 1},
        .segment = {.p_type = PT_LOAD,
                    .p_flags = PF_R,
                    .p_offset = offsetof(__typeof__(file), tables),
                    .p_vaddr = TABLES_ADDRESS,
                    .p_filesz = sizeof(file.tables),
                    .p_memsz = sizeof(file.tables)},
    };
    const struct module_table some = {TABLES_ADDRESS, 2};
    const struct moduledata module = {.quantum = 1,
                                      .funcnames = some,
                                      .cutab = some,
                                      .files = some,
                                      .pctab = some,
                                      .pclntable = some,
                                      .ftab = some,
                                      .minpc = 1,
                                      .maxpc = 2,
                                      .text = 1,
                                      .etext = 2};
    memcpy(file.header.e_ident, ELFMAG "\2\1\1", 7);
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    *elf = NULL;
    if (fd == -1 || write(fd, &file, sizeof(file)) != (ssize_t)sizeof(file)) {
        close(fd);
        return NULL;
    }
    *elf = elf_file_open(fd, NULL);
    return *elf == NULL ? NULL : pclntab_load(*elf, 0, &module, layout, NULL);
}

static void read_twice(const struct buckets_source *source, struct variables *variables)
{
    static const struct buckets_limits limits = {.records = 500, .records_a_read = 200, .retries = 0};
    struct buckets *buckets = buckets_new(source, &limits);

    for (int i = 0; buckets != NULL && i < 2; i++) {
        const struct profile *profile = NULL;
        struct error err = {0};
        int64_t rate;
        uint64_t retries = 0;
        if (buckets_read(buckets, 1, &profile, &rate, &retries, &err)) {
            for (size_t e = 0; e < profile->entry_count; e++)
                if (profile->entries[e].frees > profile->entries[e].allocs)
                    __builtin_trap();
            if (profile->partial)
                fuzz_case_partial(profile->partial_reason);
            profile_unref(profile);
        } else {
            fuzz_case_refused(&err);
        }
        variables->cycle += 2;
        variables->forced++;
    }
    buckets_free(buckets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct symbols symbols = {0};
    struct memory memory;
    struct elf_file *elf;

    if (size < 3)
        return 0;
    const struct go_layout *layout = go_layout_find(data[0] & 1 ? "go1.27" : "go1.23", &err);
    struct variables variables = {
        .head = BUCKETS_ADDRESS, .cycle = data[0] & 4 ? data[1] : data[1] | 1U, .rate = 524288, .lock = data[0] >> 7,
        .sweep = data[0] & 2 ? UINT64_C(1) << 31 : 0};
    const struct memory_segment segments[] = {
        {VARIABLES_ADDRESS, &variables, sizeof(variables)}, {BUCKETS_ADDRESS, data + 2, size - 2}};
    const struct memory_image image = {segments, 2};
    symbols.address[SYMBOL_MBUCKETS] = VARIABLES_ADDRESS;
    symbols.address[SYMBOL_MPROF_CYCLE] = VARIABLES_ADDRESS + 8;
    symbols.address[SYMBOL_MPROF_ACTIVE_LOCK] = VARIABLES_ADDRESS + 16;
    symbols.address[SYMBOL_MEM_PROFILE_RATE] = VARIABLES_ADDRESS + 24;
    symbols.address[SYMBOL_MEMSTATS] = VARIABLES_ADDRESS + 32 - layout->stats_numforcedgc;
    symbols.address[SYMBOL_SWEEP] = VARIABLES_ADDRESS + 40 - layout->sweep_state;
    memory_open_image(&memory, &image);
    struct pclntab *functions = bare_tables(&elf, layout);
    struct site_table *sites = site_table_new();
    struct call_stacks *stacks =
        functions != NULL && sites != NULL ? call_stacks_new(functions, sites, layout) : NULL;
    if (stacks != NULL) {
        const struct buckets_source source = {.memory = &memory,
                                              .layout = layout,
                                              .symbols = &symbols,
                                              .stacks = stacks,
                                              .sites = sites};
        read_twice(&source, &variables);
    }
    call_stacks_free(stacks);
    site_table_unref(sites);
    pclntab_free(functions);
    elf_file_close(elf);
    memory_close(&memory);
    return 0;
}
