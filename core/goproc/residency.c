/* residency.c - adds up the resident pages of a Go process by what is in them. */
#include "core/goproc/residency.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/goproc/heap_spans.h"
#include "core/goproc/procfs.h"
#include "core/goproc/procfs_file.h"
#include "core/goproc/smaps.h"

/* heapArenaBytes of 64-bit Linux, src/runtime/malloc.go: the heap grows in pieces of it, aligned to it. */
#define ARENA_BYTES (UINT64_C(64) << 20)
/* Documentation/admin-guide/mm/pagemap.rst: eight bytes for each page. */
#define PAGE_IS_PRESENT (UINT64_C(1) << 63)

enum { PAGEMAP_WORDS = 8192 };

struct pagemap {
    int fd;
    uint64_t page_bytes;
    uint64_t words[PAGEMAP_WORDS];
};

static bool open_pagemap(const struct residency_source *source, struct pagemap *pagemap,
                         struct error *err)
{
    char relative[48];
    char path[PROCFS_PATH_MAX_BYTES];
    (void)snprintf(relative, sizeof(relative), "proc/%d/pagemap", (int)source->pid);
    if (!procfs_path(source->fs, path, relative))
        return error_set(err, ERROR_LIMIT, "the path of /proc/%d/pagemap is too long",
                         (int)source->pid);
    pagemap->fd = open(path, O_RDONLY | O_CLOEXEC);
    /* Its owner may read it, and nobody else: CAP_SYS_PTRACE alone does not open it. */
    if (pagemap->fd == -1 && errno == EACCES)
        return error_set(err, ERROR_DENIED,
                         "/proc/%d/pagemap may not be opened: run goprofd as the same user, or "
                         "with CAP_DAC_READ_SEARCH beside CAP_SYS_PTRACE",
                         (int)source->pid);
    if (pagemap->fd == -1)
        return procfs_pid_error(source->fs, source->pid, "pagemap", errno, err);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    pagemap->page_bytes = page_bytes > 0 ? (uint64_t)page_bytes : 4096;
    return true;
}

/* ---- the heap ---- */

/* Where a walk over ascending pages is in the ascending spans. */
struct span_cursor {
    const struct heap_spans *spans;
    size_t at;
};

static uint64_t span_end(const struct heap_span *span)
{
    return span->start + (uint64_t)span->pages * GO_PAGE_BYTES;
}

/* Where the bytes of the resident page at [address] are counted. */
static uint64_t *counter_for(struct span_cursor *cursor, uint64_t address,
                             struct rss_measure *measure)
{
    const struct heap_spans *spans = cursor->spans;
    while (cursor->at < spans->count && span_end(&spans->spans[cursor->at]) <= address)
        cursor->at++;
    if (cursor->at == spans->count || spans->spans[cursor->at].start > address)
        return &measure->free_resident_bytes;
    switch (spans->spans[cursor->at].kind) {
    case HEAP_SPAN_SMALL:
        return &measure->small_resident_bytes;
    case HEAP_SPAN_LARGE:
        return &measure->large_resident_bytes;
    default:
        return &measure->manual_resident_bytes;
    }
}

/* A page larger than Go's counts for what lies at its start. */
static bool count_pages(struct pagemap *pagemap, const struct smaps_area *area,
                        struct span_cursor *cursor, struct rss_measure *measure, struct error *err)
{
    uint64_t address = area->start;
    while (address < area->end) {
        size_t wanted = (size_t)((area->end - address) / pagemap->page_bytes);
        if (wanted > PAGEMAP_WORDS)
            wanted = PAGEMAP_WORDS;
        if (wanted == 0)
            return true;
        const ssize_t got = pread(pagemap->fd, pagemap->words, wanted * sizeof(uint64_t),
                                  (off_t)(address / pagemap->page_bytes * sizeof(uint64_t)));
        if (got == -1 && errno == EINTR)
            continue;
        if (got < (ssize_t)sizeof(uint64_t))
            return error_set(err, got == 0 ? ERROR_GONE : ERROR_SYSTEM, "read pagemap: %s",
                             got == 0 ? "the process has no memory any more"
                                      : error_errno_text(errno));
        const size_t count = (size_t)got / sizeof(uint64_t);
        for (size_t i = 0; i < count; i++, address += pagemap->page_bytes)
            if (pagemap->words[i] & PAGE_IS_PRESENT)
                *counter_for(cursor, address, measure) += pagemap->page_bytes;
    }
    return true;
}

