/* elf_file.c - reads what we need of an executable, one bounded pread at a time.
 *
 * Called when a process is opened or probed, on the thread that does so.  Layouts are those of
 * <elf.h> (System V ABI); notes: GNU build id is type 3 of "GNU", Go's is type 4 of "Go"
 * (cmd/link/internal/ld/elf.go, ELF_NOTE_GOBUILDID_TAG, unchanged from Go 1.5 to 1.27). */
#include "core/goproc/elf_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SECTION_NAMES_MAX_BYTES = 4 << 20,
    SYMBOL_NAMES_MAX_BYTES = 256 << 20,
    SYMBOLS_PER_READ = 2048,
    NOTES_MAX_BYTES = 64 << 10,
    NOTE_TYPE_GO_BUILD_ID = 4,
};

struct elf_file {
    int fd;
    uint64_t file_bytes;
    struct elf_identity identity;
    enum elf_machine machine;
    bool relocatable;
    struct elf_segment *segments;
    size_t segment_count;
    struct elf_section *sections;
    size_t section_count;
    char *section_names;
    char gnu_build_id[2 * ELF_BUILD_ID_MAX_BYTES + 1];
    char go_build_id[ELF_GO_BUILD_ID_MAX_BYTES];
};

bool elf_file_read(const struct elf_file *elf, uint64_t offset, void *into, size_t length,
                   struct error *err)
{
    if (offset > elf->file_bytes || length > elf->file_bytes - offset)
        return error_set(err, ERROR_CORRUPT, "ELF: %zu bytes at offset 0x%llx lie past the end",
                         length, (unsigned long long)offset);
    char *cursor = into;
    while (length > 0) {
        ssize_t got = pread(elf->fd, cursor, length, (off_t)offset);
        if (got == -1 && errno == EINTR)
            continue;
        if (got == -1)
            return error_set(err, ERROR_SYSTEM, "ELF: pread: %s", error_errno_text(errno));
        if (got == 0)
            return error_set(err, ERROR_CORRUPT, "ELF: the file shrank while it was read");
        cursor += got;
        offset += (uint64_t)got;
        length -= (size_t)got;
    }
    return true;
}

/* Opening: header, segments, sections, notes. */

static bool check_header(struct elf_file *elf, const Elf64_Ehdr *header, struct error *err)
{
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return error_set(err, ERROR_UNSUPPORTED, "not an ELF file");
    if (header->e_ident[EI_CLASS] != ELFCLASS64)
        return error_set(err, ERROR_UNSUPPORTED, "a 32-bit program: only 64-bit ones can be read");
    if (header->e_ident[EI_DATA] != ELFDATA2LSB)
        return error_set(err, ERROR_UNSUPPORTED,
                         "a big-endian program: only little-endian ones can be read");
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return error_set(err, ERROR_UNSUPPORTED, "an ELF file of type %u: not an executable",
                         header->e_type);
    if (header->e_phnum == 0 || header->e_phentsize != sizeof(Elf64_Phdr))
        return error_set(err, ERROR_CORRUPT, "ELF: no usable program headers");
    if (header->e_phnum > ELF_SEGMENTS_MAX)
        return error_set(err, ERROR_LIMIT, "ELF: %u program headers, allowed are %d",
                         header->e_phnum, ELF_SEGMENTS_MAX);
    elf->relocatable = header->e_type == ET_DYN;
    elf->machine = header->e_machine == EM_X86_64    ? ELF_MACHINE_X86_64
                   : header->e_machine == EM_AARCH64 ? ELF_MACHINE_AARCH64
                                                     : ELF_MACHINE_OTHER;
    return true;
}

static void hex_of(const unsigned char *bytes, size_t count, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * count] = '\0';
}

static void take_note(struct elf_file *elf, uint32_t type, const char *name, size_t name_bytes,
                      const unsigned char *value, size_t value_bytes)
{
    if (type == NT_GNU_BUILD_ID && name_bytes == 4 && memcmp(name, "GNU", 4) == 0 &&
        value_bytes <= ELF_BUILD_ID_MAX_BYTES)
        hex_of(value, value_bytes, elf->gnu_build_id);
    else if (type == NOTE_TYPE_GO_BUILD_ID && name_bytes == 4 && memcmp(name, "Go\0", 4) == 0 &&
             value_bytes < ELF_GO_BUILD_ID_MAX_BYTES) {
        memcpy(elf->go_build_id, value, value_bytes);
        elf->go_build_id[value_bytes] = '\0';
    }
}

