/* go_type.c - name, size and kind of a Go type.
 *
 * Called by alloc_type.c for the type that a call passes to its allocator. */
#include "core/goproc/go_type.h"

#include <string.h>

#include "core/goproc/elf_file.h"

enum {
    TYPE_BYTES = 48,
    AT_SIZE = 0,
    AT_POINTER_BYTES = 8,
    AT_FLAGS = 20,
    AT_KIND = 23,
    AT_NAME = 40,
    FLAG_EXTRA_STAR = 1 << 1, /* the text begins with a '*' that is not part of the name */
    KIND_MASK = (1 << 5) - 1,
    NAME_HEAD_BYTES = 1 + 4, /* flags, and at most four bytes of length */
    NAME_TEXT_MAX_BYTES = 1 << 20,
};

static uint64_t word_at(const unsigned char *bytes, size_t at)
{
    uint64_t word;
    memcpy(&word, bytes + at, sizeof(word));
    return word;
}

/* How many bytes the length takes; 0 if it is none that a name can have. */
static size_t read_length(const unsigned char *bytes, size_t count, uint64_t *length)
{
    *length = 0;
    for (size_t i = 0; i < count; i++) {
        *length |= (uint64_t)(bytes[i] & 0x7f) << (7 * i);
        if ((bytes[i] & 0x80) == 0)
            return *length <= NAME_TEXT_MAX_BYTES ? i + 1 : 0;
    }
    return 0;
}

/* Cuts at a whole character of UTF-8. */
static void cut(char *name, size_t length)
{
    static const char dots[] = "...";

    length -= sizeof(dots) - 1;
    while (length > 0 && ((unsigned char)name[length] & 0xc0) == 0x80)
        length--;
    memcpy(name + length, dots, sizeof(dots));
}

static bool read_name(const struct elf_file *elf, uint64_t linked, uint64_t room, bool extra_star,
                      char name[GO_TYPE_NAME_MAX_BYTES + 1])
{
    unsigned char bytes[NAME_HEAD_BYTES + 1 + GO_TYPE_NAME_MAX_BYTES];
    const uint64_t in_file = elf_file_room(elf, linked);
    uint64_t length;

    if (room > in_file)
        room = in_file;
    const size_t count = room < sizeof(bytes) ? (size_t)room : sizeof(bytes);
    if (count < NAME_HEAD_BYTES || !elf_file_read_address(elf, linked, bytes, count, NULL))
        return false;
    size_t at = 1 + read_length(bytes + 1, NAME_HEAD_BYTES - 1, &length);
    if (at == 1 || length <= (extra_star ? 1U : 0U) || length > room - at)
        return false;
    if (extra_star) {
        if (bytes[at] != '*')
            return false;
        at++;
        length--;
    }
    const size_t kept = length <= GO_TYPE_NAME_MAX_BYTES ? (size_t)length : GO_TYPE_NAME_MAX_BYTES;
    memcpy(name, bytes + at, kept);
    name[kept] = '\0';
    for (size_t i = 0; i < kept; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            return false;
    if (length > kept)
        cut(name, kept);
    return true;
}

bool go_type_read(const struct elf_file *elf, uint64_t bias, const struct module_range *types,
                  uint64_t address, struct go_type *type)
{
    unsigned char bytes[TYPE_BYTES];
    int32_t name;

    if (address % 8 != 0 || types->start < bias || types->end <= types->start ||
        address < types->start || address >= types->end || types->end - address < TYPE_BYTES ||
        !elf_file_read_address(elf, address - bias, bytes, sizeof(bytes), NULL))
        return false;
    type->size = word_at(bytes, AT_SIZE);
    type->kind = bytes[AT_KIND] & KIND_MASK;
    memcpy(&name, bytes + AT_NAME, sizeof(name));
    if (type->kind == 0 || type->kind > GO_KIND_LAST ||
        word_at(bytes, AT_POINTER_BYTES) > type->size || name <= 0 ||
        (uint64_t)name >= types->end - types->start)
        return false;
    return read_name(elf, types->start + (uint64_t)name - bias,
                     types->end - types->start - (uint64_t)name,
                     (bytes[AT_FLAGS] & FLAG_EXTRA_STAR) != 0, type->name);
}
