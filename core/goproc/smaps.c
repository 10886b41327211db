/* smaps.c - parses /proc/PID/smaps.
 *
 *   c000000000-c004000000 rw-p 00000000 00:00 0      [anon: Go: heap]
 *   Size:              65536 kB
 *   Rss:                1024 kB
 *   ...
 *   VmFlags: rd wr mr mw me ac sd
 *
 * A line that begins with an address begins an area; the keys are in any order and any may be missing. */
#include "core/goproc/smaps.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/goproc/procfs.h"
#include "core/goproc/procfs_file.h"

/* About 700 bytes for each mapping. */
#define SMAPS_TEXT_MAX_BYTES ((size_t)64 << 20)

enum { SMAPS_FIRST_COUNT = 64, HEADER_FIELDS_BEFORE_NAME = 5 };

/* ---- one line ---- */

/* A line within the text; not terminated. */
struct line {
    const char *at;
    const char *end;
};

static bool take_hex(struct line *line, char stop, uint64_t *value)
{
    uint64_t number = 0;
    const char *p = line->at;
    for (; p < line->end && *p != stop; p++) {
        unsigned digit;
        if (*p >= '0' && *p <= '9')
            digit = (unsigned)(*p - '0');
        else if (*p >= 'a' && *p <= 'f')
            digit = (unsigned)(*p - 'a') + 10;
        else
            return false;
        if (number >> 60 != 0)
            return false;
        number = number << 4 | digit;
    }
    if (p == line->at || p == line->end)
        return false;
    line->at = p + 1;
    *value = number;
    return true;
}

static bool starts_with(const struct line *line, const char *prefix)
{
    const size_t length = strlen(prefix);
    return (size_t)(line->end - line->at) >= length && memcmp(line->at, prefix, length) == 0;
}

/* "Rss:     1024 kB" after its key; false if it is not that. */
static bool take_kibibytes(const struct line *line, const char *key, uint64_t *bytes)
{
    if (!starts_with(line, key))
        return false;
    const char *p = line->at + strlen(key);
    uint64_t number = 0;
    while (p < line->end && *p == ' ')
        p++;
    const char *digits = p;
    for (; p < line->end && *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(number, (uint64_t)10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*p - '0'), &number))
            return false;
    return p != digits && !__builtin_mul_overflow(number, (uint64_t)1024, bytes);
}

static enum smaps_kind kind_of(const struct line *name, bool has_inode)
{
    if (starts_with(name, "[anon: Go: heap"))
        return SMAPS_GO_HEAP;
    if (starts_with(name, "[anon: Go: "))
        return SMAPS_GO_RUNTIME;
    if (starts_with(name, "[anon"))
        return SMAPS_NAMED;
    if (has_inode || starts_with(name, "/"))
        return SMAPS_FILE;
    if (starts_with(name, "[heap]"))
        return SMAPS_C_HEAP;
    if (starts_with(name, "[stack]"))
        return SMAPS_FIRST_STACK;
    return name->at == name->end ? SMAPS_ANONYMOUS : SMAPS_KERNEL;
}

/* "c000000000-c004000000 rw-p 00000000 fe:01 1837  /usr/bin/demo" */
static bool parse_header(struct line line, struct smaps_area *area)
{
    *area = (struct smaps_area){0};
    if (!take_hex(&line, '-', &area->start) || !take_hex(&line, ' ', &area->end) ||
        area->end < area->start || line.end - line.at < 5 || line.at[4] != ' ')
        return false;
    area->writable = line.at[1] == 'w';
    bool has_inode = false;
    for (unsigned field = 2; field < HEADER_FIELDS_BEFORE_NAME; field++) {
        while (line.at < line.end && *line.at != ' ')
            line.at++;
        while (line.at < line.end && *line.at == ' ')
            line.at++;
    }
    /* At the inode now: 0 for what has no file. */
    if (line.at == line.end || *line.at < '0' || *line.at > '9')
        return false;
    for (; line.at < line.end && *line.at >= '0' && *line.at <= '9'; line.at++)
        has_inode = has_inode || *line.at != '0';
    while (line.at < line.end && *line.at == ' ')
        line.at++;
    area->kind = kind_of(&line, has_inode);
    return true;
}

