/* bucket_list.c - walks the runtime's list of heap profile buckets.
 *
 * Called by buckets.c.  Buckets lie close together (persistentalloc hands out 256 KiB chunks), so the
 * walk reads windows instead of single headers.  A bucket reachable from a head was complete
 * before that head was published, hence a window read after the head is valid for all of them; windows
 * are forgotten when the walk ends. */
#include "core/goproc/bucket_list.h"

#include <stdlib.h>
#include <string.h>

#include "core/goproc/call_stacks.h"
#include "core/goproc/memory.h"

enum {
    HEADER_BYTES = 48, /* next, allnext, typ, hash, size, nstk */
    HEADER_ALLNEXT = 8,
    HEADER_TYPE = 16,
    HEADER_OBJECT_BYTES = 32,
    HEADER_NSTK = 40,
    TYPE_MEMORY = 1,
    WINDOW_BYTES = 16 << 10,
    WINDOW_TAIL_BYTES = 1 << 10, /* into the next one: a bucket that begins in one is mostly in it */
    WINDOWS = 16,
    RANGE_GAP_BYTES = 1 << 10,
    RANGE_MAX_BYTES = BUCKET_BATCH_BYTES,
    BATCH_RANGES = 1024,
    MANY = 64 << 10, /* elements of an array: larger ones grow by less */
};
#define OBJECT_BYTES_MAX (UINT64_C(1) << 48)

struct bucket {
    uint64_t record_address;
    uint64_t object_bytes;
    const struct site *site;
};

struct range {
    uint64_t address;
    uint32_t bytes;
    uint32_t buffer_offset;
};

struct batch {
    size_t first_range;
    size_t range_count;
    size_t first_place;
    size_t place_count;
};

struct window {
    uint64_t base;
    uint64_t used; /* when: the one that was not for longest makes room */
    size_t valid_bytes; /* readable from the base on */
    bool loaded;
    unsigned char *bytes;
};

struct bucket_list {
    struct memory *memory;
    struct call_stacks *stacks;
    size_t record_bytes;
    struct bucket *buckets;
    size_t count;
    size_t capacity;
    size_t indexed; /* buckets that are in places[] */
    /* the walk */
    uint64_t known_head; /* everything from here on is known */
    uint64_t walk_top;
    uint64_t walk_next;
    bool walking;
    bool full;
    struct window windows[WINDOWS];
    struct window *window; /* the one used last, or NULL */
    uint64_t uses;
    /* the plan */
    struct bucket_place *places; /* by address */
    size_t place_capacity;
    struct range *ranges;
    size_t range_count;
    size_t range_capacity;
    struct batch *batches;
    size_t batch_count;
    size_t batch_capacity;
};

struct bucket_list *bucket_list_new(struct memory *memory, struct call_stacks *stacks,
                                    size_t record_bytes)
{
    struct bucket_list *list = calloc(1, sizeof(*list));
    if (list == NULL)
        return NULL;
    list->memory = memory;
    list->stacks = stacks;
    list->record_bytes = record_bytes;
    return list;
}

static void forget_windows(struct bucket_list *list)
{
    for (size_t i = 0; i < WINDOWS; i++)
        free(list->windows[i].bytes);
    memset(list->windows, 0, sizeof(list->windows));
    list->window = NULL;
}

void bucket_list_free(struct bucket_list *list)
{
    if (list == NULL)
        return;
    forget_windows(list);
    free(list->buckets);
    free(list->places);
    free(list->ranges);
    free(list->batches);
    free(list);
}

size_t bucket_list_count(const struct bucket_list *list)
{
    return list->count;
}

uint64_t bucket_list_record_address(const struct bucket_list *list, size_t index)
{
    return list->buckets[index].record_address;
}

uint64_t bucket_list_object_bytes(const struct bucket_list *list, size_t index)
{
    return list->buckets[index].object_bytes;
}

const struct site *bucket_list_site(const struct bucket_list *list, size_t index)
{
    return list->buckets[index].site;
}

size_t bucket_list_batch_count(const struct bucket_list *list)
{
    return list->batch_count;
}

/* Grows an array to hold [wanted] elements; NULL keeps the old one valid. */
static void *grown(void *array, size_t *capacity, size_t wanted, size_t element_bytes)
{
    if (wanted <= *capacity)
        return array;
    size_t larger = wanted + (wanted < MANY ? wanted : wanted / 4) + 64;
    void *moved = realloc(array, larger * element_bytes);
    if (moved != NULL)
        *capacity = larger;
    return moved;
}

