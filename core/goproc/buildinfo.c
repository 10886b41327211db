/* buildinfo.c - finds and takes apart the build information blob of a Go executable.
 *
 * Called at open and by probes.  The blob is as hostile as the rest of the file: lengths are
 * checked, text is copied into the arena. */
#include "core/goproc/buildinfo.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/goproc/elf_file.h"

static const char magic[14] = "\xff Go buildinf:";

enum {
    MAGIC_ALIGN = 16,
    HEADER_BYTES = 32,
    FLAG_BIG_ENDIAN = 1,
    FLAG_INLINE = 2,
    SENTINEL_BYTES = 16, /* on both sides of the module text */
    BLOB_MAX_BYTES = 4 << 20,
    SCAN_MAX_BYTES = 64 << 20,
    SCAN_STEP_BYTES = 1 << 20,
};

/* Takes a uvarint and that many bytes. */
static bool take_string(const char **cursor, size_t *left, const char **text, size_t *length)
{
    uint64_t value = 0;
    unsigned shift = 0;

    for (;;) {
        if (*left == 0 || shift > 56)
            return false;
        unsigned char byte = (unsigned char)**cursor;
        (*cursor)++;
        (*left)--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
        if ((byte & 0x80) == 0)
            break;
    }
    if (value > *left)
        return false;
    *text = *cursor;
    *length = (size_t)value;
    *cursor += *length;
    *left -= *length;
    return true;
}

/* One line: word TAB word TAB word ... */
struct words {
    const char *text[4];
    size_t length[4];
    size_t count;
};

static struct words split_line(const char *line, size_t length)
{
    struct words words = {0};

    while (words.count < 4) {
        const char *tab = memchr(line, '\t', length);
        size_t here = tab == NULL ? length : (size_t)(tab - line);
        words.text[words.count] = line;
        words.length[words.count++] = here;
        if (tab == NULL)
            break;
        line += here + 1;
        length -= here + 1;
    }
    return words;
}

static bool word_is(const struct words *words, size_t index, const char *text)
{
    return index < words->count && words->length[index] == strlen(text) &&
           memcmp(words->text[index], text, words->length[index]) == 0;
}

static const char *word_copy(const struct words *words, size_t index, struct arena *arena)
{
    if (index >= words->count)
        return "";
    const char *copy = arena_copy_string(arena, words->text[index], words->length[index]);
    return copy != NULL ? copy : "";
}

/* "build" lines hold KEY=VALUE; either side may be quoted, which we keep as it is. */
static void take_setting(const struct words *words, struct arena *arena, struct key_value *settings,
                         struct buildinfo *info)
{
    if (info->setting_count == BUILDINFO_SETTINGS_MAX || words->count < 2)
        return;
    const char *equals = memchr(words->text[1], '=', words->length[1]);
    if (equals == NULL)
        return;
    size_t key_length = (size_t)(equals - words->text[1]);
    const char *key = arena_copy_string(arena, words->text[1], key_length);
    const char *value = arena_copy_string(arena, equals + 1, words->length[1] - key_length - 1);
    if (key == NULL || value == NULL)
        return;
    settings[info->setting_count++] = (struct key_value){key, value};
    if (strcmp(key, "vcs.revision") == 0)
        info->vcs_revision = value;
    else if (strcmp(key, "vcs.time") == 0)
        info->vcs_time = value;
    else if (strcmp(key, "vcs.modified") == 0)
        info->vcs_modified = value;
}

/* The dependencies met so far; how many there are is known only at the end. */
struct dependencies {
    struct module_dependency *list;
    size_t count;
    size_t capacity;
    size_t bytes;
};

/* "dep" lines hold path, version and sum; a line "=>" after one names what stands in for it. */
static bool take_dependency(const struct words *words, struct arena *arena,
                            struct dependencies *dependencies)
{
    dependencies->bytes += words->length[1] + words->length[2];
    if (dependencies->count == BUILDINFO_DEPENDENCIES_MAX ||
        dependencies->bytes > BUILDINFO_DEPENDENCIES_MAX_BYTES)
        return true;
    if (dependencies->count == dependencies->capacity) {
        const size_t capacity = dependencies->capacity == 0 ? 64 : dependencies->capacity * 2;
        struct module_dependency *list =
            realloc(dependencies->list, capacity * sizeof(*list));
        if (list == NULL)
            return false;
        dependencies->list = list;
        dependencies->capacity = capacity;
    }
    dependencies->list[dependencies->count++] =
        (struct module_dependency){.path = word_copy(words, 1, arena),
                                   .version = word_copy(words, 2, arena),
                                   .replacement = ""};
    return true;
}

