/* spool.c - messages wait in order, within bounds, and over a restart. */
#include "core/export/spool.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buffer.h"

static char folder[128];

static void make_folder(void)
{
    (void)snprintf(folder, sizeof(folder), "%s/spool-XXXXXX", GOPROFD_BINARY_DIR);
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    DIR *dir = opendir(folder);
    cr_assert_not_null(dir);
    for (const struct dirent *item; (item = readdir(dir)) != NULL;)
        (void)unlinkat(dirfd(dir), item->d_name, 0);
    (void)closedir(dir);
    cr_assert_eq(rmdir(folder), 0);
}

static struct spool *open_spool(const char *dir, uint64_t max_bytes)
{
    struct error err = {.message = ""};
    struct spool *spool = spool_open(dir, max_bytes, &err);
    cr_assert_not_null(spool, "%s", err.message);
    return spool;
}

static void push(struct spool *spool, const char *text)
{
    struct error err = {.message = ""};
    bool kept = false;
    cr_assert(spool_push(spool, text, strlen(text), &kept, &err), "%s", err.message);
    cr_assert(kept);
}

/* The oldest message must be [text]; it is done with. */
static void assert_next(struct spool *spool, const char *text)
{
    struct buffer message;
    uint64_t number = 0;
    buffer_init(&message, 1 << 20);
    cr_assert(spool_peek(spool, &message, &number), "expected %s", text);
    cr_assert_str_eq(buffer_text(&message), text);
    spool_pop(spool, number);
    buffer_release(&message);
}

static void assert_empty(struct spool *spool)
{
    struct buffer message;
    uint64_t number = 0;
    buffer_init(&message, 1 << 20);
    cr_assert_not(spool_peek(spool, &message, &number));
    cr_assert_eq(spool_bytes(spool), 0);
    buffer_release(&message);
}

Test(spool, hands_out_messages_in_the_order_they_came)
{
    struct spool *spool = open_spool(NULL, 1 << 20);
    char text[32];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(text, sizeof(text), "message %d", i);
        push(spool, text);
        if (i % 3 == 0) {
            (void)snprintf(text, sizeof(text), "message %d", i / 3);
            assert_next(spool, text);
        }
    }
    cr_assert_eq(spool_count(spool), 66);
    cr_assert_eq(spool_in_memory(spool), 66);
    for (int i = 34; i < 100; i++) {
        (void)snprintf(text, sizeof(text), "message %d", i);
        assert_next(spool, text);
    }
    assert_empty(spool);
    spool_close(spool);
}

Test(spool, drops_the_oldest_when_full_and_counts_it)
{
    struct spool *spool = open_spool(NULL, 10);
    push(spool, "aaaa");
    push(spool, "bbbb");
    push(spool, "cccc");
    cr_assert_eq(spool_dropped(spool), 1);
    assert_next(spool, "bbbb");
    assert_next(spool, "cccc");
    spool_close(spool);
}

Test(spool, refuses_a_message_larger_than_itself)
{
    struct spool *spool = open_spool(NULL, 4);
    struct error err;
    bool kept = true;
    cr_assert_not(spool_push(spool, "12345", 5, &kept, &err));
    cr_assert_not(kept);
    cr_assert_eq(err.code, ERROR_LIMIT);
    assert_empty(spool);
    spool_close(spool);
}

Test(spool, forgets_a_message_once_though_it_was_pushed_out_while_it_was_sent)
{
    struct spool *spool = open_spool(NULL, 8);
    struct buffer message;
    uint64_t number = 0;
    buffer_init(&message, 64);
    push(spool, "aaaa");
    cr_assert(spool_peek(spool, &message, &number));
    push(spool, "bbbb");
    push(spool, "cccc"); /* pushes out what is being sent */
    spool_pop(spool, number);
    assert_next(spool, "bbbb");
    assert_next(spool, "cccc");
    buffer_release(&message);
    spool_close(spool);
}

Test(spool, on_disk_survives_and_goes_on_in_order, .init = make_folder, .fini = remove_folder)
{
    struct spool *spool = open_spool(folder, 1 << 20);
    push(spool, "one");
    push(spool, "two");
    push(spool, "three");
    assert_next(spool, "one");
    cr_assert_eq(spool_in_memory(spool), 0);
    spool_close(spool);

    spool = open_spool(folder, 1 << 20);
    cr_assert_eq(spool_count(spool), 2);
    push(spool, "four");
    assert_next(spool, "two");
    assert_next(spool, "three");
    assert_next(spool, "four");
    assert_empty(spool);
    spool_close(spool);
}

static void write_file(const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

Test(spool, leaves_alone_what_is_not_a_message_and_removes_what_a_crash_left, .init = make_folder,
     .fini = remove_folder)
{
    write_file("0000000000000007.json", "seven");
    write_file("0000000000000008.tmp", "half of eig");
    write_file("0000000000000009.json", ""); /* the file system lost its content */
    write_file("notes.txt", "mine");
    write_file("000000000000000g.json", "no number");
    struct spool *spool = open_spool(folder, 1 << 20);
    cr_assert_eq(spool_count(spool), 1);
    assert_next(spool, "seven");
    push(spool, "next");
    spool_close(spool);
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/notes.txt", folder);
    cr_assert_eq(access(path, F_OK), 0);
    (void)snprintf(path, sizeof(path), "%s/0000000000000008.tmp", folder);
    cr_assert_eq(access(path, F_OK), -1);
    (void)snprintf(path, sizeof(path), "%s/0000000000000008.json", folder);
    cr_assert_eq(access(path, F_OK), 0, "numbers go on after the newest");
}

Test(spool, keeps_messages_in_memory_when_the_folder_cannot_be_written, .init = make_folder,
     .fini = remove_folder)
{
    struct spool *spool = open_spool(folder, 1 << 20);
    struct error err;
    bool kept = false;
    push(spool, "written");
    /* The name it would be written to is taken by a folder: as good as a full disk, also for root. */
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/0000000000000002.tmp", folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_not(spool_push(spool, "kept", 4, &kept, &err));
    cr_assert(kept);
    cr_assert_not_null(strstr(err.message, "notify_queue_dir"), "%s", err.message);
    cr_assert_eq(spool_in_memory(spool), 1);
    cr_assert_eq(rmdir(path), 0);
    push(spool, "written again");
    cr_assert_eq(spool_in_memory(spool), 1);
    assert_next(spool, "written");
    assert_next(spool, "kept");
    assert_next(spool, "written again");
    spool_close(spool);
}

Test(spool, skips_a_message_whose_file_went_away, .init = make_folder, .fini = remove_folder)
{
    struct spool *spool = open_spool(folder, 1 << 20);
    push(spool, "one");
    push(spool, "two");
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/0000000000000001.json", folder);
    cr_assert_eq(unlink(path), 0);
    assert_next(spool, "two");
    cr_assert_eq(spool_dropped(spool), 1);
    spool_close(spool);
}

Test(spool, says_which_folder_cannot_be_used)
{
    struct error err;
    cr_assert_null(spool_open("/proc/nowhere", 1 << 20, &err));
    cr_assert_not_null(strstr(err.message, "/proc/nowhere"), "%s", err.message);
}