/* Windows. */

/* Each P of the target takes its buckets from a chunk of its own, so several places are walked in turns. */
static struct window *choose_window(struct bucket_list *list, uint64_t base)
{
    struct window *oldest = &list->windows[0];

    for (size_t i = 0; i < WINDOWS; i++) {
        struct window *window = &list->windows[i];
        if (!window->loaded || window->base == base)
            return window;
        if (window->used < oldest->used)
            oldest = window;
    }
    return oldest;
}

static const struct window *window_at(struct bucket_list *list, uint64_t base)
{
    struct window *window = list->window;

    if (window == NULL || window->base != base)
        window = choose_window(list, base);
    list->window = window;
    window->used = ++list->uses;
    if (window->loaded && window->base == base)
        return window;
    if (window->bytes == NULL)
        window->bytes = malloc(WINDOW_BYTES + WINDOW_TAIL_BYTES);
    if (window->bytes == NULL) {
        list->window = NULL;
        return NULL;
    }
    window->base = base;
    window->valid_bytes = memory_read_some(list->memory, base, window->bytes,
                                           WINDOW_BYTES + WINDOW_TAIL_BYTES, NULL);
    window->loaded = true;
    return window;
}

static bool read_near(struct bucket_list *list, uint64_t address, void *into, size_t length,
                      struct error *err)
{
    uint64_t base = address - address % WINDOW_BYTES;
    size_t within = (size_t)(address % WINDOW_BYTES);

    if (length <= WINDOW_BYTES + WINDOW_TAIL_BYTES - within) {
        const struct window *window = window_at(list, base);
        if (window != NULL && within + length <= window->valid_bytes) {
            memcpy(into, window->bytes + within, length);
            return true;
        }
    }
    /* Across two windows, or its window begins with something unreadable. */
    return memory_read(list->memory, address, into, length, err);
}

/* The walk. */

