/* core_file.c - headers and notes of a core file, and its memory. */
#include "core/goproc/core_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/goproc/core_notes.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/memory.h"
#include "core/goproc/procfs.h"

/* vm.max_map_count is 65530 by default and may be raised. */
enum { SEGMENTS_MAX = 1 << 18, FIRST_PAGE_BYTES = 4096 };

struct core_segment {
    uint64_t start;
    uint64_t end;      /* in memory */
    uint64_t held_end; /* as far as the file holds it */
    uint64_t offset;
    uint32_t flags; /* PF_R, PF_W, PF_X */
};

struct core_file {
    int fd;
    uint64_t bytes;
    uint64_t written_realtime_ns;
    char name[256]; /* the end of its path, for messages */
    struct core_segment *segments; /* in order of address */
    size_t segment_count;
    struct core_notes notes;
    const char *image_path; /* or NULL */
    const struct elf_file *image;
};

/* ---- reading the file ---- */

static bool read_at(const struct core_file *core, uint64_t offset, void *into, size_t length,
                    struct error *err)
{
    char *cursor = into;
    if (offset > core->bytes || length > core->bytes - offset)
        return error_set(err, ERROR_CORRUPT,
                         "%s is truncated: it ends after %llu bytes; was the core cut off by "
                         "ulimit -c or a full disk?",
                         core->name, (unsigned long long)core->bytes);
    while (length > 0) {
        const ssize_t n = pread(core->fd, cursor, length, (off_t)offset);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return error_set(err, ERROR_SYSTEM, "read %s: %s", core->name,
                             error_errno_text(errno));
        if (n == 0)
            return error_set(err, ERROR_CORRUPT, "%s was cut off while it was read", core->name);
        cursor += n;
        offset += (uint64_t)n;
        length -= (size_t)n;
    }
    return true;
}

static int open_core(struct core_file *core, const char *path, struct error *err)
{
    struct stat status;
    core->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (core->fd == -1)
        return error_set(err,
                         errno == ENOENT   ? ERROR_NOT_FOUND
                         : errno == EACCES ? ERROR_DENIED
                                           : ERROR_SYSTEM,
                         "open %s: %s", core->name, error_errno_text(errno));
    if (fstat(core->fd, &status) == -1 || !S_ISREG(status.st_mode))
        return error_set(err, ERROR_UNSUPPORTED, "%s is not a file", core->name);
    core->bytes = (uint64_t)status.st_size;
    core->written_realtime_ns = (uint64_t)status.st_mtim.tv_sec * UINT64_C(1000000000) +
                                (uint64_t)status.st_mtim.tv_nsec;
    return true;
}

static bool check_header(const struct core_file *core, const Elf64_Ehdr *header, struct error *err)
{
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return error_set(err, ERROR_UNSUPPORTED, "%s is not a core file: it is not ELF", core->name);
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        (header->e_machine != EM_X86_64 && header->e_machine != EM_AARCH64))
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s comes from another machine: cores of amd64 and arm64 can be read",
                         core->name);
    if (header->e_type != ET_CORE)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s is not a core file but an executable or library", core->name);
    if (header->e_phentsize != sizeof(Elf64_Phdr))
        return error_set(err, ERROR_CORRUPT, "%s: program headers of %u bytes", core->name,
                         header->e_phentsize);
    return true;
}

/* Beyond 65534 segments their number is in the first section header. */
static bool count_segments(const struct core_file *core, const Elf64_Ehdr *header, uint64_t *count,
                           struct error *err)
{
    Elf64_Shdr section;
    *count = header->e_phnum;
    if (header->e_phnum == PN_XNUM) {
        if (!read_at(core, header->e_shoff, &section, sizeof(section), err))
            return false;
        *count = section.sh_info;
    }
    if (*count == 0 || *count > SEGMENTS_MAX)
        return error_set(err, ERROR_CORRUPT, "%s: %llu segments; 1 to %d are possible", core->name,
                         (unsigned long long)*count, SEGMENTS_MAX);
    return true;
}

static int compare_segments(const void *a, const void *b)
{
    const struct core_segment *left = a;
    const struct core_segment *right = b;
    return (left->start > right->start) - (left->start < right->start);
}

/* Takes over one program header. */
static bool add_header(struct core_file *core, const Elf64_Phdr *header, struct error *err)
{
    const struct core_notes_source source = {.fd = core->fd, .file_bytes = core->bytes};
    if (header->p_type == PT_NOTE)
        return core_notes_read(&core->notes, &source, header->p_offset, header->p_filesz, err) ||
               error_wrap(err, "%s", core->name);
    if (header->p_type != PT_LOAD || header->p_memsz == 0)
        return true;
    if (header->p_vaddr > UINT64_MAX - header->p_memsz ||
        header->p_offset > UINT64_MAX - header->p_filesz)
        return error_set(err, ERROR_CORRUPT, "%s: a segment wraps around", core->name);
    const uint64_t held =
        header->p_filesz < header->p_memsz ? header->p_filesz : header->p_memsz;
    core->segments[core->segment_count++] =
        (struct core_segment){.start = header->p_vaddr,
                              .end = header->p_vaddr + header->p_memsz,
                              .held_end = header->p_vaddr + held,
                              .offset = header->p_offset,
                              .flags = header->p_flags};
    return true;
}

