/* site.c - the table of sites and what is derived from a stack. */
#include "core/store/site.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/store/samples.h"

Test(site_table, gives_equal_texts_the_same_pointer_and_terminates_them)
{
    struct site_table *table = site_table_new();
    const char *first = site_table_string(table, "main.leak(rest", 9);
    const char *second = site_table_string(table, "main.leak", 9);
    cr_assert_str_eq(first, "main.leak");
    cr_assert_eq(first, second);
    cr_assert_neq(site_table_string(table, "main.lea", 8), first);
    cr_assert_str_eq(site_table_string(table, "", 0), "");
    cr_assert_eq(site_table_string(table, "", 0), site_table_string(table, "x", 0));
    site_table_unref(table);
}

Test(site_table, keeps_every_string_in_place_while_it_grows)
{
    enum { COUNT = 50000 };
    struct site_table *table = site_table_new();
    const char **kept = calloc(COUNT, sizeof(*kept));
    char text[32];
    for (int i = 0; i < COUNT; i++) {
        const int length = snprintf(text, sizeof(text), "main.f%d", i);
        kept[i] = site_table_string(table, text, (size_t)length);
        cr_assert_not_null(kept[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        const int length = snprintf(text, sizeof(text), "main.f%d", i);
        cr_assert_str_eq(kept[i], text);
        cr_assert_eq(site_table_string(table, text, (size_t)length), kept[i]);
    }
    cr_assert_gt(site_table_bytes(table), COUNT * 8);
    free(kept);
    site_table_unref(table);
}

Test(site_table, refuses_with_a_message_when_its_cap_is_reached)
{
    struct site_table *table = site_table_new();
    const size_t large = (size_t)20 << 20;
    char *text = calloc(1, large);
    memset(text, 'x', large);
    size_t kept = 0;
    for (; kept < 100; kept++) {
        text[0] = (char)('a' + kept);
        if (site_table_string(table, text, large) == NULL)
            break;
    }
    free(text);
    cr_assert_gt(kept, 5);
    cr_assert_lt(kept, 20);
    cr_assert_leq(site_table_bytes(table), SITE_TABLE_MAX_BYTES);

    struct frame *deep = calloc(SITE_FRAMES_MAX, sizeof(*deep));
    for (size_t i = 0; i < SITE_FRAMES_MAX; i++)
        deep[i] = (struct frame){.function = "main.f", .file = ""};
    const struct site_facts facts = {
        .frames = deep, .frame_count = SITE_FRAMES_MAX, .object_bytes = 8};
    struct error err = {0};
    size_t added = 0;
    while (added < 1000 && site_table_add(table, &facts, &err) != NULL)
        added++;
    free(deep);
    cr_assert_lt(added, 1000);
    cr_assert_eq(err.code, ERROR_LIMIT);
    cr_assert_not_null(strstr(err.message, "site table is full"));
    cr_assert_eq(site_table_count(table), added);
    site_table_unref(table);
}

/* ---- counting while another thread adds: what a rule and the history's bounds do ---- */

struct count_by_other {
    struct site_table *table;
    atomic_bool stop;
    size_t backwards; /* how often a count was below the one before */
};

static void *count_while_sites_are_added(void *argument)
{
    struct count_by_other *other = argument;
    size_t count = 0;
    size_t bytes = 0;
    while (!atomic_load(&other->stop)) {
        const size_t count_now = site_table_count(other->table);
        const size_t bytes_now = site_table_bytes(other->table);
        if (count_now < count || bytes_now < bytes)
            other->backwards++;
        count = count_now;
        bytes = bytes_now;
    }
    return NULL;
}

Test(site_table, is_counted_by_other_threads_while_it_grows) /* under ThreadSanitizer, too */
{
    enum { SITES = 20000 };
    struct count_by_other other = {.table = site_table_new()};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, count_while_sites_are_added, &other), 0);
    char stack[64];
    for (int i = 0; i < SITES; i++) {
        snprintf(stack, sizeof(stack), "runtime.mallocgc main.f%d main.main", i);
        cr_assert_eq(sample_site(other.table, stack, 1, 16)->id, (uint32_t)i + 1);
    }
    atomic_store(&other.stop, true);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(other.backwards, 0);
    cr_assert_eq(site_table_count(other.table), SITES);
    site_table_unref(other.table);
}

Test(site, keeps_hidden_frames_apart_from_those_pprof_shows)
{
    struct site_table *table = site_table_new();
    const struct site *site =
        sample_site(table, "runtime.mallocgc runtime.growslice main.leak main.main", 2, 48);
    cr_assert_eq(site->id, 1);
    cr_assert_eq(site->object_bytes, 48);
    cr_assert_eq(site->runtime_frame_count, 2);
    cr_assert_str_eq(site->runtime_frames[1]->function, "runtime.growslice");
    cr_assert_eq(site->frame_count, 2);
    cr_assert_str_eq(site->frames[0]->function, "main.leak");
    cr_assert_eq(sample_site(table, "main.main", 0, 8)->id, 2);
    cr_assert_eq(site_table_count(table), 2);
    site_table_unref(table);
}