static void parse_value(const struct line *line, struct smaps_area *area)
{
    static const struct {
        const char *key;
        size_t offset;
    } keys[] = {
        {"Rss:", offsetof(struct smaps_area, rss_bytes)},
        {"Pss:", offsetof(struct smaps_area, pss_bytes)},
        {"Anonymous:", offsetof(struct smaps_area, anonymous_bytes)},
        {"AnonHugePages:", offsetof(struct smaps_area, huge_bytes)},
        {"Swap:", offsetof(struct smaps_area, swap_bytes)},
    };
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (take_kibibytes(line, keys[i].key, &bytes)) {
            memcpy((char *)area + keys[i].offset, &bytes, sizeof(bytes));
            return;
        }
    }
}

/* ---- the text ---- */

static struct smaps_area *append(struct smaps *smaps, size_t *capacity, struct error *err)
{
    if (smaps->count >= SMAPS_AREAS_MAX) {
        error_set(err, ERROR_LIMIT, "more than %d memory mappings", SMAPS_AREAS_MAX);
        return NULL;
    }
    if (smaps->count == *capacity) {
        const size_t wanted = *capacity == 0 ? SMAPS_FIRST_COUNT : *capacity * 2;
        void *grown = realloc(smaps->areas, wanted * sizeof(smaps->areas[0]));
        if (grown == NULL) {
            error_set(err, ERROR_NO_MEMORY, "no memory for %zu mappings", wanted);
            return NULL;
        }
        smaps->areas = grown;
        *capacity = wanted;
    }
    return &smaps->areas[smaps->count++];
}

static bool is_header(const struct line *line)
{
    return line->at < line->end && ((*line->at >= '0' && *line->at <= '9') ||
                                    (*line->at >= 'a' && *line->at <= 'f'));
}

static bool parse_lines(const char *text, size_t length, struct smaps *smaps, struct error *err)
{
    size_t capacity = 0;
    unsigned number = 0;
    uint64_t floor = 0;
    const char *const end = text + length;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const struct line line = {text, newline != NULL ? newline : end};
        text = newline != NULL ? newline + 1 : end;
        number++;
        if (!is_header(&line)) {
            if (smaps->count == 0)
                return error_set(err, ERROR_CORRUPT, "smaps: line %u belongs to no mapping",
                                 number);
            parse_value(&line, &smaps->areas[smaps->count - 1]);
            continue;
        }
        struct smaps_area *area = append(smaps, &capacity, err);
        if (area == NULL)
            return false;
        if (!parse_header(line, area) || area->start < floor)
            return error_set(err, ERROR_CORRUPT, "smaps: line %u is not a mapping", number);
        floor = area->end;
        smaps->has_go_names |= area->kind == SMAPS_GO_HEAP || area->kind == SMAPS_GO_RUNTIME;
    }
    return true;
}

bool smaps_parse(const char *text, size_t length, struct smaps *smaps, struct error *err)
{
    *smaps = (struct smaps){0};
    if (parse_lines(text, length, smaps, err))
        return true;
    smaps_release(smaps);
    return false;
}

bool smaps_read(const struct procfs *fs, pid_t pid, struct smaps *smaps, struct error *err)
{
    *smaps = (struct smaps){0};
    struct buffer text;
    buffer_init(&text, SMAPS_TEXT_MAX_BYTES);
    bool ok = procfs_load_pid(fs, pid, "smaps", &text, err);
    if (ok && !smaps_parse(text.data, text.length, smaps, err))
        ok = error_wrap(err, "pid %d", (int)pid);
    buffer_release(&text);
    return ok;
}

void smaps_release(struct smaps *smaps)
{
    free(smaps->areas);
    *smaps = (struct smaps){0};
}