static void take_replacement(const struct words *words, struct arena *arena,
                             struct dependencies *dependencies)
{
    if (dependencies->count == 0 || words->count < 2)
        return;
    dependencies->bytes += words->length[1] + words->length[2];
    if (dependencies->bytes > BUILDINFO_DEPENDENCIES_MAX_BYTES)
        return;
    /* A replacement by a folder has no version. */
    const bool has_version = words->count > 2 && words->length[2] > 0;
    const size_t length = words->length[1] + (has_version ? 1 + words->length[2] : 0);
    char *text = arena_alloc(arena, length + 1);
    if (text == NULL)
        return;
    memcpy(text, words->text[1], words->length[1]);
    if (has_version) {
        text[words->length[1]] = '@';
        memcpy(text + words->length[1] + 1, words->text[2], words->length[2]);
    }
    text[length] = '\0';
    dependencies->list[dependencies->count - 1].replacement = text;
}

/* Moves them into [arena]. */
static bool keep_dependencies(struct dependencies *dependencies, struct arena *arena,
                              struct buildinfo *info)
{
    struct module_dependency *kept =
        arena_alloc_array(arena, dependencies->count, sizeof(*kept));
    if (kept != NULL && dependencies->count > 0)
        memcpy(kept, dependencies->list, dependencies->count * sizeof(*kept));
    info->dependencies = kept;
    info->dependency_count = kept == NULL ? 0 : dependencies->count;
    return kept != NULL;
}

static bool parse_modules(const char *text, size_t length, struct arena *arena,
                          struct buildinfo *info, struct error *err)
{
    struct key_value *settings =
        arena_alloc_array(arena, BUILDINFO_SETTINGS_MAX, sizeof(*settings));
    if (settings == NULL)
        return error_set(err, ERROR_NO_MEMORY, "build info: no memory");
    struct dependencies dependencies = {.count = 0};
    bool ok = true;
    while (length > 0) {
        const char *newline = memchr(text, '\n', length);
        size_t here = newline == NULL ? length : (size_t)(newline - text);
        struct words words = split_line(text, here);
        if (word_is(&words, 0, "path"))
            info->path = word_copy(&words, 1, arena);
        else if (word_is(&words, 0, "mod")) {
            info->module_path = word_copy(&words, 1, arena);
            info->module_version = word_copy(&words, 2, arena);
        } else if (word_is(&words, 0, "build"))
            take_setting(&words, arena, settings, info);
        else if (word_is(&words, 0, "dep"))
            ok = take_dependency(&words, arena, &dependencies) && ok;
        else if (word_is(&words, 0, "=>"))
            take_replacement(&words, arena, &dependencies);
        if (newline == NULL)
            break;
        text += here + 1;
        length -= here + 1;
    }
    info->settings = settings;
    ok = keep_dependencies(&dependencies, arena, info) && ok;
    free(dependencies.list);
    return ok || error_set(err, ERROR_NO_MEMORY, "build info: no memory");
}

static bool take_version(const char *text, size_t length, struct arena *arena,
                         struct buildinfo *info, struct error *err)
{
    if (length == 0 || length > BUILDINFO_VERSION_MAX_BYTES)
        return error_set(err, ERROR_CORRUPT, "build info: a Go version of %zu bytes", length);
    info->go_version = arena_copy_string(arena, text, length);
    if (info->go_version == NULL)
        return error_set(err, ERROR_NO_MEMORY, "build info: no memory");
    return true;
}

bool buildinfo_parse(const char *bytes, size_t length, struct arena *arena, struct buildinfo *info,
                     struct error *err)
{
    *info = (struct buildinfo){
        .go_version = "", .path = "", .module_path = "", .module_version = "", .vcs_revision = "",
        .vcs_time = "", .vcs_modified = ""};
    if (length < HEADER_BYTES || memcmp(bytes, magic, sizeof(magic)) != 0)
        return error_set(err, ERROR_NOT_FOUND, "build info: no magic");
    if ((bytes[15] & FLAG_INLINE) == 0)
        return error_set(err, ERROR_UNSUPPORTED, "build info of Go 1.17 or older");