Test(site, shows_everything_if_nothing_would_remain)
{
    struct site_table *table = site_table_new();
    const struct site *site = sample_site(table, "runtime.malg runtime.newproc1", 2, 400);
    cr_assert_eq(site->frame_count, 2);
    cr_assert_eq(site->runtime_frame_count, 0);
    cr_assert_str_eq(site->tag, "runtime");
    cr_assert_str_eq(site->package, "runtime");
    site_table_unref(table);
}

Test(site, refuses_a_stack_without_frames_and_one_that_is_too_deep)
{
    struct site_table *table = site_table_new();
    struct error err = {0};
    cr_assert_null(site_table_add(table, &(struct site_facts){.object_bytes = 8}, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    struct frame *deep = calloc(SITE_FRAMES_MAX + 1, sizeof(*deep));
    const struct site_facts facts = {
        .frames = deep, .frame_count = SITE_FRAMES_MAX + 1, .object_bytes = 8};
    cr_assert_null(site_table_add(table, &facts, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    free(deep);
    site_table_unref(table);
}

Test(site, blames_the_innermost_frame_outside_the_standard_library)
{
    struct site_table *table = site_table_new();
    const struct site *site =
        sample_site(table,
                    "runtime.growslice bytes.growSlice bytes.(*Buffer).grow io.ReadAll "
                    "example.com/shop/cart.(*Cart).load[...] main.handle net/http.(*conn).serve",
                    1, 512);
    cr_assert_str_eq(site->blame->function, "example.com/shop/cart.(*Cart).load[...]");
    cr_assert_eq(site->blame, site->frames[3]);
    cr_assert_str_eq(site->package, "example.com/shop/cart");

    site = sample_site(table, "bufio.NewReaderSize net/http.(*conn).serve", 0, 4096);
    cr_assert_str_eq(site->blame->function, "bufio.NewReaderSize"); /* nobody else is on the stack */
    cr_assert_str_eq(site->package, "bufio");
    site_table_unref(table);
}

Test(site, shares_one_pointer_for_equal_types_tags_and_packages)
{
    struct site_table *table = site_table_new();
    const struct site *a = sample_site(table, "main.leak main.main", 0, 16);
    const struct site *b = sample_site(table, "runtime.makeslice main.other main.main", 1, 32);
    cr_assert_eq(a->type_name, b->type_name);
    cr_assert_eq(a->tag, b->tag);
    cr_assert_eq(a->package, b->package);
    site_table_unref(table);
}

/* Stacks as real heap profiles hold them: Go 1.19 to 1.25 leave out the function that called
 * mallocgc, 1.26 and later begin with runtime.mallocgc. */
static const struct {
    const char *stack;
    const char *primitive;
    const char *type_name;
} stacks[] = {
    {"main.grow main.main", "", "unknown"},
    {"runtime.mallocgc main.cpy", "runtime.mallocgc", "unknown"},
    {"runtime.mallocgc internal/bytealg.MakeNoZero strings.(*Builder).grow",
     "internal/bytealg.MakeNoZero", "[]uint8"},
    {"runtime.mallocgc runtime.growslice main.grow", "runtime.growslice", "unknown"},
    {"runtime.growslice main.grow", "runtime.growslice", "unknown"},
    {"runtime.mallocgc runtime.makeslice main.mkslice", "runtime.makeslice", "unknown"},
    {"runtime.mallocgc runtime.newobject main.newobj", "runtime.newobject", "unknown"},
    {"runtime.mallocgc runtime.convT main.box", "runtime.convT", "unknown"},
    {"runtime.mallocgc runtime.convT64 main.box", "runtime.convT64", "unknown"},
    {"runtime.mallocgc runtime.convTstring main.box", "runtime.convTstring", "string"},
    {"runtime.rawstringtmp runtime.concatstrings main.concat", "runtime.concatstrings", "string"},
    {"runtime.rawstringtmp runtime.concatstrings runtime.concatstring2 main.concat",
     "runtime.concatstrings", "string"},
    {"runtime.mallocgc runtime.rawstring runtime.rawstringtmp runtime.concatstrings "
     "runtime.concatstring2 main.concat",
     "runtime.concatstrings", "string"},
    {"runtime.concatbytes runtime.concatbyte2 main.bcat", "runtime.concatbytes", "[]uint8"},
    {"runtime.mallocgc runtime.slicebytetostring main.b2s", "runtime.slicebytetostring", "string"},
    {"runtime.rawstringtmp runtime.slicerunetostring main.r2s", "runtime.slicerunetostring",
     "string"},
    {"runtime.mallocgc runtime.rawbyteslice runtime.stringtoslicebyte main.s2b",
     "runtime.stringtoslicebyte", "[]uint8"},
    {"runtime.mallocgc runtime.rawruneslice runtime.stringtoslicerune main.s2r",
     "runtime.stringtoslicerune", "[]int32"},
    {"runtime.mallocgc runtime.rawstring runtime.intstring main.i2s", "runtime.intstring",
     "string"},
    {"runtime.mapassign_faststr main.maps", "runtime.mapassign", "unknown"},
    {"runtime.hashGrow runtime.mapassign_fast64 main.maps", "runtime.mapassign", "unknown"},
    {"runtime.makeBucketArray runtime.hashGrow runtime.mapassign main.maps", "runtime.mapassign",
     "unknown"},
    {"runtime.(*hmap).createOverflow runtime.(*hmap).newoverflow runtime.evacuate_fast64 "
     "runtime.growWork_fast64 runtime.mapassign_fast64 main.maps",
     "runtime.mapassign", "unknown"},
    {"internal/runtime/maps.newarray internal/runtime/maps.newGroups "
     "internal/runtime/maps.(*table).reset internal/runtime/maps.newTable "
     "internal/runtime/maps.(*table).grow internal/runtime/maps.(*table).rehash "
     "runtime.mapassign main.maps",
     "runtime.mapassign", "unknown"},
    {"runtime.mallocgc runtime.makeslice internal/runtime/maps.(*Map).growToTable "
     "runtime.mapassign_fast64 main.maps",
     "runtime.mapassign", "unknown"},
    {"internal/runtime/maps.(*Map).growToTable reflect.mapassign0 main.maps", "runtime.mapassign",
     "unknown"},
    {"runtime.makeBucketArray runtime.makemap main.maps", "runtime.makemap", "unknown"},
    {"runtime.makemap_small main.maps", "runtime.makemap", "unknown"},
    {"internal/runtime/maps.newTable internal/runtime/maps.NewMap runtime.makemap main.maps",
     "runtime.makemap", "unknown"},
    {"internal/runtime/maps.NewEmptyMap runtime.makemap_small main.maps", "runtime.makemap",
     "unknown"},
    {"runtime.mallocgc runtime.makechan main.chans", "runtime.makechan", "unknown"},
    {"runtime.mallocgc runtime.newobject runtime.malg runtime.newproc1 runtime.newproc.func1 "
     "runtime.systemstack",
     "runtime.newproc", "goroutine"},
    {"runtime.newdefer runtime.deferproc main.defers", "runtime.deferproc", "unknown"},
    {"runtime.gcBgMarkWorker runtime.goexit", "", "unknown"},
    /* Only the runtime frames at the head count: this growslice called back into user code. */
    {"main.f runtime.growslice main.g", "", "unknown"},
    {"runtimex.growslice main.g", "", "unknown"},
};

Test(site, names_the_construct_that_the_leading_runtime_frames_show)
{
    struct site_table *table = site_table_new();
    for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++) {
        const struct site *site = sample_site(table, stacks[i].stack, 1, 16);
        cr_assert_str_eq(site->primitive, stacks[i].primitive, "%s: %s", stacks[i].stack,
                         site->primitive);
        cr_assert_str_eq(site->type_name, stacks[i].type_name, "%s", stacks[i].stack);
    }
    site_table_unref(table);
}

Test(site_table, copies_mappings_with_their_strings)
{
    struct site_table *table = site_table_new();
    char file[] = "/bin/demo";
    struct mapping mappings[] = {
        {.start = 1, .limit = 2, .offset = 3, .file = file, .build_id = "ab"},
        {.start = 4, .limit = 5, .file = NULL, .build_id = NULL},
    };
    struct error err;
    const struct mapping *copy = site_table_copy_mappings(table, mappings, 2, &err);
    file[0] = 'X';
    mappings[0].start = 9;
    cr_assert_eq(copy[0].start, 1);
    cr_assert_eq(copy[0].offset, 3);
    cr_assert_str_eq(copy[0].file, "/bin/demo");
    cr_assert_str_eq(copy[0].build_id, "ab");
    cr_assert_str_eq(copy[1].file, "");
    cr_assert_str_eq(copy[1].build_id, "");
    site_table_unref(table);
}

Test(site_table, lives_until_its_last_hold_is_dropped)
{
    struct site_table *table = site_table_new();
    const char *text = site_table_string(table, "main.leak", 9);
    site_table_ref(table);
    site_table_unref(table);
    cr_assert_str_eq(text, "main.leak");
    site_table_unref(table);
    site_table_unref(NULL);
}

Test(site, shares_frames_that_the_table_keeps_and_copies_all_others)
{
    struct site_table *table = site_table_new();
    struct error err;
    const struct frame frame = {.function = site_table_string(table, "main.leak", 9),
                                .file = site_table_string(table, "main.go", 7),
                                .line = 5};
    const struct frame *kept = site_table_frame(table, &frame);
    const struct site_facts shared = {.kept = &kept, .frame_count = 1, .object_bytes = 8};
    const struct site_facts copied = {.frames = &frame, .frame_count = 1, .object_bytes = 8};
    const struct site *first = site_table_add(table, &shared, &err);
    const struct site *second = site_table_add(table, &shared, &err);
    const struct site *third = site_table_add(table, &copied, &err);
    cr_assert_eq(first->frames[0], kept);
    cr_assert_eq(second->frames[0], kept);
    cr_assert_neq(third->frames[0], kept);
    cr_assert_neq(third->frames[0], &frame);
    cr_assert_eq(third->frames[0]->line, 5);
    cr_assert_str_eq(third->tag, first->tag);
    site_table_unref(table);
}
