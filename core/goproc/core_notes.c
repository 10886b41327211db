/* core_notes.c - the notes of a core file.
 *
 *   note: | name bytes | desc bytes | type | name, padded to 4 | desc, padded to 4 |
 *   NT_FILE: count, page size, count x [start, end, offset in pages], count x path with its NUL
 *
 * Each thread has several kilobytes of registers in notes that are skipped without being read. */
#include "core/goproc/core_notes.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

enum { NOTE_NAME_MAX_BYTES = 32, AUXV_MAX_BYTES = 65536, FILES_MAX = 1 << 18 };

static bool read_exactly(const struct core_notes_source *source, uint64_t offset, void *into,
                         size_t length, struct error *err)
{
    char *cursor = into;
    if (offset > source->file_bytes || length > source->file_bytes - offset)
        return error_set(err, ERROR_CORRUPT, "truncated within its notes");
    while (length > 0) {
        const ssize_t n = pread(source->fd, cursor, length, (off_t)offset);
        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set(err, ERROR_SYSTEM, "read its notes: %s",
                             n == 0 ? "cut off" : error_errno_text(errno));
        cursor += n;
        offset += (uint64_t)n;
        length -= (size_t)n;
    }
    return true;
}

static uint64_t word_at(const char *bytes, size_t index)
{
    uint64_t value = 0;
    memcpy(&value, bytes + index * sizeof(value), sizeof(value));
    return value;
}

static bool take_prpsinfo(struct core_notes *notes, const char *desc, size_t length)
{
    struct elf_prpsinfo info;
    if (length < sizeof(info))
        return true; /* another machine's; nothing depends on it */
    memcpy(&info, desc, sizeof(info));
    notes->pid = info.pr_pid;
    _Static_assert(sizeof(info.pr_psargs) < sizeof(notes->command), "fits");
    memcpy(notes->command, info.pr_psargs, sizeof(info.pr_psargs));
    size_t end = strnlen(notes->command, sizeof(info.pr_psargs));
    while (end > 0 && notes->command[end - 1] == ' ')
        end--;
    notes->command[end] = '\0';
    return true;
}

static void take_auxv(struct core_notes *notes, const char *desc, size_t length)
{
    for (size_t i = 0; (i + 2) * sizeof(uint64_t) <= length; i += 2) {
        const uint64_t type = word_at(desc, i);
        if (type == AT_PHDR)
            notes->program_headers = word_at(desc, i + 1);
        else if (type == AT_SYSINFO_EHDR)
            notes->vdso = word_at(desc, i + 1);
        else if (type == AT_NULL)
            break;
    }
}