    const char *cursor = bytes + HEADER_BYTES;
    size_t left = length - HEADER_BYTES;
    const char *version, *modules;
    size_t version_length, modules_length;
    if (!take_string(&cursor, &left, &version, &version_length) ||
        !take_string(&cursor, &left, &modules, &modules_length))
        return error_set(err, ERROR_CORRUPT, "build info: a string longer than the blob");
    if (!take_version(version, version_length, arena, info, err))
        return false;
    /* Without its sentinels the module text is not what it should be: then it counts as absent. */
    if (modules_length <= 2 * SENTINEL_BYTES ||
        modules[modules_length - SENTINEL_BYTES - 1] != '\n')
        return true;
    return parse_modules(modules + SENTINEL_BYTES, modules_length - 2 * SENTINEL_BYTES, arena, info,
                         err);
}

/* Up to 1.17 the header points to a Go string for the version: enough to name it. */
static bool parse_old(const struct elf_file *elf, const char *header, struct arena *arena,
                      struct buildinfo *info, struct error *err)
{
    uint64_t pointer;
    uint64_t string[2];
    char version[BUILDINFO_VERSION_MAX_BYTES];

    if (header[14] != 8 || (header[15] & FLAG_BIG_ENDIAN) != 0)
        return error_set(err, ERROR_UNSUPPORTED, "build info of another machine");
    memcpy(&pointer, header + 16, sizeof(pointer));
    if (!elf_file_read_address(elf, pointer, string, sizeof(string), err))
        return false;
    if (string[1] == 0 || string[1] > sizeof(version))
        return error_set(err, ERROR_CORRUPT, "build info: a Go version of %llu bytes",
                         (unsigned long long)string[1]);
    return elf_file_read_address(elf, string[0], version, (size_t)string[1], err) &&
           take_version(version, (size_t)string[1], arena, info, err);
}

static bool read_blob(const struct elf_file *elf, uint64_t offset, uint64_t room_bytes,
                      struct arena *arena, struct buildinfo *info, struct error *err)
{
    size_t bytes = room_bytes < BLOB_MAX_BYTES ? (size_t)room_bytes : BLOB_MAX_BYTES;
    char *blob = malloc(bytes + 1);
    if (blob == NULL)
        return error_set(err, ERROR_NO_MEMORY, "build info: no memory");
    bool ok = elf_file_read(elf, offset, blob, bytes, err);
    if (ok) {
        struct error parse_error = {0};
        ok = buildinfo_parse(blob, bytes, arena, info, &parse_error);
        if (!ok && parse_error.code == ERROR_UNSUPPORTED)
            ok = parse_old(elf, blob, arena, info, err);
        else if (!ok)
            error_set(err, parse_error.code, "%s", parse_error.message);
    }
    free(blob);
    return ok;
}

/* Without section headers the blob is at the start of the writable data, 16-byte aligned. */
static bool scan_segment(const struct elf_file *elf, const struct elf_segment *segment,
                         uint64_t *found)
{
    uint64_t end = segment->file_bytes < SCAN_MAX_BYTES ? segment->file_bytes : SCAN_MAX_BYTES;
    char *chunk = malloc(SCAN_STEP_BYTES);
    bool hit = false;

    for (uint64_t at = 0; chunk != NULL && !hit && at + HEADER_BYTES <= end;
         at += SCAN_STEP_BYTES) {
        size_t bytes = end - at < SCAN_STEP_BYTES ? (size_t)(end - at) : SCAN_STEP_BYTES;
        if (!elf_file_read(elf, segment->offset + at, chunk, bytes, NULL))
            break;
        for (size_t i = 0; !hit && i + MAGIC_ALIGN <= bytes; i += MAGIC_ALIGN) {
            hit = memcmp(chunk + i, magic, sizeof(magic)) == 0;
            if (hit)
                *found = at + i;
        }
    }
    free(chunk);
    return hit;
}

bool buildinfo_read(const struct elf_file *elf, struct arena *arena, struct buildinfo *info,
                    struct error *err)
{
    const struct elf_section *section = elf_file_section(elf, ".go.buildinfo");
    if (section != NULL && section->bytes >= HEADER_BYTES)
        return read_blob(elf, section->offset, section->bytes, arena, info, err);

    size_t count;
    const struct elf_segment *segments = elf_file_segments(elf, &count);
    for (size_t i = 0; i < count; i++) {
        uint64_t at;
        if (!segments[i].writable)
            continue;
        if (scan_segment(elf, &segments[i], &at))
            return read_blob(elf, segments[i].offset + at, segments[i].file_bytes - at, arena, info,
                             err);
        break; /* the linker puts it into the first writable segment */
    }
    return error_set(err, ERROR_NOT_FOUND, "no build info");
}
