/* smaps_parse.c - the mappings of a process and what of them is resident. */
#include "core/goproc/smaps.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/goproc/procfs.h"

static const char sample[] =
    "00400000-00650000 r-xp 00000000 fe:00 1837                       /usr/bin/demo\n"
    "Size:               2368 kB\n"
    "Rss:                1400 kB\n"
    "Pss:                 700 kB\n"
    "Anonymous:             0 kB\n"
    "VmFlags: rd ex mr mw me \n"
    "00860000-008a0000 rw-p 00460000 fe:00 1837                       /usr/bin/demo (deleted)\n"
    "Rss:                  80 kB\n"
    "Anonymous:            64 kB\n"
    "008a0000-008e0000 rw-p 00000000 00:00 0 \n"
    "Rss:                  32 kB\n"
    "Anonymous:            32 kB\n"
    "01000000-01021000 rw-p 00000000 00:00 0                          [heap]\n"
    "c000000000-c004000000 rw-p 00000000 00:00 0                      [anon: Go: heap]\n"
    "Rss:               65536 kB\n"
    "AnonHugePages:      2048 kB\n"
    "Swap:                 12 kB\n"
    "7f0000000000-7f0000040000 rw-p 00000000 00:00 0                  [anon: Go: immortal metadata]\n"
    "7f0000040000-7f0000080000 rw-p 00000000 00:00 0                  [anon:jemalloc]\n"
    "7f0000100000-7f0000200000 rw-s 00000000 00:01 2051               /dev/zero (deleted)\n"
    "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                  [stack]\n"
    "7ffc00030000-7ffc00032000 r-xp 00000000 00:00 0                  [vdso]\n";

static struct smaps parse(const char *text)
{
    struct smaps smaps;
    struct error err = {0};
    cr_assert(smaps_parse(text, strlen(text), &smaps, &err), "%s", err.message);
    return smaps;
}

Test(smaps, tells_each_kind_of_mapping_by_its_name)
{
    static const enum smaps_kind kinds[] = {
        SMAPS_FILE,       SMAPS_FILE,  SMAPS_ANONYMOUS, SMAPS_C_HEAP,      SMAPS_GO_HEAP,
        SMAPS_GO_RUNTIME, SMAPS_NAMED, SMAPS_FILE,      SMAPS_FIRST_STACK, SMAPS_KERNEL};
    struct smaps smaps = parse(sample);
    cr_assert_eq(smaps.count, sizeof(kinds) / sizeof(kinds[0]));
    for (size_t i = 0; i < smaps.count; i++)
        cr_assert_eq(smaps.areas[i].kind, kinds[i], "mapping %zu", i);
    cr_assert(smaps.has_go_names);
    smaps_release(&smaps);
}

Test(smaps, reads_the_numbers_of_each_mapping_in_bytes)
{
    struct smaps smaps = parse(sample);
    cr_assert_eq(smaps.areas[0].start, 0x400000);
    cr_assert_eq(smaps.areas[0].end, 0x650000);
    cr_assert_eq(smaps.areas[0].rss_bytes, 1400 * 1024);
    cr_assert_eq(smaps.areas[0].pss_bytes, 700 * 1024);
    cr_assert_not(smaps.areas[0].writable);
    cr_assert(smaps.areas[1].writable);
    cr_assert_eq(smaps.areas[1].anonymous_bytes, 64 * 1024);
    cr_assert_eq(smaps.areas[4].huge_bytes, 2048 * 1024);
    cr_assert_eq(smaps.areas[4].swap_bytes, 12 * 1024);
    cr_assert_eq(smaps.areas[4].anonymous_bytes, 0); /* not told */
    smaps_release(&smaps);
}

Test(smaps, refuses_what_is_not_smaps_and_says_in_which_line)
{
    static const char *const bad[] = {
        "Rss: 4 kB\n",
        "00400000 r-xp 00000000 fe:00 1837 /usr/bin/demo\n",
        "00500000-00400000 r-xp 00000000 fe:00 1837 /usr/bin/demo\n",
        "00400000-00500000 r-xp\n",
        "fffffffffffffffff-00500000 r-xp 00000000 fe:00 1837\n",
        "00400000-00500000 r-xp 00000000 fe:00 x\n",
        "00400000-00500000 r-xp 00000000 fe:00 1\n00300000-00400000 r-xp 00000000 fe:00 1\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct smaps smaps;
        struct error err = {0};
        cr_assert_not(smaps_parse(bad[i], strlen(bad[i]), &smaps, &err), "%s", bad[i]);
        cr_assert_eq(err.code, ERROR_CORRUPT);
        cr_assert_not_null(strstr(err.message, "line"), "%s", err.message);
        cr_assert_null(smaps.areas);
    }
}

Test(smaps, survives_every_cut_and_every_changed_byte)
{
    char text[sizeof(sample)];
    for (size_t i = 0; i < sizeof(sample) - 1; i++) {
        struct smaps smaps;
        if (smaps_parse(sample, i, &smaps, NULL))
            smaps_release(&smaps);
        memcpy(text, sample, sizeof(sample));
        for (int byte = 0; byte < 256; byte += 5) {
            text[i] = (char)byte;
            if (smaps_parse(text, sizeof(sample) - 1, &smaps, NULL))
                smaps_release(&smaps);
        }
    }
}

Test(smaps, of_a_live_process_know_what_it_has_touched)
{
    enum { BYTES = 8 << 20, TOUCHED = 3 << 20 };
    const struct procfs fs = {.root = ""};
    char *block = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(block, MAP_FAILED);
    cr_assert_eq(mprotect(block + BYTES - 4096, 4096, PROT_READ), 0); /* a mapping of its own */
    memset(block, 1, TOUCHED);
    struct smaps smaps;
    struct error err = {0};
    cr_assert(smaps_read(&fs, getpid(), &smaps, &err), "%s", err.message);
    uint64_t resident = 0;
    for (size_t i = 0; i < smaps.count; i++)
        if (smaps.areas[i].start <= (uint64_t)(uintptr_t)block &&
            smaps.areas[i].end > (uint64_t)(uintptr_t)block)
            resident = smaps.areas[i].anonymous_bytes;
    cr_assert_geq(resident, TOUCHED);
    cr_assert_lt(resident, TOUCHED + (4 << 20));
    smaps_release(&smaps);
    munmap(block, BYTES);
}

Test(smaps, of_a_process_that_is_not_there_are_gone)
{
    const struct procfs fs = {.root = ""};
    struct smaps smaps;
    struct error err = {0};
    cr_assert_not(smaps_read(&fs, 0x7ffffff0, &smaps, &err));
    cr_assert_eq(err.code, ERROR_GONE);
}
