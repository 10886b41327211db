/* journal_files.c - the segments of a folder. */
#include "core/store/journal_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/clock.h"

void journal_file_name(uint64_t number, char out[JOURNAL_NAME_BYTES])
{
    (void)snprintf(out, JOURNAL_NAME_BYTES, "segment-%012llu.gph", (unsigned long long)number);
}

static bool parse_name(const char *name, uint64_t *number)
{
    char expected[JOURNAL_NAME_BYTES];
    if (strncmp(name, "segment-", 8) != 0 || name[8] < '0' || name[8] > '9')
        return false;
    *number = strtoull(name + 8, NULL, 10);
    journal_file_name(*number, expected);
    return *number < UINT64_MAX && strcmp(name, expected) == 0;
}

static int compare(const void *a, const void *b)
{
    const struct journal_file *left = a;
    const struct journal_file *right = b;
    return (left->number > right->number) - (left->number < right->number);
}

bool journal_files_list(const char *dir, struct journal_file **files, size_t *count,
                        struct error *err)
{
    size_t room = 0;
    *files = NULL;
    *count = 0;
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return error_set(err, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_SYSTEM, "open %.150s: %s",
                         dir, error_errno_text(errno));
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        struct stat status;
        uint64_t number;
        if (!parse_name(entry->d_name, &number) ||
            fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == -1)
            continue;
        if (*count == room) {
            room = room == 0 ? 32 : 2 * room;
            struct journal_file *grown = realloc(*files, room * sizeof(**files));
            if (grown == NULL) {
                free(*files);
                *files = NULL;
                closedir(folder);
                return error_set(err, ERROR_NO_MEMORY, "no memory to list %.150s", dir);
            }
            *files = grown;
        }
        (*files)[(*count)++] = (struct journal_file){
            .number = number,
            .bytes = (uint64_t)status.st_size,
            .changed_realtime_ns = (uint64_t)status.st_mtim.tv_sec * CLOCK_NS_PER_S +
                                   (uint64_t)status.st_mtim.tv_nsec};
    }
    closedir(folder);
    if (*count > 1)
        qsort(*files, *count, sizeof(**files), compare);
    return true;
}