/* A note segment that makes no sense costs us the build id and nothing else. */
static void read_notes(struct elf_file *elf, uint64_t offset, uint64_t bytes)
{
    if (bytes > NOTES_MAX_BYTES)
        return;
    unsigned char *notes = malloc((size_t)bytes + 1);
    if (notes == NULL)
        return;
    size_t left = elf_file_read(elf, offset, notes, (size_t)bytes, NULL) ? (size_t)bytes : 0;
    const unsigned char *cursor = notes;
    while (left >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        memcpy(&note, cursor, sizeof(note));
        size_t name_bytes = ((size_t)note.n_namesz + 3) & ~(size_t)3;
        size_t value_bytes = ((size_t)note.n_descsz + 3) & ~(size_t)3;
        if (name_bytes > left - sizeof(note) || value_bytes > left - sizeof(note) - name_bytes)
            break;
        take_note(elf, note.n_type, (const char *)cursor + sizeof(note), note.n_namesz,
                  cursor + sizeof(note) + name_bytes, note.n_descsz);
        cursor += sizeof(note) + name_bytes + value_bytes;
        left -= sizeof(note) + name_bytes + value_bytes;
    }
    free(notes);
}

static bool read_segments(struct elf_file *elf, const Elf64_Ehdr *header, struct error *err)
{
    size_t bytes = (size_t)header->e_phnum * sizeof(Elf64_Phdr);
    Elf64_Phdr *headers = malloc(bytes);
    elf->segments = calloc(header->e_phnum, sizeof(*elf->segments));
    if (headers == NULL || elf->segments == NULL) {
        free(headers);
        return error_set(err, ERROR_NO_MEMORY, "ELF: no memory for program headers");
    }
    bool ok = elf_file_read(elf, header->e_phoff, headers, bytes, err);
    for (size_t i = 0; ok && i < header->e_phnum; i++) {
        const Elf64_Phdr *from = &headers[i];
        if (from->p_type == PT_NOTE)
            read_notes(elf, from->p_offset, from->p_filesz);
        if (from->p_type != PT_LOAD)
            continue;
        if (from->p_filesz > from->p_memsz || from->p_vaddr > UINT64_MAX - from->p_memsz)
            ok = error_set(err, ERROR_CORRUPT, "ELF: segment %zu has impossible sizes", i);
        elf->segments[elf->segment_count++] = (struct elf_segment){
            .address = from->p_vaddr,
            .offset = from->p_offset,
            .file_bytes = from->p_filesz,
            .memory_bytes = from->p_memsz,
            .readable = (from->p_flags & PF_R) != 0,
            .writable = (from->p_flags & PF_W) != 0,
            .executable = (from->p_flags & PF_X) != 0,
        };
    }
    free(headers);
    if (ok && elf->segment_count == 0)
        return error_set(err, ERROR_CORRUPT, "ELF: nothing in it is to be loaded");
    return ok;
}

static bool read_section_names(struct elf_file *elf, const Elf64_Shdr *names, struct error *err)
{
    if (names->sh_size > SECTION_NAMES_MAX_BYTES)
        return error_set(err, ERROR_LIMIT, "ELF: %llu bytes of section names",
                         (unsigned long long)names->sh_size);
    size_t bytes = (size_t)names->sh_size;
    elf->section_names = malloc(bytes + 1);
    if (elf->section_names == NULL)
        return error_set(err, ERROR_NO_MEMORY, "ELF: no memory for section names");
    elf->section_names[bytes] = '\0';
    return elf_file_read(elf, names->sh_offset, elf->section_names, bytes, err);
}

/* Section headers may be missing altogether (sstrip): everything we must know is found without. */
static bool read_sections(struct elf_file *elf, const Elf64_Ehdr *header, struct error *err)
{
    size_t count = header->e_shnum;
    if (count == 0 || header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shstrndx >= count)
        return true;
    Elf64_Shdr *headers = malloc(count * sizeof(*headers));
    elf->sections = calloc(count, sizeof(*elf->sections));
    if (headers == NULL || elf->sections == NULL) {
        free(headers);
        return error_set(err, ERROR_NO_MEMORY, "ELF: no memory for section headers");
    }
    bool ok = elf_file_read(elf, header->e_shoff, headers, count * sizeof(*headers), err) &&
              read_section_names(elf, &headers[header->e_shstrndx], err);
    for (size_t i = 0; ok && i < count; i++) {
        const Elf64_Shdr *from = &headers[i];
        bool named = from->sh_name < headers[header->e_shstrndx].sh_size;
        elf->sections[elf->section_count++] = (struct elf_section){
            .name = named ? elf->section_names + from->sh_name : "",
            .address = from->sh_addr,
            .offset = from->sh_offset,
            .bytes = from->sh_size,
            .type = from->sh_type,
            .link = from->sh_link,
        };
        /* Go's own linker leaves the GNU build id out of the note segment. */
        if (from->sh_type == SHT_NOTE)
            read_notes(elf, from->sh_offset, from->sh_size);
    }
    free(headers);
    return ok;
}

