/* heap_classes.c - the size classes of a heap, worst first. */
#include "core/store/heap_classes.h"

#include <criterion/criterion.h>

Test(heap_classes, come_sorted_by_waste_without_those_that_have_no_span)
{
    const struct heap_class classes[] = {
        {.object_bytes = 16, .spans = 1, .wasted_bytes = 10},
        {.object_bytes = 32, .spans = 0, .wasted_bytes = 99},
        {.object_bytes = 64, .spans = 2, .wasted_bytes = 30},
        {.object_bytes = 48, .spans = 2, .wasted_bytes = 30},
    };
    const struct heap_classes *made = heap_classes_new(classes, 4, 5);
    cr_assert_not_null(made);
    cr_assert_eq(made->count, 3);
    cr_assert_eq(made->classes[0].object_bytes, 48);
    cr_assert_eq(made->classes[1].object_bytes, 64);
    cr_assert_eq(made->classes[2].object_bytes, 16);
    cr_assert_eq(heap_classes_ref(made), made);
    heap_classes_unref(made);
    heap_classes_unref(made);
}
