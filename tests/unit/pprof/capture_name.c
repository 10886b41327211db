/* capture_name.c - safe folders, sortable names, and which files are ours. */
#include "core/capture/capture_name.h"

#include <criterion/criterion.h>

#include "core/base/clock.h"

static void assert_folder(const char *id, const char *expected)
{
    char folder[CAPTURE_FOLDER_MAX_BYTES];
    capture_name_folder(id, folder);
    cr_assert_str_eq(folder, expected);
}

Test(capture_name, keeps_a_target_id_that_is_safe)
{
    assert_folder("demo", "demo");
    assert_folder("orders-v1.2_x", "orders-v1.2_x");
    assert_folder("a..b", "a..b");
}

Test(capture_name, never_leaves_the_folder_and_never_hides)
{
    static const char *const hostile[] = {"..",
                                          ".",
                                          "",
                                          "../../etc",
                                          "/etc/passwd",
                                          ".git",
                                          "a/../b",
                                          "a\nb",
                                          "a b",
                                          "caf\xc3\xa9",
                                          "~root",
                                          "a\\b",
                                          "http://host:80/debug/pprof"};
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        char folder[CAPTURE_FOLDER_MAX_BYTES];
        capture_name_folder(hostile[i], folder);
        cr_assert_neq(folder[0], '\0');
        cr_assert_neq(folder[0], '.', "%s", folder);
        cr_assert_eq(strspn(folder, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                    "-_.~"),
                     strlen(folder), "%s", folder);
    }
}

Test(capture_name, gives_ids_that_look_alike_folders_of_their_own)
{
    static const char *const ids[] = {"a/b", "a_b", "a b", "a:b", ".a", "_a", "", "_"};
    enum { COUNT = sizeof(ids) / sizeof(ids[0]) };
    char folders[COUNT][CAPTURE_FOLDER_MAX_BYTES];
    for (size_t i = 0; i < COUNT; i++) {
        capture_name_folder(ids[i], folders[i]);
        for (size_t j = 0; j < i; j++)
            cr_assert_str_neq(folders[i], folders[j], "%s and %s", ids[i], ids[j]);
    }
}

Test(capture_name, bounds_a_long_id_and_still_tells_two_of_them_apart)
{
    char id[300];
    char first[CAPTURE_FOLDER_MAX_BYTES];
    char second[CAPTURE_FOLDER_MAX_BYTES];
    memset(id, 'x', sizeof(id));
    id[sizeof(id) - 1] = '\0';
    capture_name_folder(id, first);
    id[sizeof(id) - 2] = 'y';
    capture_name_folder(id, second);
    cr_assert_str_neq(first, second);
    cr_assert_lt(strlen(first), CAPTURE_FOLDER_MAX_BYTES);
}

Test(capture_name, spells_time_and_repeat_as_promised)
{
    struct capture_name name;
    char text[CAPTURE_NAME_MAX_BYTES];
    capture_name_set(&name, UINT64_C(1795394852) * CLOCK_NS_PER_S + 999999999, 1);
    capture_name_format(&name, CAPTURE_FILE_PROFILE, text);
    cr_assert_str_eq(text, "heap-20261123-004732Z.pb.gz");
    capture_name_format(&name, CAPTURE_FILE_SIDECAR, text);
    cr_assert_str_eq(text, "heap-20261123-004732Z.json");
    name.repeat = 2;
    capture_name_format(&name, CAPTURE_FILE_PROFILE, text);
    cr_assert_str_eq(text, "heap-20261123-004732Z-2.pb.gz");
}

Test(capture_name, has_a_name_for_the_first_and_the_last_time_a_clock_can_say)
{
    struct capture_name name;
    capture_name_set(&name, 0, 1);
    cr_assert_str_eq(name.stamp, "19700101-000000");
    capture_name_set(&name, UINT64_MAX, 1);
    cr_assert_str_eq(name.stamp, "25540721-233433");
}

Test(capture_name, reads_back_what_it_wrote)
{
    static const uint32_t repeats[] = {1, 2, 9, 10, 123};
    for (size_t i = 0; i < sizeof(repeats) / sizeof(repeats[0]); i++) {
        for (int kind = CAPTURE_FILE_PROFILE; kind <= CAPTURE_FILE_SIDECAR; kind++) {
            struct capture_name name;
            struct capture_name parsed;
            char text[CAPTURE_NAME_MAX_BYTES];
            capture_name_set(&name, UINT64_C(1795394852) * CLOCK_NS_PER_S, repeats[i]);
            capture_name_format(&name, (enum capture_file_kind)kind, text);
            cr_assert(capture_name_parse(text, &parsed), "%s", text);
            cr_assert_eq(capture_name_compare(&name, &parsed), 0);
            cr_assert_eq((int)parsed.kind, kind);
        }
    }
}

Test(capture_name, claims_no_name_that_it_would_not_write)
{
    static const char *const foreign[] = {
        "",
        "heap-20261123-004732Z",
        "heap-20261123-004732Z.pb",
        "heap-20261123-004732Z.pb.gz.bak",
        "heap-20261123-004732Z.pb.gz~",
        "xheap-20261123-004732Z.pb.gz",
        "heap-20261123-00473Z.pb.gz",
        "heap-2026112a-004732Z.pb.gz",
        "heap-20261123-004732.pb.gz",
        "heap-20261123-004732Z-1.pb.gz",
        "heap-20261123-004732Z-0.pb.gz",
        "heap-20261123-004732Z-02.pb.gz",
        "heap-20261123-004732Z-.pb.gz",
        "heap-20261123-004732Z-99999999999.pb.gz",
        "heap-20261123-004732Z--2.pb.gz",
        "goroutine-20261123-004732Z.pb.gz",
    };
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        struct capture_name name;
        cr_assert_not(capture_name_parse(foreign[i], &name), "%s", foreign[i]);
    }
}

Test(capture_name, sorts_the_tenth_of_a_second_behind_the_second)
{
    struct capture_name second;
    struct capture_name tenth;
    struct capture_name later;
    cr_assert(capture_name_parse("heap-20261123-004732Z-2.pb.gz", &second));
    cr_assert(capture_name_parse("heap-20261123-004732Z-10.pb.gz", &tenth));
    cr_assert(capture_name_parse("heap-20261123-004733Z.pb.gz", &later));
    cr_assert_lt(capture_name_compare(&second, &tenth), 0);
    cr_assert_lt(capture_name_compare(&tenth, &later), 0);
    cr_assert_gt(capture_name_compare(&later, &second), 0);
}