static uint64_t ns_of(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * UINT64_C(1000000000) + (uint64_t)time->tv_nsec;
}

struct elf_file *elf_file_open(int fd, struct error *err)
{
    struct stat status;
    Elf64_Ehdr header;
    struct elf_file *elf = calloc(1, sizeof(*elf));

    if (elf == NULL) {
        close(fd);
        error_set(err, ERROR_NO_MEMORY, "ELF: no memory");
        return NULL;
    }
    elf->fd = fd;
    if (fstat(fd, &status) == -1) {
        error_set(err, ERROR_SYSTEM, "ELF: fstat: %s", error_errno_text(errno));
        goto fail;
    }
    if (!S_ISREG(status.st_mode) || status.st_size < (off_t)sizeof(header)) {
        error_set(err, ERROR_UNSUPPORTED, "not an ELF file");
        goto fail;
    }
    elf->file_bytes = (uint64_t)status.st_size;
    elf->identity = (struct elf_identity){.device = (uint64_t)status.st_dev,
                                          .inode = (uint64_t)status.st_ino,
                                          .file_bytes = elf->file_bytes,
                                          .modified_ns = ns_of(&status.st_mtim),
                                          .changed_ns = ns_of(&status.st_ctim)};
    if (!elf_file_read(elf, 0, &header, sizeof(header), err) || !check_header(elf, &header, err) ||
        !read_segments(elf, &header, err) || !read_sections(elf, &header, err))
        goto fail;
    return elf;

fail:
    elf_file_close(elf);
    return NULL;
}

void elf_file_close(struct elf_file *elf)
{
    if (elf == NULL)
        return;
    close(elf->fd);
    free(elf->segments);
    free(elf->sections);
    free(elf->section_names);
    free(elf);
}

/* Getters. */

enum elf_machine elf_file_machine(const struct elf_file *elf)
{
    return elf->machine;
}

bool elf_file_is_relocatable(const struct elf_file *elf)
{
    return elf->relocatable;
}

int elf_file_descriptor(const struct elf_file *elf)
{
    return elf->fd;
}

void elf_file_identity(const struct elf_file *elf, struct elf_identity *identity)
{
    *identity = elf->identity;
}

uint64_t elf_file_bytes(const struct elf_file *elf)
{
    return elf->file_bytes;
}

const struct elf_segment *elf_file_segments(const struct elf_file *elf, size_t *count)
{
    *count = elf->segment_count;
    return elf->segments;
}

const struct elf_section *elf_file_section(const struct elf_file *elf, const char *name)
{
    for (size_t i = 0; i < elf->section_count; i++)
        if (strcmp(elf->sections[i].name, name) == 0)
            return &elf->sections[i];
    return NULL;
}

void elf_file_gnu_build_id(const struct elf_file *elf, char out[2 * ELF_BUILD_ID_MAX_BYTES + 1])
{
    memcpy(out, elf->gnu_build_id, sizeof(elf->gnu_build_id));
}

void elf_file_go_build_id(const struct elf_file *elf, char out[ELF_GO_BUILD_ID_MAX_BYTES])
{
    memcpy(out, elf->go_build_id, sizeof(elf->go_build_id));
}

bool elf_file_read_address(const struct elf_file *elf, uint64_t address, void *into, size_t length,
                           struct error *err)
{
    for (size_t i = 0; i < elf->segment_count; i++) {
        const struct elf_segment *segment = &elf->segments[i];
        if (address < segment->address)
            continue;
        uint64_t into_segment = address - segment->address;
        if (into_segment <= segment->file_bytes && length <= segment->file_bytes - into_segment) {
            if (segment->offset > UINT64_MAX - into_segment)
                break;
            return elf_file_read(elf, segment->offset + into_segment, into, length, err);
        }
    }
    return error_set(err, ERROR_CORRUPT, "ELF: %zu bytes at address 0x%llx are in no segment",
                     length, (unsigned long long)address);
}

uint64_t elf_file_room(const struct elf_file *elf, uint64_t address)
{
    for (size_t i = 0; i < elf->segment_count; i++) {
        const struct elf_segment *segment = &elf->segments[i];
        if (address >= segment->address && address - segment->address < segment->file_bytes)
            return segment->file_bytes - (address - segment->address);
    }
    return 0;
}