/* Takes over [desc], which ends with an extra NUL. */
static bool take_files(struct core_notes *notes, char *desc, size_t length, struct error *err)
{
    enum { HEAD_WORDS = 2, FILE_WORDS = 3 };
    free(notes->file_text_);
    free(notes->files);
    notes->file_text_ = desc;
    notes->files = NULL;
    notes->file_count = 0;
    const uint64_t count = length >= HEAD_WORDS * sizeof(uint64_t) ? word_at(desc, 0) : FILES_MAX;
    const uint64_t page_bytes = length >= HEAD_WORDS * sizeof(uint64_t) ? word_at(desc, 1) : 0;
    if (count >= FILES_MAX || (HEAD_WORDS + count * FILE_WORDS) * sizeof(uint64_t) > length)
        return error_set(err, ERROR_CORRUPT, "its list of mapped files makes no sense");
    notes->files = calloc(count + 1, sizeof(notes->files[0]));
    if (notes->files == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for its list of mapped files");

    const char *path = desc + (HEAD_WORDS + count * FILE_WORDS) * sizeof(uint64_t);
    const char *end = desc + length;
    for (uint64_t i = 0; i < count && path < end; i++) {
        struct core_mapped_file *file = &notes->files[notes->file_count];
        const size_t at = HEAD_WORDS + (size_t)i * FILE_WORDS;
        *file = (struct core_mapped_file){
            .start = word_at(desc, at), .end = word_at(desc, at + 1), .path = path};
        path += strlen(path) + 1;
        if (file->start >= file->end || strchr(file->path, '\n') != NULL ||
            __builtin_mul_overflow(word_at(desc, at + 2), page_bytes, &file->offset) ||
            file->offset > INT64_MAX)
            continue; /* that one lies; the others need not */
        notes->file_count++;
    }
    return true;
}

static bool take_note(struct core_notes *notes, const struct core_notes_source *source,
                      uint32_t type, uint64_t offset, uint32_t length, struct error *err)
{
    if (type != NT_FILE && type != NT_PRPSINFO && type != NT_AUXV)
        return true;
    if (length > CORE_NOTES_TEXT_MAX_BYTES || (type == NT_AUXV && length > AUXV_MAX_BYTES))
        return error_set(err, ERROR_LIMIT, "a note of %u bytes is larger than goprofd accepts",
                         length);
    char *desc = malloc((size_t)length + 1);
    if (desc == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for its notes");
    desc[length] = '\0';
    if (!read_exactly(source, offset, desc, length, err)) {
        free(desc);
        return false;
    }
    if (type == NT_FILE)
        return take_files(notes, desc, length, err);
    if (type == NT_PRPSINFO)
        (void)take_prpsinfo(notes, desc, length);
    else
        take_auxv(notes, desc, length);
    free(desc);
    return true;
}

static uint64_t padded(uint32_t length)
{
    return ((uint64_t)length + 3) & ~UINT64_C(3);
}

bool core_notes_read(struct core_notes *notes, const struct core_notes_source *source,
                     uint64_t offset, uint64_t length, struct error *err)
{
    if (offset > source->file_bytes || length > source->file_bytes - offset)
        return error_set(err, ERROR_CORRUPT, "truncated within its notes");
    const uint64_t end = offset + length;
    while (end - offset >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr head;
        char name[NOTE_NAME_MAX_BYTES] = "";
        if (!read_exactly(source, offset, &head, sizeof(head), err))
            return false;
        offset += sizeof(head);
        const uint64_t bytes = padded(head.n_namesz) + padded(head.n_descsz);
        if (bytes > end - offset)
            return error_set(err, ERROR_CORRUPT, "a note reaches beyond the notes");
        if (head.n_namesz > 0 && head.n_namesz <= sizeof(name) &&
            !read_exactly(source, offset, name, head.n_namesz, err))
            return false;
        name[sizeof(name) - 1] = '\0';
        if (strcmp(name, "CORE") == 0 &&
            !take_note(notes, source, head.n_type, offset + padded(head.n_namesz), head.n_descsz,
                       err))
            return false;
        offset += bytes;
    }
    return true;
}

void core_notes_release(struct core_notes *notes)
{
    free(notes->files);
    free(notes->file_text_);
    *notes = (struct core_notes){0};
}

/* ---- build ids in a first page ---- */

static void copy_hex(char *out, size_t out_bytes, const unsigned char *bytes, size_t length)
{
    if (length * 2 >= out_bytes)
        return;
    for (size_t i = 0; i < length; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void copy_text(char *out, size_t out_bytes, const unsigned char *bytes, size_t length)
{
    if (length >= out_bytes)
        return;
    memcpy(out, bytes, length);
    out[length] = '\0';
}

/* One PT_NOTE of [length] bytes within the page. */
static void find_ids(const unsigned char *notes, size_t length, char *gnu, size_t gnu_bytes,
                     char *go, size_t go_bytes)
{
    enum { GO_BUILD_ID = 4 };
    size_t at = 0;
    while (length - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr head;
        memcpy(&head, notes + at, sizeof(head));
        at += sizeof(head);
        const uint64_t bytes = padded(head.n_namesz) + padded(head.n_descsz);
        if (bytes > length - at)
            return;
        const unsigned char *name = notes + at;
        const unsigned char *desc = name + padded(head.n_namesz);
        if (head.n_namesz == 4 && memcmp(name, "GNU", 4) == 0 && head.n_type == NT_GNU_BUILD_ID)
            copy_hex(gnu, gnu_bytes, desc, head.n_descsz);
        else if (head.n_namesz == 4 && memcmp(name, "Go\0\0", 4) == 0 && head.n_type == GO_BUILD_ID)
            copy_text(go, go_bytes, desc, head.n_descsz);
        at += (size_t)bytes;
    }
}

void core_notes_build_ids(const unsigned char *page, size_t page_bytes, char *gnu, size_t gnu_bytes,
                          char *go, size_t go_bytes)
{
    Elf64_Ehdr header;
    gnu[0] = go[0] = '\0';
    if (page_bytes < sizeof(header))
        return;
    memcpy(&header, page, sizeof(header));
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phoff > page_bytes)
        return;
    for (size_t i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        const uint64_t at = header.e_phoff + i * sizeof(segment);
        if (at > page_bytes - sizeof(segment))
            return;
        memcpy(&segment, page + at, sizeof(segment));
        if (segment.p_type == PT_NOTE && segment.p_offset <= page_bytes &&
            segment.p_filesz <= page_bytes - segment.p_offset)
            find_ids(page + segment.p_offset, (size_t)segment.p_filesz, gnu, gnu_bytes, go,
                     go_bytes);
    }
}
