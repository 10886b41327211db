/* spool.c - messages that wait to be delivered, in memory or in a folder. */
#include "core/export/spool.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/log.h"

enum { NAME_DIGITS = 16, NAME_BYTES = 32, FIRST_SLOTS = 16 };

struct entry {
    uint64_t number; /* of the file; rises */
    uint64_t bytes;
    char *text; /* in memory, or NULL: in its file */
};

/* A ring of entries: oldest at [first]. */
struct spool {
    int dir_fd; /* -1: in memory */
    uint64_t max_bytes;
    struct entry *entries;
    size_t slots; /* a power of two */
    size_t first;
    size_t count;
    size_t in_memory;
    uint64_t bytes;
    uint64_t next_number;
    uint64_t dropped;
};

static struct entry *entry_at(const struct spool *spool, size_t index)
{
    return &spool->entries[(spool->first + index) & (spool->slots - 1)];
}

static void file_name(uint64_t number, const char *suffix, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "%016llx%s", (unsigned long long)number, suffix);
}

/* ---- opening ---- */

/* Number of a message's file; false if [name] is not one. */
static bool parse_name(const char *name, uint64_t *number)
{
    char *end = NULL;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (!isxdigit((unsigned char)name[i]))
            return false;
    }
    *number = strtoull(name, &end, 16);
    return end == name + NAME_DIGITS && strcmp(end, ".json") == 0;
}

static bool reserve(struct spool *spool)
{
    if (spool->count < spool->slots)
        return true;
    const size_t larger = spool->slots == 0 ? FIRST_SLOTS : spool->slots * 2;
    struct entry *entries = calloc(larger, sizeof(entries[0]));
    if (entries == NULL)
        return false;
    for (size_t i = 0; i < spool->count; i++)
        entries[i] = *entry_at(spool, i);
    free(spool->entries);
    spool->entries = entries;
    spool->slots = larger;
    spool->first = 0;
    return true;
}

static bool append(struct spool *spool, const struct entry *entry)
{
    if (!reserve(spool))
        return false;
    *entry_at(spool, spool->count++) = *entry;
    spool->bytes += entry->bytes;
    spool->in_memory += entry->text != NULL;
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;
    return (left->number > right->number) - (left->number < right->number);
}

/* Takes in the messages of an earlier run; removes what it left half-written. */
static bool load_names(struct spool *spool, DIR *dir)
{
    for (;;) {
        errno = 0;
        const struct dirent *item = readdir(dir);
        if (item == NULL)
            break;
        struct stat status;
        struct entry entry = {.text = NULL};
        const size_t length = strlen(item->d_name);
        if (length > 4 && strcmp(item->d_name + length - 4, ".tmp") == 0) {
            (void)unlinkat(spool->dir_fd, item->d_name, 0);
            continue;
        }
        if (!parse_name(item->d_name, &entry.number) ||
            fstatat(spool->dir_fd, item->d_name, &status, AT_SYMLINK_NOFOLLOW) == -1 ||
            !S_ISREG(status.st_mode) || status.st_size <= 0 ||
            status.st_size > SPOOL_MESSAGE_MAX_BYTES)
            continue;
        entry.bytes = (uint64_t)status.st_size;
        if (!append(spool, &entry))
            return false;
    }
    if (spool->count == 0) /* and no array yet that could be sorted */
        return true;
    /* Nothing was taken out yet, so the entries lie in one piece. */
    qsort(spool->entries, spool->count, sizeof(spool->entries[0]), compare_numbers);
    spool->next_number = entry_at(spool, spool->count - 1)->number + 1;
    return true;
}

static bool open_folder(struct spool *spool, const char *path, struct error *err)
{
    if (mkdir(path, 0700) == -1 && errno != EEXIST)
        return error_set(err, ERROR_SYSTEM, "%s: make the folder: %s", path,
                         error_errno_text(errno));
    spool->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (spool->dir_fd == -1)
        return error_set(err, ERROR_SYSTEM, "%s: open the folder: %s", path,
                         error_errno_text(errno));
    if (faccessat(spool->dir_fd, ".", W_OK | X_OK, 0) == -1)
        return error_set(err, ERROR_DENIED, "%s: write to the folder: %s", path,
                         error_errno_text(errno));
    DIR *dir = opendir(path);
    if (dir == NULL)
        return error_set(err, ERROR_SYSTEM, "%s: list the folder: %s", path,
                         error_errno_text(errno));
    const bool ok = load_names(spool, dir);
    (void)closedir(dir);
    return ok || error_set(err, ERROR_NO_MEMORY, "%s: no memory for its messages", path);
}

static void drop_oldest(struct spool *spool);

static void keep_within_bounds(struct spool *spool)
{
    while (spool->count > 0 &&
           (spool->bytes > spool->max_bytes || spool->count > SPOOL_MESSAGES_MAX))
        drop_oldest(spool);
}

struct spool *spool_open(const char *dir, uint64_t max_bytes, struct error *err)
{
    struct spool *spool = calloc(1, sizeof(*spool));
    if (spool == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for a queue of messages");
        return NULL;
    }
    spool->dir_fd = -1;
    spool->max_bytes = max_bytes;
    spool->next_number = 1;
    if (dir != NULL && !open_folder(spool, dir, err)) {
        spool_close(spool);
        return NULL;
    }
    keep_within_bounds(spool);
    return spool;
}

