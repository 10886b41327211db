/* procfs_maps.c - the mappings of a process, from /proc/PID/maps.
 *
 *   55d0c0a00000-55d0c0a1c000 r-xp 00002000 fe:01 1837  /usr/bin/demo (deleted)
 *   start        end          perm offset   dev   inode path
 */
#include "core/goproc/procfs.h"

#include "core/goproc/procfs_file.h"

#define MAPS_TEXT_MAX_BYTES ((size_t)32 << 20)
#define MAPS_PATHS_MAX_BYTES ((size_t)16 << 20)

enum { MAPS_FIRST_COUNT = 64 };

/* Reads hexadecimal digits up to [stop] at [*cursor], which moves past it. */
static bool parse_number(const char **cursor, const char *end, unsigned base, char stop,
                         uint64_t *value)
{
    const char *p = *cursor;
    uint64_t number = 0;
    for (; p < end && *p != stop; p++) {
        unsigned digit = 0;
        if (*p >= '0' && *p <= '9')
            digit = (unsigned)(*p - '0');
        else if (*p >= 'a' && *p <= 'f')
            digit = (unsigned)(*p - 'a') + 10;
        else
            return false;
        if (digit >= base || __builtin_mul_overflow(number, base, &number) ||
            __builtin_add_overflow(number, digit, &number))
            return false;
    }
    if (p == *cursor || p == end)
        return false;
    *cursor = p + 1;
    *value = number;
    return true;
}

/* Everything of a line but its path, at which [*cursor] is left. */
static bool parse_numbers(const char **cursor, const char *end, struct procfs_mapping *mapping)
{
    uint64_t major = 0;
    uint64_t minor = 0;
    const char *p = *cursor;
    if (!parse_number(&p, end, 16, '-', &mapping->start) ||
        !parse_number(&p, end, 16, ' ', &mapping->end) || mapping->end < mapping->start ||
        end - p < 5 || p[4] != ' ')
        return false;
    mapping->readable = p[0] == 'r';
    mapping->writable = p[1] == 'w';
    mapping->executable = p[2] == 'x';
    p += 5;
    if (!parse_number(&p, end, 16, ' ', &mapping->offset) ||
        !parse_number(&p, end, 16, ':', &major) || !parse_number(&p, end, 16, ' ', &minor) ||
        major > 0xFFF || minor > 0xFFFFF)
        return false;
    mapping->device = (uint32_t)(major << 20 | minor);

    /* The kernel pads with a blank before an empty path too, but does not promise to. */
    uint64_t inode = 0;
    const char *digits = p;
    while (p < end && *p >= '0' && *p <= '9') {
        if (__builtin_mul_overflow(inode, (uint64_t)10, &inode) ||
            __builtin_add_overflow(inode, (uint64_t)(*p - '0'), &inode))
            return false;
        p++;
    }
    if (p == digits || (p < end && *p != ' '))
        return false;
    mapping->inode = inode;
    while (p < end && *p == ' ')
        p++;
    *cursor = p;
    return true;
}

static bool grow(struct procfs_maps *maps, size_t *capacity, struct error *err)
{
    if (maps->count < *capacity)
        return true;
    if (maps->count >= PROCFS_MAPS_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d memory mappings", PROCFS_MAPS_MAX);
    const size_t wanted = *capacity == 0 ? MAPS_FIRST_COUNT : *capacity * 2;
    void *grown = realloc(maps->mappings, wanted * sizeof(maps->mappings[0]));
    if (grown == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for %zu mappings", wanted);
    maps->mappings = grown;
    *capacity = wanted;
    return true;
}

/* Neighbouring mappings mostly share their file: its name is kept once.  Returns its place in
 * [paths]; the first byte of which is the empty name. */
static size_t keep_path(struct buffer *paths, size_t previous, const char *path, size_t length)
{
    if (length == 0)
        return 0;
    const size_t previous_length = strlen(paths->data + previous);
    if (previous_length == length && memcmp(paths->data + previous, path, length) == 0)
        return previous;
    const size_t place = paths->length;
    buffer_append(paths, path, length);
    buffer_append_byte(paths, '\0');
    return place;
}

static bool parse_lines(const char *text, size_t length, struct procfs_maps *maps,
                        struct error *err)
{
    size_t capacity = 0;
    size_t place = 0;
    unsigned line_number = 0;
    const char *end = text + length;
    for (const char *line = text; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *line_end = newline != NULL ? newline : end;
        line_number++;
        if (!grow(maps, &capacity, err))
            return false;
        struct procfs_mapping *mapping = &maps->mappings[maps->count];
        *mapping = (struct procfs_mapping){0};
        const char *cursor = line;
        if (!parse_numbers(&cursor, line_end, mapping))
            return error_set(err, ERROR_CORRUPT, "maps: line %u is not a mapping", line_number);
        const size_t path_length = (size_t)(line_end - cursor);
        if (memchr(cursor, '\0', path_length) != NULL)
            return error_set(err, ERROR_CORRUPT, "maps: line %u holds a NUL", line_number);
        place = keep_path(&maps->paths_, place, cursor, path_length);
        if (maps->paths_.failed)
            return error_set(err, ERROR_LIMIT, "maps: no room for the names of files");
        /* The names still move as the buffer grows: places now, pointers at the end. */
        mapping->path = (const char *)(uintptr_t)place;
        maps->count++;
        line = newline != NULL ? newline + 1 : end;
    }
    return true;
}

bool procfs_maps_parse(const char *text, size_t length, struct procfs_maps *maps, struct error *err)
{
    *maps = (struct procfs_maps){0};
    buffer_init(&maps->paths_, MAPS_PATHS_MAX_BYTES);
    buffer_append_byte(&maps->paths_, '\0');
    if (maps->paths_.failed)
        return error_set(err, ERROR_NO_MEMORY, "no memory for mappings");
    if (!parse_lines(text, length, maps, err)) {
        procfs_maps_release(maps);
        return false;
    }
    for (size_t i = 0; i < maps->count; i++)
        maps->mappings[i].path = maps->paths_.data + (uintptr_t)maps->mappings[i].path;
    return true;
}

bool procfs_maps_read(const struct procfs *fs, pid_t pid, struct procfs_maps *maps,
                      struct error *err)
{
    *maps = (struct procfs_maps){0};
    struct buffer text;
    buffer_init(&text, MAPS_TEXT_MAX_BYTES);
    bool ok = procfs_load_pid(fs, pid, "maps", &text, err);
    if (ok && !procfs_maps_parse(text.data, text.length, maps, err))
        ok = error_wrap(err, "pid %d", (int)pid);
    buffer_release(&text);
    return ok;
}

void procfs_maps_release(struct procfs_maps *maps)
{
    free(maps->mappings);
    buffer_release(&maps->paths_);
    maps->mappings = NULL;
    maps->count = 0;
}
