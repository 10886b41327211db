/* profiling_switch.c - writes runtime.MemProfileRate. */
#include "core/goproc/profiling_switch.h"

#include <errno.h>
#include <sys/uio.h>

#include "core/goproc/memory.h"

static bool write_word(pid_t pid, uint64_t address, int64_t value, struct error *err)
{
    const struct iovec local = {&value, sizeof(value)};
    const struct iovec remote = {(void *)(uintptr_t)address, sizeof(value)};
    const ssize_t n = process_vm_writev(pid, &local, 1, &remote, 1, 0);
    if (n == (ssize_t)sizeof(value))
        return true;
    const int cause = n == -1 ? errno : EFAULT;
    return error_set(err,
                     cause == EPERM    ? ERROR_DENIED
                     : cause == ESRCH  ? ERROR_GONE
                     : cause == EFAULT ? ERROR_CORRUPT
                                       : ERROR_SYSTEM,
                     "write runtime.MemProfileRate of pid %d: %s", (int)pid,
                     error_errno_text(cause));
}

bool profiling_switch_set(struct memory *memory, pid_t pid, uint64_t address, int64_t from,
                          int64_t to, bool *written, struct error *err)
{
    int64_t rate = 0;
    *written = false;
    if (address == 0 || address % sizeof(rate) != 0)
        return error_set(err, ERROR_CORRUPT,
                         "runtime.MemProfileRate of pid %d cannot be at 0x%llx: nothing is written",
                         (int)pid, (unsigned long long)address);
    if (!memory_read(memory, address, &rate, sizeof(rate), err))
        return false;
    if (rate != from)
        return true;
    if (!write_word(pid, address, to, err) ||
        !memory_read(memory, address, &rate, sizeof(rate), err))
        return false;
    *written = rate == to;
    return *written || error_set(err, ERROR_CORRUPT,
                                 "runtime.MemProfileRate of pid %d is %lld after %lld was written: "
                                 "the program sets it itself",
                                 (int)pid, (long long)rate, (long long)to);
}