/* Whether [area] lies in an arena that has a span.  [*at] moves along with ascending areas. */
static bool is_arena(const struct smaps_area *area, const struct heap_spans *spans, size_t *at)
{
    if (area->kind == SMAPS_GO_HEAP)
        return true;
    if (area->kind != SMAPS_ANONYMOUS && area->kind != SMAPS_NAMED)
        return false;
    const uint64_t from = area->start / ARENA_BYTES * ARENA_BYTES;
    while (*at < spans->count && span_end(&spans->spans[*at]) <= from)
        ++*at;
    if (*at == spans->count)
        return false;
    return spans->spans[*at].start / ARENA_BYTES * ARENA_BYTES < area->end;
}

static void count_spans(const struct heap_spans *spans, struct rss_measure *measure)
{
    for (size_t i = 0; i < spans->count; i++) {
        const uint64_t bytes = (uint64_t)spans->spans[i].pages * GO_PAGE_BYTES;
        switch (spans->spans[i].kind) {
        case HEAP_SPAN_SMALL:
            measure->small_span_bytes += bytes;
            break;
        case HEAP_SPAN_LARGE:
            measure->large_span_bytes += bytes;
            break;
        default:
            measure->manual_span_bytes += bytes;
            break;
        }
    }
}

/* ---- the rest ---- */

/* Global variables: pages of a file that were written to, and the zeroed ones (.bss) right behind. */
static bool is_globals(const struct smaps_area *area, const struct smaps_area *before)
{
    return area->kind == SMAPS_FILE ||
           (area->kind == SMAPS_ANONYMOUS && before != NULL && before->kind == SMAPS_FILE &&
            before->writable && before->end == area->start);
}

static void count_area(const struct smaps_area *area, const struct smaps_area *before,
                       struct rss_measure *measure)
{
    if (is_globals(area, before)) {
        measure->globals_bytes += area->anonymous_bytes;
        return;
    }
    switch (area->kind) {
    case SMAPS_GO_RUNTIME:
        measure->named_runtime_bytes += area->anonymous_bytes;
        return;
    case SMAPS_ANONYMOUS:
        measure->other_anonymous_bytes += area->anonymous_bytes;
        return;
    default:
        measure->foreign_bytes += area->anonymous_bytes;
        return;
    }
}

static bool add_up(const struct smaps *smaps, const struct heap_spans *spans,
                   struct pagemap *pagemap, struct residency *residency, struct error *err)
{
    struct rss_measure *measure = &residency->measure;
    struct span_cursor cursor = {.spans = spans};
    size_t arena_at = 0;
    measure->runtime_is_named = smaps->has_go_names;
    count_spans(spans, measure);
    for (size_t i = 0; i < smaps->count; i++) {
        const struct smaps_area *area = &smaps->areas[i];
        residency->pss_bytes += area->pss_bytes;
        residency->huge_bytes += area->huge_bytes;
        if (area->rss_bytes == 0)
            continue;
        if (!is_arena(area, spans, &arena_at))
            count_area(area, i > 0 ? area - 1 : NULL, measure);
        else if (!count_pages(pagemap, area, &cursor, measure, err))
            return false;
    }
    return true;
}

bool residency_read(const struct residency_source *source, struct residency *residency,
                    struct error *err)
{
    struct heap_spans spans = {0};
    struct smaps smaps = {0};
    *residency = (struct residency){0};
    struct pagemap *pagemap = malloc(sizeof(*pagemap));
    if (pagemap == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to look at pages");
    pagemap->fd = -1;
    const bool ok =
        heap_spans_read(source->memory, source->layout, source->symbols, &spans, err) &&
        smaps_read(source->fs, source->pid, &smaps, err) && open_pagemap(source, pagemap, err) &&
        add_up(&smaps, &spans, pagemap, residency, err);
    if (ok)
        memcpy(residency->classes, spans.classes, sizeof(spans.classes));
    if (pagemap->fd != -1)
        (void)close(pagemap->fd);
    free(pagemap);
    smaps_release(&smaps);
    heap_spans_release(&spans);
    return ok;
}
