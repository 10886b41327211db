/* elf_image.c - header, program headers, contents, section headers: in this order. */
#include "tests/unit/goproc/elf_image.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t align16(size_t offset)
{
    return (offset + 15) & ~(size_t)15;
}

static size_t contents_start(const struct elf_image *image)
{
    return align16(sizeof(Elf64_Ehdr) + (image->part_count + 1) * sizeof(Elf64_Phdr));
}

size_t elf_image_offset(const struct elf_image *image, size_t index)
{
    size_t offset = contents_start(image);
    for (size_t i = 0; i < index; i++)
        offset = align16(offset + image->parts[i].length);
    return offset;
}

/* One segment a part, and an unused one, so that there is always at least one header. */
static void write_segments(const struct elf_image *image, unsigned char *out)
{
    for (size_t i = 0; i < image->part_count; i++) {
        const struct elf_image_part *part = &image->parts[i];
        Elf64_Phdr header = {.p_type = part->address == 0 ? PT_NULL : PT_LOAD,
                             .p_flags = PF_R | (part->writable ? PF_W : 0u),
                             .p_offset = elf_image_offset(image, i),
                             .p_vaddr = part->address,
                             .p_filesz = part->length,
                             .p_memsz = part->length};
        if (part->type == SHT_NOTE)
            header.p_type = PT_NOTE;
        memcpy(out + sizeof(Elf64_Ehdr) + i * sizeof(header), &header, sizeof(header));
    }
}

size_t elf_image_build(const struct elf_image *image, unsigned char out[ELF_IMAGE_MAX_BYTES])
{
    Elf64_Ehdr header = {.e_type = image->type != 0 ? image->type : ET_EXEC,
                         .e_machine = image->machine != 0 ? image->machine : EM_X86_64,
                         .e_version = EV_CURRENT,
                         .e_phoff = sizeof(Elf64_Ehdr),
                         .e_ehsize = sizeof(Elf64_Ehdr),
                         .e_phentsize = sizeof(Elf64_Phdr),
                         .e_phnum = (uint16_t)(image->part_count + 1)};
    char names[512] = "";
    size_t names_length = 1;
    Elf64_Shdr sections[ELF_IMAGE_PARTS_MAX + 2] = {0};
    size_t end = elf_image_offset(image, image->part_count);

    memset(out, 0, ELF_IMAGE_MAX_BYTES);
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    write_segments(image, out);
    for (size_t i = 0; i < image->part_count; i++) {
        const struct elf_image_part *part = &image->parts[i];
        size_t offset = elf_image_offset(image, i);
        cr_assert_lt(offset + part->length + 4096, ELF_IMAGE_MAX_BYTES);
        memcpy(out + offset, part->bytes, part->length);
        sections[i + 1] = (Elf64_Shdr){.sh_name = (uint32_t)names_length,
                                       .sh_type = part->type != 0 ? part->type : SHT_PROGBITS,
                                       .sh_addr = part->address,
                                       .sh_offset = offset,
                                       .sh_size = part->length,
                                       .sh_link = part->type == SHT_SYMTAB ? part->link + 1 : 0};
        memcpy(names + names_length, part->name, strlen(part->name) + 1);
        names_length += strlen(part->name) + 1;
    }
    if (!image->without_sections) {
        size_t count = image->part_count + 2;
        memcpy(out + end, names, names_length);
        sections[count - 1] =
            (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = end, .sh_size = names_length};
        end = align16(end + names_length);
        header.e_shoff = end;
        header.e_shentsize = sizeof(Elf64_Shdr);
        header.e_shnum = (uint16_t)count;
        header.e_shstrndx = (uint16_t)(count - 1);
        memcpy(out + end, sections, count * sizeof(sections[0]));
        end += count * sizeof(sections[0]);
    }
    memcpy(out, &header, sizeof(header));
    return end;
}

int elf_image_fd(const void *bytes, size_t length)
{
    int fd = memfd_create("elf_image", MFD_CLOEXEC);
    cr_assert_neq(fd, -1);
    cr_assert_eq(write(fd, bytes, length), (ssize_t)length);
    return fd;
}
