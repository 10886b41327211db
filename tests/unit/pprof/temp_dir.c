/* temp_dir.c - a folder of its own for a test, and what is in it. */
#include "temp_dir.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

void temp_dir_init(struct temp_dir *dir)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(dir->path, sizeof(dir->path), "%s/goprofd-test-XXXXXX",
                   base != NULL ? base : "/tmp");
    cr_assert_not_null(mkdtemp(dir->path));
}

static int delete_entry(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

void temp_dir_release(struct temp_dir *dir)
{
    cr_assert_eq(nftw(dir->path, delete_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

const char *temp_dir_path(const struct temp_dir *dir, const char *relative,
                          char out[TEMP_PATH_BYTES])
{
    const int length = snprintf(out, TEMP_PATH_BYTES, "%s/%s", dir->path, relative);
    cr_assert_lt(length, TEMP_PATH_BYTES);
    return out;
}

void temp_dir_put(const struct temp_dir *dir, const char *relative, const char *text)
{
    char path[TEMP_PATH_BYTES];
    FILE *file = fopen(temp_dir_path(dir, relative, path), "w");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

bool temp_dir_has(const struct temp_dir *dir, const char *relative)
{
    char path[TEMP_PATH_BYTES];
    struct stat status;
    return lstat(temp_dir_path(dir, relative, path), &status) == 0;
}

size_t temp_dir_count(const struct temp_dir *dir, const char *relative)
{
    char path[TEMP_PATH_BYTES];
    DIR *stream = opendir(temp_dir_path(dir, relative, path));
    size_t count = 0;
    if (stream == NULL)
        return 0;
    for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(stream);
    return count;
}

char *temp_dir_read(const char *path)
{
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    char *text = NULL;
    size_t capacity = 0;
    const ssize_t length = getdelim(&text, &capacity, '\0', file);
    cr_assert_gt(length, 0, "%s is empty", path);
    fclose(file);
    return text;
}
