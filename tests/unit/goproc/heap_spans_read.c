/* heap_spans_read.c - the spans of a made-up heap, and which of their pages are resident. */
#include "core/goproc/heap_spans.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/goproc/memory.h"
#include "core/goproc/procfs.h"
#include "core/goproc/residency.h"
#include "core/goproc/symbols.h"
#include "tests/unit/goproc/proc_tree.h"

enum { SPANS = 20000, SPAN_BYTES = 160, PID = 77 };
#define BASE UINT64_C(0x7f0000000000)
#define ARENA UINT64_C(0xc000000000)

/* The part of a runtime that is read. */
struct runtime {
    unsigned char mheap[96 << 10];
    uint64_t pointers[SPANS];
    unsigned char spans[SPANS][SPAN_BYTES];
};

#define AT(member) (BASE + offsetof(struct runtime, member))

static struct runtime *runtime;
static const struct go_layout *layout;
static struct memory_segment segment;
static struct memory_image image;
static struct memory memory;
static struct symbols symbols;
static struct heap_spans spans;
static struct error err;

static void put(void *at, uint64_t value, size_t width)
{
    memcpy(at, &value, width);
}

static void set_count(uint64_t count)
{
    put(runtime->mheap + layout->mheap_allspans, AT(pointers), 8);
    put(runtime->mheap + layout->mheap_allspans + 8, count, 8);
}

static void set_span(size_t index, uint64_t start, uint64_t pages, unsigned state,
                     unsigned span_class, uint64_t allocated)
{
    unsigned char *span = runtime->spans[index];
    runtime->pointers[index] = AT(spans) + index * SPAN_BYTES;
    put(span + layout->mspan_start, start, 8);
    put(span + layout->mspan_npages, pages, 8);
    put(span + layout->mspan_alloc_count, allocated, 2);
    span[layout->mspan_spanclass] = (unsigned char)span_class;
    span[layout->mspan_state] = (unsigned char)state;
}

static void set_up(void)
{
    layout = go_layout_find("go1.27.3", &err);
    cr_assert_not_null(layout);
    runtime = calloc(1, sizeof(*runtime));
    segment = (struct memory_segment){BASE, runtime, sizeof(*runtime)};
    image = (struct memory_image){&segment, 1};
    memory_open_image(&memory, &image);
    symbols.address[SYMBOL_MHEAP] = AT(mheap);
    /* From the top down: 5 pages of class 1 KiB, a large object of 3 pages, a stack, and a dead one. */
    set_span(0, ARENA + 64 * GO_PAGE_BYTES, 1, 1, 32 << 1, 3);
    set_span(1, ARENA + 16 * GO_PAGE_BYTES, 3, 1, 1, 1);
    set_span(2, ARENA + 8 * GO_PAGE_BYTES, 4, 2, 0, 0);
    set_span(3, ARENA, 9, 0, 0, 0);
    set_count(4);
}

static void tear_down(void)
{
    heap_spans_release(&spans);
    memory_close(&memory);
    free(runtime);
}

TestSuite(heap_spans, .init = set_up, .fini = tear_down);

static void read_spans(void)
{
    cr_assert(heap_spans_read(&memory, layout, &symbols, &spans, &err), "%s", err.message);
}

Test(heap_spans, come_by_address_without_the_dead_ones)
{
    read_spans();
    cr_assert_eq(spans.count, 3);
    cr_assert_eq(spans.spans[0].start, ARENA + 8 * GO_PAGE_BYTES);
    cr_assert_eq(spans.spans[0].kind, HEAP_SPAN_MANUAL);
    cr_assert_eq(spans.spans[1].kind, HEAP_SPAN_LARGE);
    cr_assert_eq(spans.spans[1].pages, 3);
    cr_assert_eq(spans.spans[2].kind, HEAP_SPAN_SMALL);
}

Test(heap_spans, free_places_are_counted_by_size_of_object)
{
    cr_assert_eq(go_size_class_bytes[32], 1024);
    read_spans();
    cr_assert_eq(spans.classes[32].spans, 1);
    cr_assert_eq(spans.classes[32].objects, 3);
    cr_assert_eq(spans.classes[32].wasted_bytes, 5 * 1024);
    cr_assert_eq(spans.classes[0].span_bytes, 3 * GO_PAGE_BYTES);
    cr_assert_eq(spans.classes[0].wasted_bytes, 0); /* a large object has a span of its size */
}

Test(heap_spans, many_come_sorted_however_they_lie)
{
    for (size_t i = 0; i < SPANS; i++) {
        const uint64_t place = i * 7919 % SPANS;
        set_span(i, ARENA + place * 2 * GO_PAGE_BYTES, 1, 1, 10, 1);
    }
    set_count(SPANS);
    read_spans();
    cr_assert_eq(spans.count, SPANS);
    for (size_t i = 0; i < SPANS; i++)
        cr_assert_eq(spans.spans[i].start, ARENA + i * 2 * GO_PAGE_BYTES);
}

Test(heap_spans, a_span_that_reaches_into_the_next_is_cut)
{
    set_span(0, ARENA, 100, 1, 10, 1);
    read_spans();
    cr_assert_eq(spans.spans[0].pages, 8);
}

