/* profiling_switch.c - the one write: what it replaces, and what it leaves alone. */
#include "core/goproc/profiling_switch.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/goproc/memory.h"

/* Our own process is as good as any. */
static int64_t rate;
static struct memory memory;

static void set_up(void)
{
    struct error err;
    cr_assert(memory_open_process(&memory, getpid(), &err), "%s", err.message);
}

TestSuite(profiling_switch, .init = set_up);

static uint64_t address_of(const void *place)
{
    return (uint64_t)(uintptr_t)place;
}

static bool set(int64_t from, int64_t to, bool *written, struct error *err)
{
    return profiling_switch_set(&memory, getpid(), address_of(&rate), from, to, written, err);
}

Test(profiling_switch, replaces_the_expected_value)
{
    bool written = false;
    struct error err;
    rate = 0;
    cr_assert(set(0, PROFILING_SWITCH_RATE, &written, &err), "%s", err.message);
    cr_assert(written);
    cr_assert_eq(rate, 524288);
    cr_assert(set(PROFILING_SWITCH_RATE, 0, &written, &err), "%s", err.message);
    cr_assert(written);
    cr_assert_eq(rate, 0);
}

Test(profiling_switch, leaves_any_other_value_alone)
{
    bool written = true;
    struct error err;
    rate = 4096;
    cr_assert(set(0, PROFILING_SWITCH_RATE, &written, &err), "%s", err.message);
    cr_assert_not(written);
    cr_assert_eq(rate, 4096);
}

Test(profiling_switch, writes_nothing_where_it_cannot_be)
{
    bool written = true;
    struct error err;
    char bytes[16] = {0};
    const uint64_t odd = (address_of(bytes) | 7);
    cr_assert_not(profiling_switch_set(&memory, getpid(), odd, 0, 1, &written, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    cr_assert_not_null(strstr(err.message, "nothing is written"), "%s", err.message);
    cr_assert_not(profiling_switch_set(&memory, getpid(), 0, 0, 1, &written, &err));
    cr_assert_not(written);
    cr_assert_arr_eq(bytes, ((char[16]){0}), 16);
}

Test(profiling_switch, heeds_the_protection_of_the_page)
{
    bool written = true;
    struct error err;
    void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(page, MAP_FAILED);
    cr_assert_not(profiling_switch_set(&memory, getpid(), address_of(page), 0,
                                       PROFILING_SWITCH_RATE, &written, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT, "%s", err.message);
    cr_assert_not(written);
    cr_assert_eq(*(const int64_t *)page, 0);
    (void)munmap(page, 4096);
}

Test(profiling_switch, says_that_the_process_is_gone)
{
    bool written = true;
    struct error err;
    const pid_t child = fork();
    if (child == 0)
        _exit(0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    struct memory gone;
    cr_assert(memory_open_process(&gone, child, &err), "%s", err.message);
    cr_assert_not(profiling_switch_set(&gone, child, address_of(&rate), 0, 1, &written, &err));
    cr_assert_eq(err.code, ERROR_GONE, "%s", err.message);
    cr_assert_not(written);
    memory_close(&gone);
}
