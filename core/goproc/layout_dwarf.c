/* layout_dwarf.c - asks debug information for the places in go_layout_places.h.
 *
 * Called by go_process.c for versions that are not known.  libdw (elfutils) does the parsing, from
 * a copy that it reads: the file is never mapped, since it may shrink. */
#include "core/goproc/layout_dwarf.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/go_layout_places.h"

enum {
    TYPEDEFS_MAX = 16,
    MEMBERS_MAX = 4096,
    ENTRIES_MAX = 4 << 20,
    STRINGS_MAX = 12,
};
#define DEBUG_MAX_BYTES (UINT64_C(512) << 20)

enum place_kind { PLACE_OFFSET, PLACE_SIZE, PLACE_VALUE };
enum place_presence {
    PLACE_NEEDED,
    PLACE_NEEDED_SINCE_19,
    PLACE_ABSENT_IN_SOME,
    PLACE_UNLINKED_IN_SOME,
};

struct place {
    const char *member;
    size_t at; /* in struct go_layout; for a fixed one the number that it must be */
    enum place_kind kind;
    enum place_presence presence;
    const char *name;
    const char *path;
};

static const struct place places[] = {
#define PLACE(member, kind, presence, name, path)                                                  \
    {#member, offsetof(struct go_layout, member), PLACE_##kind, PLACE_##presence, name, path},
    GO_LAYOUT_PLACES(PLACE)
#undef PLACE
};
static const struct place fixed_places[] = {
#define PLACE(member, name, path) {#member, member, PLACE_OFFSET, PLACE_NEEDED, name, path},
    GO_LAYOUT_FIXED_PLACES(PLACE)
#undef PLACE
};
enum {
    PLACE_COUNT = sizeof(places) / sizeof(places[0]),
    FIXED_COUNT = sizeof(fixed_places) / sizeof(fixed_places[0]),
};

/* What was learned of a place. */
struct answer {
    bool owner_seen; /* the struct */
    bool found;
    uint64_t number;
};

/* One section's bytes, as libelf has them. */
struct strings {
    uintptr_t start;
    size_t length;
};

struct search {
    struct strings strings[STRINGS_MAX]; /* where names may lie */
    size_t strings_count;
    struct answer places[PLACE_COUNT];
    struct answer fixed[FIXED_COUNT];
    size_t entries;
};

/* The name of [die], or NULL.  libdw hands out names that stand in .debug_info itself without
 * looking for their end, so each is looked for here. */
static const char *name_of(const struct search *search, Dwarf_Die *die)
{
    const char *name = dwarf_diename(die);
    uintptr_t at = (uintptr_t)name;

    for (size_t i = 0; name != NULL && i < search->strings_count; i++) {
        const struct strings *strings = &search->strings[i];
        if (at >= strings->start && at - strings->start < strings->length)
            return memchr(name, '\0', strings->length - (at - strings->start)) != NULL ? name
                                                                                       : NULL;
    }
    return NULL;
}

/* One struct. */

static bool unsigned_attribute(Dwarf_Die *die, unsigned name, uint64_t *number)
{
    Dwarf_Attribute attribute;
    Dwarf_Word word;

    if (dwarf_attr(die, name, &attribute) == NULL)
        return false;
    if (dwarf_formudata(&attribute, &word) != 0) {
        /* Or as an expression that adds a constant, as older linkers put it. */
        Dwarf_Op *operation;
        size_t length;
        if (dwarf_getlocation(&attribute, &operation, &length) != 0 || length != 1 ||
            operation[0].atom != DW_OP_plus_uconst)
            return false;
        word = operation[0].number;
    }
    *number = word;
    return true;
}

static bool find_member(const struct search *search, Dwarf_Die *structure, const char *name,
                        size_t name_length, Dwarf_Die *member)
{
    int status = dwarf_child(structure, member);

    for (size_t i = 0; status == 0 && i < MEMBERS_MAX; i++) {
        const char *its_name = name_of(search, member);
        if (dwarf_tag(member) == DW_TAG_member && its_name != NULL &&
            strlen(its_name) == name_length && memcmp(its_name, name, name_length) == 0)
            return true;
        status = dwarf_siblingof(member, member);
    }
    return false;
}

/* The type of [member], with the names that were given to it taken off. */
static bool type_of(Dwarf_Die *member, Dwarf_Die *type)
{
    Dwarf_Attribute attribute;
    Dwarf_Die *from = member;

    for (size_t i = 0; i < TYPEDEFS_MAX; i++) {
        Dwarf_Die next;
        if (dwarf_attr(from, DW_AT_type, &attribute) == NULL ||
            dwarf_formref_die(&attribute, &next) == NULL)
            return false;
        *type = next;
        if (dwarf_tag(type) != DW_TAG_typedef)
            return true;
        from = type;
    }
    return false;
}

/* The offset of a dotted path of members. */
static bool offset_in(const struct search *search, Dwarf_Die *structure, const char *path,
                      uint64_t *offset)
{
    Dwarf_Die current = *structure, member;

    *offset = 0;
    for (;;) {
        uint64_t step;
        size_t length = strcspn(path, ".");
        if (!find_member(search, &current, path, length, &member) ||
            !unsigned_attribute(&member, DW_AT_data_member_location, &step))
            return false;
        *offset += step;
        if (path[length] == '\0')
            return *offset < UINT32_MAX;
        path += length + 1;
        if (!type_of(&member, &current))
            return false;
    }
}

static void ask(const struct search *search, const struct place *list, size_t count, Dwarf_Die *die,
                const char *name, struct answer *answers)
{
    bool is_constant = dwarf_tag(die) == DW_TAG_constant;

    for (size_t i = 0; i < count; i++) {
        if ((list[i].kind == PLACE_VALUE) != is_constant || strcmp(list[i].name, name) != 0)
            continue;
        answers[i].owner_seen = true;
        switch (list[i].kind) {
        case PLACE_OFFSET:
            answers[i].found = offset_in(search, die, list[i].path, &answers[i].number);
            break;
        case PLACE_SIZE:
            answers[i].found = unsigned_attribute(die, DW_AT_byte_size, &answers[i].number);
            break;
        case PLACE_VALUE:
            answers[i].found = unsigned_attribute(die, DW_AT_const_value, &answers[i].number);
            break;
        }
        answers[i].found = answers[i].found && answers[i].number < UINT32_MAX;
    }
}

/* All units. */

static void search_unit(Dwarf_Die *unit, struct search *search)
{
    Dwarf_Die die;
    int status = dwarf_child(unit, &die);

    for (; status == 0 && search->entries < ENTRIES_MAX; search->entries++) {
        int tag = dwarf_tag(&die);
        const char *name =
            tag == DW_TAG_structure_type || tag == DW_TAG_constant ? name_of(search, &die) : NULL;
        if (name != NULL) {
            ask(search, places, PLACE_COUNT, &die, name, search->places);
            ask(search, fixed_places, FIXED_COUNT, &die, name, search->fixed);
        }
        status = dwarf_siblingof(&die, &die);
    }
}

static void search_units(Dwarf *dwarf, struct search *search)
{
    Dwarf_CU *unit = NULL;
    Dwarf_Die die;

    while (dwarf_get_units(dwarf, unit, &unit, NULL, NULL, &die, NULL) == 0) {
        const char *package = name_of(search, &die);
        if (package != NULL && (strncmp(package, "runtime", strlen("runtime")) == 0 ||
                                strncmp(package, "internal/", strlen("internal/")) == 0))
            search_unit(&die, search);
    }
}

/* What the sections say they unpack to is the file's word for it: bounded before it is done. */
static bool sizes_are_sane(Elf *elf)
{
    uint64_t total = 0;

    for (Elf_Scn *section = elf_nextscn(elf, NULL); section != NULL;
         section = elf_nextscn(elf, section)) {
        GElf_Shdr header;
        GElf_Chdr packed;
        if (gelf_getshdr(section, &header) == NULL)
            return false;
        uint64_t bytes = header.sh_size;
        if ((header.sh_flags & SHF_COMPRESSED) != 0) {
            if (gelf_getchdr(section, &packed) == NULL)
                return false;
            bytes = packed.ch_size;
        }
        if (header.sh_type == SHT_NOBITS || (header.sh_flags & SHF_ALLOC) != 0)
            continue;
        if (bytes > DEBUG_MAX_BYTES || (total += bytes) > DEBUG_MAX_BYTES)
            return false;
    }
    return true;
}

static void add_strings(struct search *search, const Elf_Data *data)
{
    if (data != NULL && data->d_buf != NULL && search->strings_count < STRINGS_MAX)
        search->strings[search->strings_count++] =
            (struct strings){(uintptr_t)data->d_buf, data->d_size};
}

/* After libdw has opened it: what was packed is then unpacked.  Whether it takes a section as it is
 * or as converted is its own affair. */
static void find_strings(Elf *elf, struct search *search)
{
    static const char *const sections[] = {".debug_info", ".debug_str", ".debug_line_str"};
    size_t names;

    if (elf_getshdrstrndx(elf, &names) != 0)
        return;
    for (Elf_Scn *section = elf_nextscn(elf, NULL); section != NULL;
         section = elf_nextscn(elf, section)) {
        GElf_Shdr header;
        const char *name =
            gelf_getshdr(section, &header) != NULL ? elf_strptr(elf, names, header.sh_name) : NULL;
        for (size_t i = 0; name != NULL && i < sizeof(sections) / sizeof(sections[0]); i++)
            if (strcmp(name, sections[i]) == 0) {
                add_strings(search, elf_rawdata(section, NULL));
                add_strings(search, elf_getdata(section, NULL));
            }
    }
}

static bool take(const struct search *search, struct go_layout *layout, struct error *err)
{
    for (size_t i = 0; i < FIXED_COUNT; i++)
        if (!search->fixed[i].found || search->fixed[i].number != fixed_places[i].at)
            return error_set(err, ERROR_UNSUPPORTED, "%s.%s is not where it always was",
                             fixed_places[i].name, fixed_places[i].path);
    for (size_t i = 0, next; i < PLACE_COUNT; i = next) {
        uint32_t number = GO_LAYOUT_ABSENT;
        bool owner_seen = false, found = false;
        for (next = i; next < PLACE_COUNT && places[next].at == places[i].at; next++) {
            owner_seen |= search->places[next].owner_seen;
            if (!found && search->places[next].found) {
                found = true;
                number = (uint32_t)search->places[next].number;
            }
        }
        const bool needed = places[i].presence == PLACE_NEEDED ||
                            (places[i].presence == PLACE_NEEDED_SINCE_19 && layout->minor >= 19);
        if (!found &&
            (needed || (!owner_seen && places[i].presence != PLACE_UNLINKED_IN_SOME)))
            return error_set(err, ERROR_UNSUPPORTED, "%s has no %s", places[i].name,
                             places[i].path[0] != '\0' ? places[i].path : "size");
        memcpy((char *)layout + places[i].at, &number, sizeof(number));
    }
    layout->size_exact = layout->record_cycle_bytes == 2 * sizeof(uint64_t);
    return layout->size_exact || layout->record_cycle_bytes == 4 * sizeof(uint64_t) ||
           error_set(err, ERROR_UNSUPPORTED, "runtime.memRecordCycle has %u bytes",
                     layout->record_cycle_bytes);
}

bool layout_dwarf_apply(const struct elf_file *elf, struct go_layout *layout, struct error *err)
{
    struct search search = {.entries = 0};
    struct go_layout updated = *layout;
    Dwarf *dwarf = NULL;

    if (elf_version(EV_CURRENT) == EV_NONE)
        return error_set(err, ERROR_SYSTEM, "libelf: %s", elf_errmsg(-1));
    Elf *copy = elf_begin(elf_file_descriptor(elf), ELF_C_READ, NULL);
    if (copy != NULL && sizes_are_sane(copy))
        dwarf = dwarf_begin_elf(copy, DWARF_C_READ, NULL);
    if (dwarf != NULL) {
        find_strings(copy, &search);
        search_units(dwarf, &search);
    }
    bool is_go = search.places[0].owner_seen;
    bool ok = is_go && take(&search, &updated, err);
    if (ok)
        *layout = updated;
    else if (!is_go)
        error_set(err, ERROR_NOT_FOUND, "it has no debug information of Go's runtime");
    if (dwarf != NULL)
        dwarf_end(dwarf);
    if (copy != NULL)
        elf_end(copy);
    return ok;
}