Test(heap_spans, too_many_are_refused)
{
    set_count((uint64_t)HEAP_SPANS_MAX + 1);
    cr_assert_not(heap_spans_read(&memory, layout, &symbols, &spans, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
}

Test(heap_spans, nonsense_is_refused)
{
    for (size_t i = 0; i < 100; i++)
        set_span(i, ARENA + i * GO_PAGE_BYTES + 1, 1, 1, 10, 1); /* not at a page */
    set_count(100);
    cr_assert_not(heap_spans_read(&memory, layout, &symbols, &spans, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    cr_assert_null(spans.spans);
}

Test(heap_spans, pointers_to_nothing_are_refused)
{
    runtime->pointers[2] = 0x1000;
    cr_assert_not(heap_spans_read(&memory, layout, &symbols, &spans, &err));
    cr_assert_neq(err.message[0], '\0');
}

/* ---- which of their pages are resident ---- */

static struct proc_tree tree;

/* Lets the 4 KiB page at [address] be resident, in a file with holes as large as pagemap. */
static void set_present(int fd, uint64_t address)
{
    const uint64_t word = UINT64_C(1) << 63;
    cr_assert_eq(pwrite(fd, &word, sizeof(word), (off_t)(address / 4096 * 8)), sizeof(word));
}

static void make_tree(void)
{
    set_up();
    proc_tree_make(&tree);
}

static void remove_tree(void)
{
    proc_tree_remove(&tree);
    tear_down();
}

TestSuite(residency, .init = make_tree, .fini = remove_tree);

static bool look(struct residency *residency)
{
    const struct residency_source source = {
        .fs = &tree.fs, .pid = PID, .memory = &memory, .layout = layout, .symbols = &symbols};
    return residency_read(&source, residency, &err);
}

Test(residency, each_resident_page_counts_for_what_lies_there)
{
    struct residency found;
    proc_tree_write(&tree, "proc/77/smaps",
                "00400000-00500000 rw-p 00000000 fe:00 18 /bin/demo\n"
                "Rss: 100 kB\nPss: 50 kB\nAnonymous: 12 kB\n"
                "00500000-00600000 rw-p 00000000 00:00 0 \n"
                "Rss: 8 kB\nPss: 8 kB\nAnonymous: 8 kB\n"
                "01000000-01100000 rw-p 00000000 00:00 0 [heap]\n"
                "Rss: 20 kB\nPss: 20 kB\nAnonymous: 20 kB\n"
                "c000000000-c004000000 rw-p 00000000 00:00 0 \n"
                "Rss: 28 kB\nPss: 28 kB\nAnonymous: 28 kB\nAnonHugePages: 4 kB\n"
                "c004000000-c008000000 rw-p 00000000 00:00 0 \n"
                "Rss: 16 kB\nPss: 16 kB\nAnonymous: 16 kB\n");
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/proc/77/pagemap", tree.root);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    cr_assert_neq(fd, -1);
    cr_assert_eq(ftruncate(fd, (off_t)((ARENA + (64 << 20)) / 4096 * 8)), 0);
    set_present(fd, ARENA);                               /* free */
    set_present(fd, ARENA + 8 * GO_PAGE_BYTES);           /* stack */
    set_present(fd, ARENA + 8 * GO_PAGE_BYTES + 4096);    /* stack */
    set_present(fd, ARENA + 16 * GO_PAGE_BYTES);          /* large object */
    set_present(fd, ARENA + 19 * GO_PAGE_BYTES - 4096);   /* its end */
    set_present(fd, ARENA + 19 * GO_PAGE_BYTES);          /* free */
    set_present(fd, ARENA + 64 * GO_PAGE_BYTES);          /* small objects */
    cr_assert(look(&found), "%s", err.message);
    close(fd);
    cr_assert_eq(found.measure.free_resident_bytes, 2 * 4096);
    cr_assert_eq(found.measure.manual_span_bytes, 4 * GO_PAGE_BYTES);
    cr_assert_eq(found.measure.manual_resident_bytes, 2 * 4096);
    cr_assert_eq(found.measure.large_span_bytes, 3 * GO_PAGE_BYTES);
    cr_assert_eq(found.measure.large_resident_bytes, 2 * 4096);
    cr_assert_eq(found.measure.small_span_bytes, 1 * GO_PAGE_BYTES);
    cr_assert_eq(found.measure.small_resident_bytes, 4096);
    cr_assert_eq(found.measure.globals_bytes, 20 * 1024); /* written pages of the file, and .bss */
    cr_assert_eq(found.measure.foreign_bytes, 20 * 1024);
    cr_assert_eq(found.measure.other_anonymous_bytes, 16 * 1024); /* no span lies there */
    cr_assert_eq(found.pss_bytes, 122 * 1024);
    cr_assert_eq(found.huge_bytes, 4 * 1024);
}

Test(residency, is_refused_where_pages_cannot_be_looked_at)
{
    struct residency found;
    proc_tree_write(&tree, "proc/77/smaps",
                "c000000000-c004000000 rw-p 00000000 00:00 0 \nRss: 28 kB\n");
    cr_assert_not(look(&found));
    cr_assert_not_null(strstr(err.message, "77"), "%s", err.message);
}
