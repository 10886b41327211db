/* view_diff.c - a profile, or the difference of two, as a flame graph and as a table. */
#include "http/view_diff.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/store/profile.h"

#define ARENA_MAX_BYTES ((size_t)256 << 20)

enum { CHUNK_BYTES = 64 << 10 };

static bool no_memory(struct error *err)
{
    return error_set(err, ERROR_NO_MEMORY, "no memory, or the profile is too large to be shown so");
}

/* ---- the flame graph ---- */

struct node {
    const char *name;
    int64_t value;
    int64_t delta;
    struct node *child; /* the first */
    struct node *next;  /* beside it */
};

static struct node *child_of(struct arena *arena, struct node *parent, const char *name)
{
    for (struct node *node = parent->child; node != NULL; node = node->next) {
        if (node->name == name || strcmp(node->name, name) == 0)
            return node;
    }
    struct node *node = arena_alloc(arena, sizeof(*node));
    if (node == NULL)
        return NULL;
    *node = (struct node){.name = name, .next = parent->child};
    parent->child = node;
    return node;
}

/* Adds the stack of [site], outermost frame first. */
static bool add_stack(struct arena *arena, struct node *root, const struct site *site,
                      int64_t value, int64_t delta)
{
    struct node *node = root;
    root->value += value;
    root->delta += delta;
    for (uint32_t i = site->frame_count; i > 0 && node != NULL; i--) {
        node = child_of(arena, node, site->frames[i - 1]->function);
        if (node != NULL) {
            node->value += value;
            node->delta += delta;
        }
    }
    return node != NULL;
}

static void append_json_name(struct buffer *out, const char *name)
{
    json_append_quoted(out, name, strlen(name));
}

/* Without recursion: stacks are as deep as the target likes.  [path] has room for the deepest. */
static void write_nodes(struct buffer *out, const struct node *root, const struct node **path)
{
    size_t depth = 0;
    const struct node *node = root;
    for (;;) {
        buffer_append_string(out, "{\"name\":");
        append_json_name(out, node->name);
        buffer_append_string(out, ",\"value\":");
        buffer_append_i64(out, node->value);
        buffer_append_string(out, ",\"delta\":");
        buffer_append_i64(out, node->delta);
        buffer_append_string(out, ",\"children\":[");
        if (node->child != NULL) {
            path[depth++] = node;
            node = node->child;
            continue;
        }
        for (;;) {
            buffer_append_string(out, "]}");
            if (depth == 0)
                return;
            if (node->next != NULL) {
                buffer_append_byte(out, ',');
                node = node->next;
                break;
            }
            node = path[--depth];
        }
    }
}

static uint32_t deepest(const struct profile *profile)
{
    uint32_t depth = 0;
    for (size_t i = 0; i < profile->entry_count; i++) {
        if (profile->entries[i].site->frame_count > depth)
            depth = profile->entries[i].site->frame_count;
    }
    return depth;
}

bool view_diff_flamegraph(struct buffer *out, const struct profile *to, const struct profile *diff,
                          struct error *err)
{
    struct node root = {.name = "root"};
    struct arena *arena = arena_new(ARENA_MAX_BYTES, CHUNK_BYTES);
    const uint32_t depth = deepest(to) > deepest(diff) ? deepest(to) : deepest(diff);
    const struct node **path = calloc((size_t)depth + 2, sizeof(path[0]));
    bool ok = arena != NULL && path != NULL;
    for (size_t i = 0; ok && i < to->entry_count; i++) {
        if (to->entries[i].inuse_bytes != 0)
            ok = add_stack(arena, &root, to->entries[i].site, to->entries[i].inuse_bytes, 0);
    }
    for (size_t i = 0; ok && i < diff->entry_count; i++) {
        if (diff->entries[i].inuse_bytes != 0)
            ok = add_stack(arena, &root, diff->entries[i].site, 0, diff->entries[i].inuse_bytes);
    }
    if (ok)
        write_nodes(out, &root, path);
    free(path);
    arena_free(arena);
    return ok || no_memory(err);
}

/* ---- the table ---- */

struct row {
    const char *function;
    const char *file;
    uint32_t line;
    int64_t flat;
    int64_t cum;
    int64_t cum_to;
    size_t last_stack; /* that was counted in cum; from 1 */
};

struct rows {
    struct row *list;
    size_t count;
    size_t capacity;
    uint32_t *slots;
    size_t slot_count; /* a power of two; 0: none yet */
};

