/* arena.c - aligned, zeroed, capped. */
#include "core/base/arena.h"

#include <criterion/criterion.h>
#include <stdalign.h>
#include <stdint.h>

Test(arena, gives_aligned_zeroed_memory_that_never_moves)
{
    enum { COUNT = 500 };
    struct arena *arena = arena_new(1 << 20, 1024);
    unsigned char *blocks[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        const size_t bytes = i * 7 % 600;
        blocks[i] = arena_alloc(arena, bytes);
        cr_assert_not_null(blocks[i]);
        cr_assert_eq((uintptr_t)blocks[i] % alignof(max_align_t), 0);
        for (size_t k = 0; k < bytes; k++)
            cr_assert_eq(blocks[i][k], 0);
        memset(blocks[i], (int)(i % 255) + 1, bytes);
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < i * 7 % 600; k++)
            cr_assert_eq(blocks[i][k], i % 255 + 1, "block %zu was overwritten", i);
    }
    arena_free(arena);
}

Test(arena, refuses_what_would_pass_its_cap)
{
    struct arena *arena = arena_new(4096, 1024);
    cr_assert_null(arena_alloc(arena, 4096), "the header of the chunk counts too");
    cr_assert_null(arena_alloc(arena, SIZE_MAX));
    cr_assert_null(arena_alloc(arena, SIZE_MAX / 2 - 8));
    cr_assert_null(arena_alloc_array(arena, SIZE_MAX / 4, 8));
    size_t got = 0;
    while (arena_alloc(arena, 16) != NULL)
        got += 16;
    cr_assert_leq(arena_used_bytes(arena), 4096);
    cr_assert_geq(got, 3600, "only %zu bytes of 4096 could be used", got);
    arena_free(arena);
}

Test(arena, keeps_filling_its_chunk_after_a_large_request)
{
    struct arena *arena = arena_new(1 << 20, 4096);
    cr_assert_not_null(arena_alloc(arena, 16));
    const size_t before = arena_used_bytes(arena);
    cr_assert_not_null(arena_alloc(arena, 10000));
    const size_t with_large = arena_used_bytes(arena);
    cr_assert_geq(with_large, before + 10000);
    cr_assert_not_null(arena_alloc(arena, 16));
    cr_assert_eq(arena_used_bytes(arena), with_large);
    arena_free(arena);
}

Test(arena, copies_strings_with_their_end)
{
    struct arena *arena = arena_new(1 << 16, 256);
    const char *copy = arena_copy_string(arena, "heap_growth", 4);
    cr_assert_str_eq(copy, "heap");
    cr_assert_str_eq(arena_copy_string(arena, "", 0), "");
    cr_assert_null(arena_copy_string(arena, "x", SIZE_MAX));
    arena_free(arena);
    arena_free(NULL);
}
