/* memory_source.c - copying bytes from a live process (ourselves) and from recorded images. */
#include "core/goproc/memory.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t address_of(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer;
}

Test(memory, copies_many_parts_of_a_live_process)
{
    enum { PARTS = 2500 }; /* more than one system call takes */
    static uint32_t from[PARTS], to[PARTS];
    static struct memory_part parts[PARTS];
    struct memory memory;
    struct error err = {0};

    for (uint32_t i = 0; i < PARTS; i++) {
        from[i] = i * 7 + 1;
        parts[i] = (struct memory_part){address_of(&from[i]), &to[i], sizeof(to[i])};
    }
    cr_assert(memory_open_process(&memory, getpid(), &err), "%s", err.message);
    cr_assert(memory_read_parts(&memory, parts, PARTS, &err), "%s", err.message);
    cr_assert_eq(memcmp(from, to, sizeof(from)), 0);
    cr_assert_eq(memory.read_bytes, sizeof(from));
    memory_close(&memory);
}

/* Two pages, of which the second cannot be read. */
static char *half_readable(void)
{
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(pages, MAP_FAILED);
    memset(pages, 'x', 4096);
    cr_assert_eq(mprotect(pages + 4096, 4096, PROT_NONE), 0);
    return pages;
}

Test(memory, names_the_address_that_cannot_be_read)
{
    char *pages = half_readable();
    char first[16], second[4096];
    const struct memory_part parts[] = {{address_of(pages), first, sizeof(first)},
                                        {address_of(pages) + 2048, second, sizeof(second)}};
    struct memory memory;
    struct error err = {0};
    char hex[32];

    cr_assert(memory_open_process(&memory, getpid(), &err));
    cr_assert_not(memory_read_parts(&memory, parts, 2, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    snprintf(hex, sizeof(hex), "0x%llx", (unsigned long long)(address_of(pages) + 4096));
    cr_assert_not_null(strstr(err.message, hex), "%s lacks %s", err.message, hex);
    memory_close(&memory);
    munmap(pages, 8192);
}

Test(memory, copies_what_is_readable_of_a_window)
{
    char *pages = half_readable();
    char window[8192] = {0};
    struct memory memory;
    struct error err = {0};

    cr_assert(memory_open_process(&memory, getpid(), &err));
    cr_assert_eq(memory_read_some(&memory, address_of(pages), window, sizeof(window), NULL), 4096);
    cr_assert_eq(window[4095], 'x');
    cr_assert_eq(memory_read_some(&memory, address_of(pages) + 4096, window, 8, &err), 0);
    cr_assert_eq(err.code, ERROR_CORRUPT);
    memory_close(&memory);
    munmap(pages, 8192);
}

Test(memory, refuses_addresses_that_wrap_around)
{
    struct memory memory;
    struct error err = {0};
    char byte[32];

    cr_assert(memory_open_process(&memory, getpid(), &err));
    cr_assert_not(memory_read(&memory, UINT64_MAX - 8, byte, sizeof(byte), &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    cr_assert_not(memory_read(&memory, 0, byte, sizeof(byte), &err), "page 0 is not mapped");
    cr_assert_not(memory_read(&memory, address_of(byte), byte, SIZE_MAX, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    memory_close(&memory);
}

Test(memory, says_that_a_dead_process_is_gone)
{
    struct memory memory;
    struct error err = {0};
    char byte;
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert(memory_open_process(&memory, child, &err));
    cr_assert_not(memory_read(&memory, address_of(&byte), &byte, 1, &err));
    cr_assert_eq(err.code, ERROR_GONE);
    memory_close(&memory);
}

Test(memory, reads_an_image_across_adjacent_segments_and_not_beyond)
{
    const struct memory_segment segments[] = {{0x1000, "abcd", 4}, {0x1004, "efgh", 4}};
    const struct memory_image image = {segments, 2};
    struct memory memory;
    struct error err = {0};
    char got[9] = "";

    memory_open_image(&memory, &image);
    cr_assert(memory_read(&memory, 0x1000, got, 8, &err), "%s", err.message);
    cr_assert_str_eq(got, "abcdefgh");
    cr_assert_not(memory_read(&memory, 0x1006, got, 3, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    cr_assert_eq(memory_read_some(&memory, 0x1006, got, 8, NULL), 2);
    memory_close(&memory);
}

/* As a container's sandbox does.  It holds for the rest of this test's process. */
static void forbid(int system_call, unsigned errno_value)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)system_call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | errno_value),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void check_sandbox(unsigned errno_value)
{
    static const char text[] = "over there";
    char first[sizeof(text)], rest[4], page[4096];
    const struct memory_part parts[] = {{address_of(text), first, sizeof(first)},
                                        {address_of(text) + 5, rest, sizeof(rest)}};
    struct memory memory;
    struct error err = {0};

    char *pages = half_readable();
    cr_assert_eq(munmap(pages + 4096, 4096), 0);
    forbid(SYS_process_vm_readv, errno_value);
    cr_assert(memory_open_process(&memory, getpid(), &err));
    cr_assert(memory_read_parts(&memory, parts, 2, &err), "%s", err.message);
    cr_assert_str_eq(first, text);
    cr_assert_eq(memcmp(rest, "ther", 4), 0);
    cr_assert_eq(memory_read_some(&memory, address_of(pages) + 4000, page, sizeof(page), &err), 96);
    cr_assert_eq(err.code, ERROR_CORRUPT, "%s", err.message);
    cr_assert_not(memory_read(&memory, UINT64_MAX - 4096, page, 8, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT, "%s", err.message);
    memory_close(&memory);
}

Test(memory, is_read_through_its_file_where_a_sandbox_forbids_the_call)
{
    check_sandbox(EPERM);
}

Test(memory, is_read_through_its_file_where_the_call_is_said_not_to_exist)
{
    check_sandbox(ENOSYS);
}
