/* go_file.c - a Go executable read as a file. */
#include "tests/support/go_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/goproc/buildinfo.h"
#include "core/goproc/call_target.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/go_program.h"
#include "core/goproc/pclntab.h"

static size_t read_file(void *context, const struct memory_part *parts, size_t count,
                        struct error *err)
{
    size_t copied = 0;

    for (size_t i = 0; i < count; i++) {
        if (!elf_file_read_address(context, parts[i].address, parts[i].into, parts[i].length, err))
            return copied;
        copied += parts[i].length;
    }
    return copied;
}

static const struct go_layout *layout_of(const char *path, enum elf_machine machine,
                                         struct error *err)
{
    struct go_program program;
    const struct go_layout *layout = NULL;

    if (!go_program_open_fd(open(path, O_RDONLY | O_CLOEXEC), &program, err))
        return NULL;
    layout = go_layout_find(program.info.go_version, err);
    go_program_close(&program);
    return layout != NULL && machine == ELF_MACHINE_AARCH64 ? go_layout_arm64(layout) : layout;
}

bool go_file_open(struct go_file *file, const char *path, struct error *err)
{
    *file = (struct go_file){0};
    file->elf = elf_file_open(open(path, O_RDONLY | O_CLOEXEC), err);
    if (file->elf == NULL)
        return error_wrap(err, "%s", path);
    memory_open_source(&file->memory, read_file, file->elf, NULL);
    file->layout = layout_of(path, elf_file_machine(file->elf), err);
    if (file->layout != NULL &&
        moduledata_find(file->elf, &file->memory, 0, file->layout, &file->module, err))
        file->functions = pclntab_load(file->elf, 0, &file->module, file->layout, err);
    if (file->functions == NULL) {
        go_file_close(file);
        return error_wrap(err, "%s", path);
    }
    return true;
}

void go_file_close(struct go_file *file)
{
    pclntab_free(file->functions);
    memory_close(&file->memory);
    elf_file_close(file->elf);
    *file = (struct go_file){0};
}

/* Whether the code before [pc] is a call that allocates; then fills [call]. */
static bool is_call(const struct go_file *file, uint64_t pc, struct go_file_call *call)
{
    struct pclntab_frame called, caller;
    uint64_t target;

    if (!call_target_before(file->elf, 0, pc, &target) || target < file->module.minpc ||
        target >= file->module.maxpc || !pclntab_frame_at(file->functions, target, &called) ||
        called.entry != target || called.function.length >= sizeof(call->callee) ||
        !alloc_types_knows(called.function.text) ||
        !pclntab_frame_at(file->functions, pc, &caller))
        return false;
    (void)snprintf(call->caller, sizeof(call->caller), "%s", caller.function.text);
    (void)snprintf(call->callee, sizeof(call->callee), "%s", called.function.text);
    call->frame = (struct alloc_frame){.return_pc = pc, .entry = caller.entry};
    return true;
}

struct go_file_call *go_file_calls(const struct go_file *file, size_t limit, size_t *count)
{
    const bool is_arm64 = elf_file_machine(file->elf) == ELF_MACHINE_AARCH64;
    const size_t length = (size_t)(file->module.maxpc - file->module.minpc);
    const size_t step = is_arm64 ? 4 : 1, call_bytes = is_arm64 ? 4 : 5;
    unsigned char *code = malloc(length);
    struct go_file_call *calls = calloc(limit, sizeof(*calls));

    *count = 0;
    if (code == NULL || calls == NULL ||
        !elf_file_read_address(file->elf, file->module.minpc, code, length, NULL)) {
        free(code);
        free(calls);
        return NULL;
    }
    for (size_t at = 0; at + call_bytes <= length && *count < limit; at += step)
        if (is_arm64 ? (code[at + 3] & 0xfc) == 0x94 : code[at] == 0xe8)
            *count += is_call(file, file->module.minpc + at + call_bytes, &calls[*count]);
    free(code);
    return calls;
}

struct alloc_types_source go_file_types(struct go_file *file)
{
    return (struct alloc_types_source){.elf = file->elf,
                                       .types = file->module.types,
                                       .minor = file->layout->minor,
                                       .functions = file->functions,
                                       .memory = &file->memory};
}