void spool_close(struct spool *spool)
{
    if (spool == NULL)
        return;
    for (size_t i = 0; i < spool->count; i++)
        free(entry_at(spool, i)->text);
    free(spool->entries);
    if (spool->dir_fd != -1)
        (void)close(spool->dir_fd);
    free(spool);
}

/* ---- adding ---- */

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        const ssize_t written = write(fd, bytes, length);
        if (written == -1 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

static bool write_message(const struct spool *spool, uint64_t number, const void *bytes,
                          size_t length, struct error *err)
{
    char temporary[NAME_BYTES];
    char name[NAME_BYTES];
    file_name(number, ".tmp", temporary);
    file_name(number, ".json", name);
    const int fd = openat(spool->dir_fd, temporary,
                          O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int failure = fd == -1 ? errno : 0;
    if (fd != -1 && (!write_all(fd, bytes, length) || fsync(fd) == -1))
        failure = errno;
    if (fd != -1 && close(fd) == -1 && failure == 0)
        failure = errno;
    if (failure == 0 && renameat(spool->dir_fd, temporary, spool->dir_fd, name) == -1)
        failure = errno;
    if (failure == 0)
        return true;
    (void)unlinkat(spool->dir_fd, temporary, 0);
    return error_set(err, ERROR_SYSTEM, "write a message to notify_queue_dir: %s",
                     error_errno_text(failure));
}

bool spool_push(struct spool *spool, const void *bytes, size_t length, bool *kept,
                struct error *err)
{
    struct entry entry = {.number = spool->next_number, .bytes = length};
    *kept = false;
    if (length == 0 || length > SPOOL_MESSAGE_MAX_BYTES || length > spool->max_bytes)
        return error_set(err, ERROR_LIMIT, "a message of %zu bytes; at most %llu are queued", length,
                         (unsigned long long)spool->max_bytes);
    const bool on_disk =
        spool->dir_fd != -1 && write_message(spool, entry.number, bytes, length, err);
    if (!on_disk) {
        entry.text = malloc(length);
        if (entry.text == NULL)
            return error_set(err, ERROR_NO_MEMORY, "no memory to keep a message");
        memcpy(entry.text, bytes, length);
    }
    if (!append(spool, &entry)) {
        free(entry.text);
        return error_set(err, ERROR_NO_MEMORY, "no memory to keep a message");
    }
    spool->next_number++;
    *kept = true;
    keep_within_bounds(spool);
    return on_disk || spool->dir_fd == -1;
}

/* ---- taking ---- */

static void remove_oldest(struct spool *spool)
{
    struct entry *oldest = entry_at(spool, 0);
    if (oldest->text == NULL) {
        char name[NAME_BYTES];
        file_name(oldest->number, ".json", name);
        (void)unlinkat(spool->dir_fd, name, 0); /* sent twice at worst */
    } else {
        spool->in_memory--;
    }
    free(oldest->text);
    spool->bytes -= oldest->bytes;
    *oldest = (struct entry){.text = NULL};
    spool->first = (spool->first + 1) & (spool->slots - 1);
    spool->count--;
}

static void drop_oldest(struct spool *spool)
{
    remove_oldest(spool);
    spool->dropped++;
}

void spool_pop(struct spool *spool, uint64_t number)
{
    if (spool->count > 0 && entry_at(spool, 0)->number == number)
        remove_oldest(spool);
}

static bool read_message(const struct spool *spool, const struct entry *entry, struct buffer *out)
{
    char name[NAME_BYTES];
    file_name(entry->number, ".json", name);
    const int fd = openat(spool->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd == -1)
        return false;
    char *into = buffer_reserve(out, entry->bytes);
    size_t have = 0;
    while (into != NULL && have < entry->bytes) {
        const ssize_t got = read(fd, into + have, entry->bytes - have);
        if (got == -1 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    (void)close(fd);
    if (into == NULL || have < entry->bytes)
        return false;
    out->length += have;
    return true;
}

bool spool_peek(struct spool *spool, struct buffer *out, uint64_t *number)
{
    while (spool->count > 0) {
        const struct entry *oldest = entry_at(spool, 0);
        *number = oldest->number;
        buffer_clear(out);
        if (oldest->text != NULL)
            buffer_append(out, oldest->text, oldest->bytes);
        if (oldest->text != NULL ? !out->failed : read_message(spool, oldest, out))
            return true;
        log_warn(log_msg("a queued notification can no longer be read and is dropped"),
                 log_u64("number", oldest->number));
        drop_oldest(spool);
    }
    return false;
}

size_t spool_count(const struct spool *spool)
{
    return spool->count;
}

uint64_t spool_bytes(const struct spool *spool)
{
    return spool->bytes;
}

uint64_t spool_dropped(const struct spool *spool)
{
    return spool->dropped;
}

size_t spool_in_memory(const struct spool *spool)
{
    return spool->in_memory;
}