static bool read_headers(struct core_file *core, struct error *err)
{
    Elf64_Ehdr header;
    uint64_t count = 0;

    if (core->bytes < sizeof(header))
        return error_set(err, ERROR_UNSUPPORTED, "%s is not a core file: it has %llu bytes",
                         core->name, (unsigned long long)core->bytes);
    if (!read_at(core, 0, &header, sizeof(header), err) || !check_header(core, &header, err) ||
        !count_segments(core, &header, &count, err))
        return false;
    Elf64_Phdr *headers = calloc(count, sizeof(*headers));
    core->segments = calloc(count, sizeof(*core->segments));
    bool ok = (headers != NULL && core->segments != NULL) ||
              error_set(err, ERROR_NO_MEMORY, "no memory for the segments of %s", core->name);
    ok = ok && read_at(core, header.e_phoff, headers, count * sizeof(*headers), err);
    for (uint64_t i = 0; ok && i < count; i++)
        ok = add_header(core, &headers[i], err);
    free(headers);
    if (ok)
        qsort(core->segments, core->segment_count, sizeof(core->segments[0]), compare_segments);
    return ok;
}

struct core_file *core_file_open(const char *path, struct error *err)
{
    struct core_file *core = calloc(1, sizeof(*core));
    if (core == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory to open %s", path);
        return NULL;
    }
    const size_t length = strlen(path);
    const size_t room = 100; /* of an error's message, which says more than the path */
    (void)snprintf(core->name, sizeof(core->name), "%s%s", length > room ? "..." : "",
                   length > room ? path + length - room : path);
    core->fd = -1;
    if (open_core(core, path, err) && read_headers(core, err))
        return core;
    core_file_close(core);
    return NULL;
}

void core_file_close(struct core_file *core)
{
    if (core == NULL)
        return;
    if (core->fd != -1)
        (void)close(core->fd);
    core_notes_release(&core->notes);
    free(core->segments);
    free(core);
}

/* ---- facts ---- */

pid_t core_file_pid(const struct core_file *core)
{
    return core->notes.pid;
}

const char *core_file_command(const struct core_file *core)
{
    return core->notes.command;
}

uint64_t core_file_written_realtime_ns(const struct core_file *core)
{
    return core->written_realtime_ns;
}

uint64_t core_file_missing_bytes(const struct core_file *core)
{
    uint64_t end = core->bytes;
    for (size_t i = 0; i < core->segment_count; i++) {
        const struct core_segment *segment = &core->segments[i];
        const uint64_t held = segment->held_end - segment->start;
        if (held > 0 && segment->offset + held > end)
            end = segment->offset + held;
    }
    return end - core->bytes;
}

/* The file that is mapped at [address], or NULL. */
static const struct core_mapped_file *file_at(const struct core_file *core, uint64_t address)
{
    for (size_t i = 0; i < core->notes.file_count; i++) {
        const struct core_mapped_file *file = &core->notes.files[i];
        if (address >= file->start && address < file->end)
            return file;
    }
    return NULL;
}

const char *core_file_exe(const struct core_file *core)
{
    const struct core_mapped_file *file = file_at(core, core->notes.program_headers);
    return file == NULL ? "" : file->path;
}