uint64_t elf_file_load_bias(const struct elf_file *elf, uint64_t lowest_start,
                            uint64_t lowest_offset)
{
    uint64_t lowest = UINT64_MAX;
    uint64_t its_offset = 0;

    if (!elf->relocatable)
        return 0;
    for (size_t i = 0; i < elf->segment_count; i++) {
        if (elf->segments[i].address < lowest) {
            lowest = elf->segments[i].address;
            its_offset = elf->segments[i].offset;
        }
    }
    /* Within one segment address - offset is the same everywhere, rounding included. */
    return (lowest_start - lowest_offset) - (lowest - its_offset);
}

/* Symbols. */

static const struct elf_section *symbol_section(const struct elf_file *elf)
{
    for (size_t i = 0; i < elf->section_count; i++) {
        const struct elf_section *section = &elf->sections[i];
        if (section->type == SHT_SYMTAB && section->link < elf->section_count &&
            elf->sections[section->link].type == SHT_STRTAB)
            return section;
    }
    return NULL;
}

bool elf_file_has_symbols(const struct elf_file *elf)
{
    return symbol_section(elf) != NULL;
}

/* What all names begin with: nearly all of a program's symbols need no more than a look at that. */
static size_t common_prefix(const struct elf_symbol *wanted, size_t count)
{
    size_t length = count > 0 ? strlen(wanted[0].name) : 0;
    for (size_t i = 1; i < count; i++) {
        size_t same = 0;
        while (same < length && wanted[i].name[same] == wanted[0].name[same])
            same++;
        length = same;
    }
    return length;
}

static void match_symbol(const Elf64_Sym *symbol, const char *name, size_t prefix,
                         struct elf_symbol *wanted, size_t count)
{
    if (count == 0 || strncmp(name, wanted[0].name, prefix) != 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if (!wanted[i].found && strcmp(wanted[i].name + prefix, name + prefix) == 0) {
            wanted[i].address = symbol->st_value;
            wanted[i].bytes = symbol->st_size;
            wanted[i].found = true;
            return;
        }
    }
}

static bool scan_symbols(const struct elf_file *elf, const struct elf_section *table,
                         const char *names, size_t names_bytes, struct elf_symbol *wanted,
                         size_t count, struct error *err)
{
    Elf64_Sym *symbols = malloc(SYMBOLS_PER_READ * sizeof(*symbols));
    if (symbols == NULL)
        return error_set(err, ERROR_NO_MEMORY, "ELF: no memory for symbols");
    bool ok = true;
    const size_t prefix = common_prefix(wanted, count);
    uint64_t total = table->bytes / sizeof(*symbols);
    for (uint64_t done = 0; ok && done < total;) {
        size_t here = total - done < SYMBOLS_PER_READ ? (size_t)(total - done) : SYMBOLS_PER_READ;
        if (table->offset > UINT64_MAX - done * sizeof(*symbols))
            ok = error_set(err, ERROR_CORRUPT, "ELF: the symbol table wraps around");
        ok = ok && elf_file_read(elf, table->offset + done * sizeof(*symbols), symbols,
                                 here * sizeof(*symbols), err);
        for (size_t i = 0; ok && i < here; i++)
            if (symbols[i].st_shndx != SHN_UNDEF && symbols[i].st_name < names_bytes)
                match_symbol(&symbols[i], names + symbols[i].st_name, prefix, wanted, count);
        done += here;
    }
    free(symbols);
    return ok;
}

bool elf_file_find_symbols(const struct elf_file *elf, struct elf_symbol *wanted, size_t count,
                           struct error *err)
{
    const struct elf_section *table = symbol_section(elf);
    if (table == NULL)
        return error_set(err, ERROR_UNSUPPORTED, "has no symbol table");
    const struct elf_section *strings = &elf->sections[table->link];
    if (strings->bytes > SYMBOL_NAMES_MAX_BYTES)
        return error_set(err, ERROR_LIMIT, "ELF: %llu bytes of symbol names, allowed are %d",
                         (unsigned long long)strings->bytes, SYMBOL_NAMES_MAX_BYTES);
    /* A lying size is noticed before it is allocated. */
    if (strings->offset > elf->file_bytes || strings->bytes > elf->file_bytes - strings->offset ||
        table->offset > elf->file_bytes || table->bytes > elf->file_bytes - table->offset)
        return error_set(err, ERROR_CORRUPT, "ELF: the symbol table lies past the end");
    size_t names_bytes = (size_t)strings->bytes;
    char *names = malloc(names_bytes + 1);
    if (names == NULL)
        return error_set(err, ERROR_NO_MEMORY, "ELF: no memory for symbol names");
    names[names_bytes] = '\0';
    bool ok = elf_file_read(elf, strings->offset, names, names_bytes, err) &&
              scan_symbols(elf, table, names, names_bytes, wanted, count, err);
    free(names);
    return ok;
}