static size_t slot_of(const struct rows *rows, const char *function)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const char *c = function; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    size_t at = (size_t)hash & (rows->slot_count - 1);
    while (rows->slots[at] != 0 && strcmp(rows->list[rows->slots[at] - 1].function, function) != 0)
        at = (at + 1) & (rows->slot_count - 1);
    return at;
}

static bool grow(struct rows *rows)
{
    const size_t capacity = rows->capacity == 0 ? 256 : rows->capacity * 2;
    struct row *list = reallocarray(rows->list, capacity, sizeof(list[0]));
    if (list == NULL)
        return false;
    rows->list = list;
    rows->capacity = capacity;
    uint32_t *slots = calloc(capacity * 2, sizeof(slots[0]));
    if (slots == NULL)
        return false;
    free(rows->slots);
    rows->slots = slots;
    rows->slot_count = capacity * 2;
    for (size_t i = 0; i < rows->count; i++)
        rows->slots[slot_of(rows, rows->list[i].function)] = (uint32_t)i + 1;
    return true;
}

static struct row *row_of(struct rows *rows, const struct frame *frame)
{
    if (rows->count == rows->capacity && !grow(rows))
        return NULL;
    const size_t at = slot_of(rows, frame->function);
    if (rows->slots[at] == 0) {
        rows->list[rows->count] =
            (struct row){.function = frame->function, .file = frame->file, .line = frame->line};
        rows->slots[at] = (uint32_t)++rows->count;
    }
    return &rows->list[rows->slots[at] - 1];
}

/* [stack]: a number of its own for each stack, so that recursion counts once. */
static bool add_rows(struct rows *rows, const struct profile_entry *entry, bool is_diff,
                     size_t stack)
{
    const struct site *site = entry->site;
    for (uint32_t i = 0; i < site->frame_count; i++) {
        struct row *row = row_of(rows, site->frames[i]);
        if (row == NULL)
            return false;
        if (i == 0 && is_diff)
            row->flat += entry->inuse_bytes;
        if (row->last_stack == stack)
            continue;
        row->last_stack = stack;
        if (is_diff)
            row->cum += entry->inuse_bytes;
        else
            row->cum_to += entry->inuse_bytes;
    }
    return true;
}

static uint64_t size_of(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

static int largest_first(const void *a, const void *b)
{
    const struct row *left = a;
    const struct row *right = b;
    const uint64_t flat_left = size_of(left->flat);
    const uint64_t flat_right = size_of(right->flat);
    if (flat_left != flat_right)
        return flat_left < flat_right ? 1 : -1;
    if (size_of(left->cum) != size_of(right->cum))
        return size_of(left->cum) < size_of(right->cum) ? 1 : -1;
    return strcmp(left->function, right->function);
}

static void write_rows(struct buffer *out, const struct profile *from, const struct profile *to,
                       const struct profile *diff, const struct rows *rows)
{
    char begun[CLOCK_RFC3339_BYTES];
    char ended[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(from->taken_realtime_ns, begun);
    clock_format_rfc3339(to->taken_realtime_ns, ended);
    buffer_printf(out, "bytes in use, from %s to %s: %+" PRId64 " (%" PRId64 " to %" PRId64 ")\n\n",
                  begun, ended, diff->totals.inuse_bytes, from->totals.inuse_bytes,
                  to->totals.inuse_bytes);
    buffer_printf(out, "%14s %14s %14s  %s\n", "flat", "cum", "cum now", "function");
    for (size_t i = 0; i < rows->count && i < VIEW_DIFF_ROWS_MAX; i++) {
        const struct row *row = &rows->list[i];
        if (row->flat == 0 && row->cum == 0)
            continue;
        buffer_printf(out, "%+14" PRId64 " %+14" PRId64 " %14" PRId64 "  %s %s:%" PRIu32 "\n",
                      row->flat, row->cum, row->cum_to, row->function, row->file, row->line);
    }
}

bool view_diff_text(struct buffer *out, const struct profile *from, const struct profile *to,
                    const struct profile *diff, struct error *err)
{
    struct rows rows = {.count = 0};
    bool ok = true;
    size_t stack = 0;
    for (size_t i = 0; ok && i < diff->entry_count; i++)
        ok = add_rows(&rows, &diff->entries[i], true, ++stack);
    for (size_t i = 0; ok && i < to->entry_count; i++)
        ok = add_rows(&rows, &to->entries[i], false, ++stack);
    if (ok && rows.count > 0)
        qsort(rows.list, rows.count, sizeof(rows.list[0]), largest_first);
    if (ok)
        write_rows(out, from, to, diff, &rows);
    free(rows.list);
    free(rows.slots);
    return ok || no_memory(err);
}
