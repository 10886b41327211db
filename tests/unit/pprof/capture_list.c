/* capture_list.c - the list of captures believes no file. */
#include "core/capture/capture_list.h"

#include <criterion/criterion.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/capture/capture_file.h"
#include "tests/unit/pprof/temp_dir.h"

static struct temp_dir dir;
static struct buffer out;

static void set_up(void)
{
    static const char *const folders[] = {"shop", "api", ".hidden"};
    char name[TEMP_PATH_BYTES];
    temp_dir_init(&dir);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        cr_assert_eq(mkdir(temp_dir_path(&dir, folders[i], name), 0700), 0);
    buffer_init(&out, 1 << 20);
}

static void tear_down(void)
{
    buffer_release(&out);
    temp_dir_release(&dir);
}

TestSuite(capture_list, .init = set_up, .fini = tear_down);

static void assert_lists(const char *target, size_t limit, const char *expected)
{
    struct error err = {.message = ""};
    buffer_clear(&out);
    cr_assert(capture_list_write(dir.path, target, limit, &out, &err), "%s", err.message);
    cr_assert_str_eq(buffer_text(&out), expected);
}

Test(capture_list, is_empty_without_a_folder)
{
    struct error err;
    cr_assert(capture_list_write("/nowhere/at/all", NULL, 10, &out, &err));
    cr_assert_str_eq(buffer_text(&out), "[]");
}

Test(capture_list, has_the_newest_first_with_what_the_sidecar_says)
{
    temp_dir_put(&dir, "shop/heap-20261123-004732Z.pb.gz", "12345");
    temp_dir_put(&dir, "shop/heap-20261123-004732Z.json",
                 "{\"target\":\"shop\",\"reason\":\"alert\",\"rule\":\"retention\",\"pid\":7}");
    temp_dir_put(&dir, "api/heap-20261123-004733Z-2.pb.gz", "1");
    assert_lists(NULL, 10,
                 "[{\"name\":\"api/heap-20261123-004733Z-2.pb.gz\",\"time\":\"2026-11-23T00:47:33Z\","
                 "\"bytes\":1},"
                 "{\"name\":\"shop/heap-20261123-004732Z.pb.gz\",\"time\":\"2026-11-23T00:47:32Z\","
                 "\"bytes\":5,\"target\":\"shop\",\"reason\":\"alert\",\"rule\":\"retention\"}]");
    assert_lists("shop", 10,
                 "[{\"name\":\"shop/heap-20261123-004732Z.pb.gz\",\"time\":\"2026-11-23T00:47:32Z\","
                 "\"bytes\":5,\"target\":\"shop\",\"reason\":\"alert\",\"rule\":\"retention\"}]");
    assert_lists("other", 10, "[]");
    assert_lists(NULL, 0, "[]");
}

Test(capture_list, is_not_impressed_by_odd_files)
{
    char name[TEMP_PATH_BYTES];
    temp_dir_put(&dir, "shop/heap-20261123-004732Z.pb.gz", "12345");
    temp_dir_put(&dir, "shop/heap-20261123-004732Z.json", "{\"target\":[\"]},\"x\":");
    temp_dir_put(&dir, "shop/notes.txt", "mine");
    temp_dir_put(&dir, ".hidden/heap-20261123-004732Z.pb.gz", "1");
    cr_assert_eq(symlink("/etc", temp_dir_path(&dir, "link", name)), 0);
    cr_assert_eq(symlink("/etc/passwd", temp_dir_path(&dir, "shop/heap-20261124-000000Z.pb.gz", name)), 0);
    cr_assert_eq(mkfifo(temp_dir_path(&dir, "shop/heap-20261125-000000Z.pb.gz", name), 0600), 0);
    assert_lists(NULL, 10,
                 "[{\"name\":\"shop/heap-20261123-004732Z.pb.gz\",\"time\":\"2026-11-23T00:47:32Z\","
                 "\"bytes\":5}]");
}

static void assert_not_found(const char *name)
{
    struct error err = {.code = ERROR_NONE};
    buffer_clear(&out);
    cr_assert_not(capture_list_read(dir.path, name, &out, &err), "%s", name);
    cr_assert_eq(err.code, ERROR_NOT_FOUND, "%s", name);
    cr_assert_eq(out.length, 0, "%s", name);
}

Test(capture_list, gives_a_capture_and_nothing_else)
{
    char name[TEMP_PATH_BYTES];
    struct error err;
    temp_dir_put(&dir, "shop/heap-20261123-004732Z.pb.gz", "12345");
    temp_dir_put(&dir, "shop/heap-20261123-004732Z.json", "{}");
    cr_assert_eq(symlink("/etc/passwd", temp_dir_path(&dir, "shop/heap-20261124-000000Z.pb.gz", name)), 0);
    cr_assert_eq(mkfifo(temp_dir_path(&dir, "shop/heap-20261125-000000Z.pb.gz", name), 0600), 0);
    cr_assert(capture_list_read(dir.path, "shop/heap-20261123-004732Z.pb.gz", &out, &err));
    cr_assert_str_eq(buffer_text(&out), "12345");
    assert_not_found("shop/heap-20261123-004732Z.json");
    assert_not_found("shop/heap-20261124-000000Z.pb.gz");
    assert_not_found("shop/heap-20261125-000000Z.pb.gz");
    assert_not_found("../shop/heap-20261123-004732Z.pb.gz");
    assert_not_found("./heap-20261123-004732Z.pb.gz");
    assert_not_found("shop/../shop/heap-20261123-004732Z.pb.gz");
    assert_not_found("shop");
    assert_not_found("/heap-20261123-004732Z.pb.gz");
    assert_not_found("");
}