static uint64_t word(const unsigned char *bytes, size_t offset)
{
    uint64_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

/* Reads the bucket at [address], adds it and says which comes next. */
static bool learn_bucket(struct bucket_list *list, uint64_t address, uint64_t *next,
                         struct error *err)
{
    unsigned char header[HEADER_BYTES];
    uint64_t pcs[CALL_STACK_PCS_MAX];

    if (address % 8 != 0 || address > UINT64_MAX - 2 * WINDOW_BYTES)
        return error_set(err, ERROR_CORRUPT, "0x%llx is not the address of a bucket",
                         (unsigned long long)address);
    if (!read_near(list, address, header, sizeof(header), err))
        return false;
    uint64_t nstk = word(header, HEADER_NSTK);
    uint64_t object_bytes = word(header, HEADER_OBJECT_BYTES);
    if (word(header, HEADER_TYPE) != TYPE_MEMORY || nstk > CALL_STACK_PCS_MAX ||
        object_bytes > OBJECT_BYTES_MAX)
        return error_set(err, ERROR_CORRUPT,
                         "the bucket at 0x%llx has type %llu, %llu pcs and objects of %llu bytes",
                         (unsigned long long)address,
                         (unsigned long long)word(header, HEADER_TYPE), (unsigned long long)nstk,
                         (unsigned long long)object_bytes);
    if (!read_near(list, address + HEADER_BYTES, pcs, (size_t)nstk * 8, err))
        return false;
    void *moved = grown(list->buckets, &list->capacity, list->count + 1, sizeof(*list->buckets));
    if (moved == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for %zu buckets", list->count + 1);
    list->buckets = moved;
    const struct site *site =
        call_stacks_add(list->stacks, pcs, (size_t)nstk, object_bytes, err);
    if (site == NULL)
        return false;
    list->buckets[list->count++] = (struct bucket){
        .record_address = address + HEADER_BYTES + nstk * 8,
        .object_bytes = object_bytes,
        .site = site,
    };
    *next = word(header, HEADER_ALLNEXT);
    return true;
}

/* Brent's cycle check: remembers one address and looks for it over ever longer stretches. */
struct cycle_check {
    uint64_t remembered;
    size_t steps;
    size_t stretch;
};

static bool is_cycle(struct cycle_check *check, uint64_t address)
{
    if (address == check->remembered)
        return true;
    if (check->steps++ == check->stretch) {
        check->remembered = address;
        check->steps = 0;
        check->stretch *= 2;
    }
    return false;
}

static enum bucket_walk walk(struct bucket_list *list, size_t max_new, size_t max_total,
                             struct error *err)
{
    struct cycle_check check = {.stretch = 1};
    size_t first = list->count;

    while (list->walk_next != 0 && list->walk_next != list->known_head) {
        struct error cause = {0};
        if (is_cycle(&check, list->walk_next)) {
            error_set(err, ERROR_CORRUPT, "the list of buckets is circular at 0x%llx",
                      (unsigned long long)list->walk_next);
            return BUCKET_WALK_FAILED;
        }
        if (list->count >= max_total)
            return BUCKET_WALK_FULL;
        if (list->count - first >= max_new)
            return BUCKET_WALK_PAUSED;
        if (!learn_bucket(list, list->walk_next, &list->walk_next, &cause)) {
            if (cause.code == ERROR_LIMIT)
                return BUCKET_WALK_FULL;
            error_set(err, cause.code, "heap profile: %s", cause.message);
            return BUCKET_WALK_FAILED;
        }
    }
    list->known_head = list->walk_top;
    list->walking = false;
    return BUCKET_WALK_DONE;
}

/* The plan. */

static bool lies_before(const struct bucket *buckets, const struct bucket_place *a,
                        const struct bucket_place *b)
{
    return buckets[a->index].record_address < buckets[b->index].record_address;
}

/* The end of the run that begins at [from]. */
static size_t run_end(const struct bucket_place *places, size_t from, size_t count,
                      const struct bucket *buckets)
{
    size_t to = from < count ? from + 1 : count;
    while (to < count && !lies_before(buckets, &places[to], &places[to - 1]))
        to++;
    return to;
}

/* Merges neighbouring runs until there is one.  The list begins with the newest bucket and each P of the target
 * fills its chunk upwards: from the list's end on there are few runs, of which a sort that does not know them
 * makes nothing.  [other] is as long as [places]; returns which of the two holds the result. */
static struct bucket_place *sort_places(struct bucket_place *places, struct bucket_place *other,
                                        size_t count, const struct bucket *buckets)
{
    while (run_end(places, 0, count, buckets) < count) {
        for (size_t from = 0; from < count;) {
            const size_t middle = run_end(places, from, count, buckets);
            const size_t end = run_end(places, middle, count, buckets);
            for (size_t to = from, left = from, right = middle; to < end; to++) {
                const bool take_left =
                    right == end ||
                    (left < middle && !lies_before(buckets, &places[right], &places[left]));
                other[to] = take_left ? places[left++] : places[right++];
            }
            from = end;
        }
        struct bucket_place *const merged = other;
        other = places;
        places = merged;
    }
    return places;
}

/* Puts the new buckets among the old ones, by address. */
static bool merge_places(struct bucket_list *list, struct error *err)
{
    size_t fresh_count = list->count - list->indexed;
    void *moved =
        grown(list->places, &list->place_capacity, list->count, sizeof(*list->places));
    struct bucket_place *room = malloc(2 * fresh_count * sizeof(*room));
    if (moved != NULL)
        list->places = moved;
    if (moved == NULL || room == NULL) {
        free(room);
        return error_set(err, ERROR_NO_MEMORY, "heap profile: no memory for %zu buckets",
                         list->count);
    }
    for (size_t i = 0; i < fresh_count; i++) {
        const size_t index = list->count - 1 - i;
        room[i] = (struct bucket_place){.index = (uint32_t)index,
                                        .object_bytes = list->buckets[index].object_bytes};
    }
    const struct bucket_place *fresh =
        sort_places(room, room + fresh_count, fresh_count, list->buckets);
    /* Merge from the end, so that nothing is overwritten before it was moved. */
    size_t old = list->indexed, to = list->count;
    while (fresh_count > 0) {
        if (old > 0 &&
            lies_before(list->buckets, &fresh[fresh_count - 1], &list->places[old - 1]))
            list->places[--to] = list->places[--old];
        else
            list->places[--to] = fresh[--fresh_count];
    }
    free(room);
    list->indexed = list->count;
    return true;
}

static bool add_range(struct bucket_list *list, uint64_t address, struct error *err)
{
    void *moved =
        grown(list->ranges, &list->range_capacity, list->range_count + 1, sizeof(*list->ranges));
    if (moved == NULL)
        return error_set(err, ERROR_NO_MEMORY, "heap profile: no memory for ranges");
    list->ranges = moved;
    list->ranges[list->range_count++] = (struct range){.address = address};
    return true;
}

static bool add_batch(struct bucket_list *list, size_t first_place, struct error *err)
{
    void *moved = grown(list->batches, &list->batch_capacity, list->batch_count + 1,
                        sizeof(*list->batches));
    if (moved == NULL)
        return error_set(err, ERROR_NO_MEMORY, "heap profile: no memory for batches");
    list->batches = moved;
    list->batches[list->batch_count++] =
        (struct batch){.first_range = list->range_count, .first_place = first_place};
    return true;
}

static bool plan_reads(struct bucket_list *list, struct error *err)
{
    size_t buffer_used = BUCKET_BATCH_BYTES; /* "full": the first range begins a batch */
    uint64_t previous_end = 0;

    list->range_count = list->batch_count = 0;
    for (size_t i = 0; i < list->count; i++) {
        uint64_t address = list->buckets[list->places[i].index].record_address;
        struct range *range = list->range_count > 0 ? &list->ranges[list->range_count - 1] : NULL;
        if (address < previous_end)
            return error_set(err, ERROR_CORRUPT,
                             "heap profile: two buckets share the record at 0x%llx",
                             (unsigned long long)address);
        uint64_t grown_bytes =
            range == NULL ? 0 : address + list->record_bytes - range->address;
        if (range == NULL || address - previous_end > RANGE_GAP_BYTES ||
            grown_bytes > RANGE_MAX_BYTES ||
            range->buffer_offset + grown_bytes > BUCKET_BATCH_BYTES) {
            struct batch *batch =
                list->batch_count > 0 ? &list->batches[list->batch_count - 1] : NULL;
            if ((batch == NULL || batch->range_count == BATCH_RANGES ||
                 buffer_used + list->record_bytes > BUCKET_BATCH_BYTES)) {
                if (!add_batch(list, i, err))
                    return false;
                buffer_used = 0;
            }
            if (!add_range(list, address, err))
                return false;
            list->batches[list->batch_count - 1].range_count++;
            range = &list->ranges[list->range_count - 1];
            range->buffer_offset = (uint32_t)buffer_used;
        }
        range->bytes = (uint32_t)(address + list->record_bytes - range->address);
        list->places[i].offset = range->buffer_offset + (uint32_t)(address - range->address);
        buffer_used = range->buffer_offset + range->bytes;
        list->batches[list->batch_count - 1].place_count++;
        previous_end = address + list->record_bytes;
    }
    return true;
}

enum bucket_walk bucket_list_extend(struct bucket_list *list, uint64_t head, size_t max_new,
                                    size_t max_total, struct error *err)
{
    enum bucket_walk outcome = BUCKET_WALK_DONE;
    size_t before = list->count;

    if (list->full)
        return BUCKET_WALK_FULL;
    while (outcome == BUCKET_WALK_DONE && (list->walking || head != list->known_head)) {
        if (!list->walking) {
            list->walk_top = list->walk_next = head;
            list->walking = true;
        }
        outcome = walk(list, max_new - (list->count - before), max_total, err);
    }
    forget_windows(list);
    list->full = outcome == BUCKET_WALK_FULL;
    if (outcome != BUCKET_WALK_FAILED && list->indexed < list->count &&
        (!merge_places(list, err) || !plan_reads(list, err)))
        return BUCKET_WALK_FAILED;
    return outcome;
}

bool bucket_list_read_batch(struct bucket_list *list, size_t index, unsigned char *buffer,
                            const struct bucket_place **places, size_t *count, struct error *err)
{
    const struct batch *batch = &list->batches[index];
    struct memory_part parts[BATCH_RANGES];

    for (size_t i = 0; i < batch->range_count; i++) {
        const struct range *range = &list->ranges[batch->first_range + i];
        parts[i] =
            (struct memory_part){range->address, buffer + range->buffer_offset, range->bytes};
    }
    *places = list->places + batch->first_place;
    *count = batch->place_count;
    return memory_read_parts(list->memory, parts, batch->range_count, err);
}
