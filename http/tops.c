/* tops.c - the largest groups of allocation sites, of one target or across all. */
#include "http/handlers.h"

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "http/cache.h"
#include "http/loop.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/view_json.h"

/* One group with the target it belongs to; points into tops that [tops] of the same row hold. */
struct row {
    const struct target_view *view;
    const struct top_entry *entry;
    double window_s; /* what it covers; 0: all there ever was */
};

struct rows {
    struct row *items;
    size_t count;
    const struct tops **held; /* one per target */
    size_t held_count;
};

static const struct tops *tops_of(struct request *request, const struct target_view *view)
{
    /* What the snapshot keeps is enough for the common question, and there even without a profile.
     */
    if (request->query.by == GROUP_TYPE_TAG && view->snapshot != NULL &&
        view->snapshot->tops != NULL && request->query.limit <= SNAPSHOT_TOP_MAX)
        return view->snapshot->tops;
    if (view->profile == NULL)
        return NULL;
    return cache_tops(request->loop->cache, view->profile, request->query.by,
                      loop_now_ms(request->loop));
}

/* What changed within the window: since the newest profile from before it, or the oldest that is kept.  One hold;
 * NULL: there is nothing to compare. */
static const struct tops *tops_of_window(struct request *request, const struct target_view *view,
                                         double *window_s)
{
    const struct profile *now = view->profile;
    const uint64_t now_ns = clock_realtime_ns();
    const uint64_t window_ns = request->query.window_ns;
    struct error err;
    if (now == NULL)
        return NULL;
    const uint64_t wanted_ns = now_ns > window_ns ? now_ns - window_ns : 0;
    const bool is_younger = now->start_realtime_ns != 0 && now->start_realtime_ns >= wanted_ns;
    const struct profile *before =
        is_younger ? NULL
                   : board_profile_before(request->wiring->board, view->info->facts.id, wanted_ns, &err);
    const bool same = before != NULL && before->sites == now->sites;
    uint64_t since_ns = now->start_realtime_ns;
    if (same)
        since_ns = before->taken_realtime_ns;
    const struct tops *tops = NULL;
    if (since_ns != 0 && since_ns <= now->taken_realtime_ns) {
        *window_s = (double)(now->taken_realtime_ns - since_ns) / (double)CLOCK_NS_PER_S;
        tops = tops_since(now, same ? before : NULL, request->query.by, request->query.limit);
    }
    profile_unref(before);
    return tops;
}

static int by_allocation(const void *a, const void *b)
{
    const int64_t left = ((const struct row *)a)->entry->alloc_bytes;
    const int64_t right = ((const struct row *)b)->entry->alloc_bytes;
    return (left < right) - (left > right);
}

static int by_retention(const void *a, const void *b)
{
    const int64_t left = ((const struct row *)a)->entry->inuse_bytes;
    const int64_t right = ((const struct row *)b)->entry->inuse_bytes;
    return (left < right) - (left > right);
}

/* Appends the first [limit] entries of [view]; false without memory. */
static bool collect(struct rows *rows, struct request *request, const struct target_view *view,
                    bool retentions)
{
    double window_s = 0;
    const struct tops *tops = NULL;
    if (request->query.window_ns > 0) {
        tops = tops_of_window(request, view, &window_s);
    } else {
        tops = tops_of(request, view);
        if (tops != NULL)
            (void)tops_ref(tops); /* the cache may drop its own hold */
    }
    if (tops == NULL)
        return true;
    rows->held[rows->held_count++] = tops;
    const struct top_entry *entries = retentions ? tops->retentions : tops->allocations;
    size_t count = retentions ? tops->retention_count : tops->allocation_count;
    if (count > request->query.limit)
        count = request->query.limit;
    if (count == 0)
        return true;
    struct row *grown = realloc(rows->items, (rows->count + count) * sizeof(*grown));
    if (grown == NULL)
        return false;
    rows->items = grown;
    for (size_t i = 0; i < count; i++)
        rows->items[rows->count++] =
            (struct row){.view = view, .entry = &entries[i], .window_s = window_s};
    return true;
}

static void rows_release(struct rows *rows)
{
    for (size_t i = 0; i < rows->held_count; i++)
        tops_unref(rows->held[i]);
    free(rows->held);
    free(rows->items);
}

static void reply_rows(struct request *request, const struct rows *rows, bool retentions)
{
    const size_t count = rows->count < request->query.limit ? rows->count : request->query.limit;
    struct buffer out;
    struct json json;
    buffer_init(&out, REPLY_MAX_BYTES);
    json_init(&json, &out);
    json_begin_array(&json);
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows->items[i];
        const char *target = row->view->info->facts.id;
        if (retentions)
            view_json_top_retention(&json, target, row->entry, row->view->snapshot, row->window_s);
        else
            view_json_top_allocation(&json, target, row->entry, row->window_s);
    }
    json_end_array(&json);
    reply_buffer(request->req, 200, CONTENT_TYPE_JSON, &out);
}

static void reply_top(struct request *request, bool retentions)
{
    const struct target_view *only = NULL;
    if (!request_target_or_all(request, &only))
        return;
    const struct board_page *page = request_page(request);
    struct rows rows = {.held = calloc(page->target_count + 1, sizeof(*rows.held))};
    bool ok = rows.held != NULL;
    for (size_t i = 0; i < page->target_count && ok; i++) {
        if (only == NULL || only == &page->targets[i])
            ok = collect(&rows, request, &page->targets[i], retentions);
    }
    if (ok && rows.count > 0)
        qsort(rows.items, rows.count, sizeof(*rows.items),
              retentions ? by_retention : by_allocation);
    if (ok)
        reply_rows(request, &rows, retentions);
    else
        reply_error(request->req, 500, "out of memory");
    rows_release(&rows);
}

void handle_top_allocations(struct request *request)
{
    reply_top(request, false);
}

void handle_top_retentions(struct request *request)
{
    reply_top(request, true);
}
