/* ring.c - against a plain array that does the same. */
#include "core/store/ring.h"

#include <criterion/criterion.h>

#include "tests/unit/store/samples.h"

enum { MODEL_MAX = 1000 };

/* The newest `count` of what was pushed, oldest first. */
struct model {
    const struct snapshot *items[MODEL_MAX + 1];
    size_t count;
    size_t capacity;
};

static const struct snapshot *model_push(struct model *model, const struct snapshot *snapshot)
{
    model->items[model->count++] = snapshot;
    if (model->count <= model->capacity)
        return NULL;
    const struct snapshot *oldest = model->items[0];
    model->count--;
    memmove(&model->items[0], &model->items[1], model->count * sizeof(model->items[0]));
    return oldest;
}

static size_t model_find_time(const struct model *model, uint64_t realtime_ns)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->items[i]->realtime_ns >= realtime_ns)
            return i;
    }
    return model->count;
}

static void compare(const struct ring *ring, const struct model *model)
{
    cr_assert_eq(ring_count(ring), model->count);
    cr_assert_eq(ring_newest(ring), model->count == 0 ? NULL : model->items[model->count - 1]);
    for (size_t i = 0; i < model->count; i++)
        cr_assert_eq(ring_at(ring, i), model->items[i]);
    cr_assert_null(ring_at(ring, model->count));
    cr_assert_null(ring_at(ring, SIZE_MAX));
}

static void drive(size_t capacity, uint64_t seed, size_t steps)
{
    struct ring *ring = ring_new(capacity);
    struct model model = {.capacity = capacity};
    uint64_t random = seed;
    for (size_t step = 1; step <= steps; step++) {
        /* Mostly forward; now and then the clock is set back. */
        const uint64_t second = sample_random(&random) % 20 == 0 ? step / 2 : step;
        const struct snapshot *snapshot = sample_snapshot(second);
        cr_assert(ring_make_room(ring));
        if (sample_random(&random) % 3 == 0)
            cr_assert(ring_make_room(ring)); /* twice is no more than once */
        const struct snapshot *pushed_out = ring_push(ring, snapshot);
        cr_assert_eq(pushed_out, model_push(&model, snapshot));
        snapshot_unref(pushed_out);
        if (step % 7 == 0 || step < 40)
            compare(ring, &model);
        const uint64_t newest_ns = snapshot->realtime_ns;
        const uint64_t time_ns = newest_ns + 5000000000 - sample_random(&random) % 50 * 500000000;
        cr_assert_eq(ring_find_time(ring, time_ns), model_find_time(&model, time_ns));
    }
    compare(ring, &model);
    ring_free(ring);
}

Test(ring, does_what_a_plain_array_does)
{
    static const size_t capacities[] = {1, 2, 3, 15, 16, 17, 31, 33, 64, 100, MODEL_MAX};
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++)
        drive(capacities[i], 7 + i, capacities[i] * 2 + 50);
}

Test(ring, shows_no_change_to_readers_before_the_push)
{
    struct ring *ring = ring_new(100);
    for (uint64_t i = 1; i <= 16; i++) {
        cr_assert(ring_make_room(ring));
        cr_assert_null(ring_push(ring, sample_snapshot(i)));
    }
    const struct snapshot *oldest = ring_at(ring, 0);
    cr_assert(ring_make_room(ring)); /* prepares larger slots */
    cr_assert_eq(ring_count(ring), 16);
    cr_assert_eq(ring_at(ring, 0), oldest);
    ring_free(ring);
}

Test(ring, lets_the_oldest_go_early_if_room_was_never_made)
{
    struct ring *ring = ring_new(100);
    const struct snapshot *first = sample_snapshot(1);
    cr_assert_eq(ring_push(ring, first), first); /* no slot at all yet */
    cr_assert_eq(ring_count(ring), 0);
    cr_assert(ring_make_room(ring));
    cr_assert_null(ring_push(ring, first));
    size_t kept = 1;
    for (uint64_t i = 2;; i++) {
        const struct snapshot *pushed_out = ring_push(ring, sample_snapshot(i));
        if (pushed_out != NULL) {
            cr_assert_eq(pushed_out, first);
            snapshot_unref(pushed_out);
            break;
        }
        kept++;
    }
    cr_assert_eq(ring_count(ring), kept);
    cr_assert_lt(kept, 100);
    cr_assert(ring_make_room(ring)); /* and grows again, in order, from a wrapped state */
    cr_assert_null(ring_push(ring, sample_snapshot(kept + 2)));
    for (size_t i = 0; i <= kept; i++)
        cr_assert_eq(ring_at(ring, i)->sequence, i + 2);
    ring_free(ring);
}

Test(ring, of_no_capacity_still_keeps_the_newest)
{
    struct ring *ring = ring_new(0);
    cr_assert_eq(ring_capacity(ring), 1);
    cr_assert(ring_make_room(ring));
    cr_assert_null(ring_push(ring, sample_snapshot(1)));
    snapshot_unref(ring_push(ring, sample_snapshot(2)));
    cr_assert_eq(ring_newest(ring)->sequence, 2);
    ring_free(ring);
}

Test(ring, that_is_empty_has_no_newest_and_finds_nothing)
{
    struct ring *ring = ring_new(10);
    cr_assert_null(ring_newest(ring));
    cr_assert_null(ring_at(ring, 0));
    cr_assert_eq(ring_find_time(ring, 0), 0);
    ring_free(ring);
    ring_free(NULL);
}