/* The segment that holds [address], or the first one after it, or the end. */
static const struct core_segment *segment_from(const struct core_file *core, uint64_t address)
{
    size_t low = 0;
    size_t high = core->segment_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (core->segments[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low == core->segment_count ? NULL : &core->segments[low];
}

static void append_mapping(struct buffer *text, uint64_t start, uint64_t end, uint32_t flags,
                           uint64_t offset, const char *path)
{
    /* Of a file the core tells no device and inode; an inode that is not 0 says that it is one. */
    buffer_printf(text, "%llx-%llx %c%c%cp %llx 00:00 %d %s\n", (unsigned long long)start,
                  (unsigned long long)end, (flags & PF_R) != 0 ? 'r' : '-',
                  (flags & PF_W) != 0 ? 'w' : '-', (flags & PF_X) != 0 ? 'x' : '-',
                  (unsigned long long)offset, path[0] == '/' ? 1 : 0, path);
}

bool core_file_maps(const struct core_file *core, struct procfs_maps *maps, struct error *err)
{
    struct buffer text;
    buffer_init(&text, CORE_NOTES_TEXT_MAX_BYTES);
    for (size_t i = 0; i < core->segment_count; i++) {
        const struct core_segment *segment = &core->segments[i];
        const struct core_mapped_file *file = file_at(core, segment->start);
        const char *path = file != NULL ? file->path : "";
        if (segment->start == core->notes.vdso)
            path = "[vdso]";
        append_mapping(&text, segment->start, segment->end, segment->flags,
                       file != NULL ? file->offset + (segment->start - file->start) : 0, path);
    }
    /* gcore leaves some out altogether. */
    for (size_t i = 0; i < core->notes.file_count; i++) {
        const struct core_mapped_file *file = &core->notes.files[i];
        const struct core_segment *segment = segment_from(core, file->start);
        if (segment == NULL || segment->start >= file->end)
            append_mapping(&text, file->start, file->end, PF_R, file->offset, file->path);
    }
    const char *bytes = buffer_text(&text);
    const bool ok = bytes != NULL
                        ? procfs_maps_parse(bytes, text.length, maps, err) ||
                              error_wrap(err, "%s", core->name)
                        : error_set(err, ERROR_LIMIT, "%s: its mappings do not fit", core->name);
    buffer_release(&text);
    return ok;
}

void core_file_set_image(struct core_file *core, const char *image_path,
                         const struct elf_file *elf)
{
    core->image_path = image_path;
    core->image = elf;
}

/* ---- memory ---- */

/* Whether the program's file has what memory had at [offset]: not of what the program or its loader could write,
 * of which the file has the first values only. */
static bool is_unchanged(const struct elf_file *image, uint64_t offset)
{
    size_t count;
    const struct elf_segment *segments = elf_file_segments(image, &count);
    bool writable = false;
    for (size_t i = 0; i < count; i++) {
        if (offset < segments[i].offset || offset - segments[i].offset >= segments[i].file_bytes)
            continue;
        if (!segments[i].writable)
            return true;
        writable = true;
    }
    return !writable;
}

/* Copies what one piece of the core, or of the image, has of [length] bytes from [address] on; returns
 * how many, 0 with [err]. */
static size_t copy_piece(const struct core_file *core, uint64_t address, char *into, size_t length,
                         struct error *err)
{
    const struct core_segment *segment = segment_from(core, address);
    uint64_t limit = segment == NULL || segment->start > address ? UINT64_MAX : segment->end;

    if (limit != UINT64_MAX && address < segment->held_end) {
        limit = segment->held_end - address;
        const size_t here = length < limit ? length : (size_t)limit;
        return read_at(core, segment->offset + (address - segment->start), into, here, err) ? here
                                                                                            : 0;
    }
    if (segment != NULL && segment->start > address)
        limit = segment->start;
    const struct core_mapped_file *file = file_at(core, address);
    if (file == NULL || core->image == NULL || strcmp(file->path, core->image_path) != 0 ||
        !is_unchanged(core->image, file->offset + (address - file->start))) {
        (void)error_set(err, ERROR_CORRUPT,
                        "%s does not hold the memory at 0x%llx: was it written with a "
                        "/proc/PID/coredump_filter that leaves out anonymous memory?",
                        core->name, (unsigned long long)address);
        return 0;
    }
    if (file->end < limit)
        limit = file->end;
    const size_t here = length < limit - address ? length : (size_t)(limit - address);
    return elf_file_read(core->image, file->offset + (address - file->start), into, here, err)
               ? here
               : 0;
}

static size_t core_read(void *context, const struct memory_part *parts, size_t count,
                        struct error *err)
{
    const struct core_file *core = context;
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        size_t copied = 0;
        while (copied < parts[i].length) {
            const size_t here = copy_piece(core, parts[i].address + copied,
                                           (char *)parts[i].into + copied,
                                           parts[i].length - copied, err);
            if (here == 0)
                return done + copied;
            copied += here;
        }
        done += copied;
    }
    return done;
}

void core_file_memory(struct core_file *core, struct memory *memory)
{
    memory_open_source(memory, core_read, core, NULL);
}

/* ---- build ids ---- */

static bool read_first_page(const struct core_file *core, const char *image_path,
                            unsigned char page[FIRST_PAGE_BYTES])
{
    for (size_t i = 0; i < core->notes.file_count; i++) {
        const struct core_mapped_file *file = &core->notes.files[i];
        if (file->offset != 0 || strcmp(file->path, image_path) != 0)
            continue;
        const struct core_segment *segment = segment_from(core, file->start);
        return segment != NULL && segment->start <= file->start &&
               segment->held_end - file->start >= FIRST_PAGE_BYTES &&
               segment->held_end > file->start &&
               read_at(core, segment->offset + (file->start - segment->start), page,
                       FIRST_PAGE_BYTES, NULL);
    }
    return false;
}

void core_file_build_ids(const struct core_file *core, const char *image_path, char *gnu,
                         size_t gnu_bytes, char *go, size_t go_bytes)
{
    unsigned char page[FIRST_PAGE_BYTES];
    gnu[0] = go[0] = '\0';
    if (read_first_page(core, image_path, page))
        core_notes_build_ids(page, sizeof(page), gnu, gnu_bytes, go, go_bytes);
}
