/* own_process.c - see own_process.h; called by main.c, on the main thread. */
#include "core/own_process.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/cli.h"

/* glibc raises the size from which memory comes from the kernel each time such a piece is freed, up to 32 MiB.
 * What one target needs for a moment, when it is opened, would then stay with us for every target: 60 MiB become
 * 120 with two hundred of them. */
void own_process_keep_memory_small(void)
{
    enum { FROM_KERNEL_BYTES = 128 << 10 };
    (void)mallopt(M_MMAP_THRESHOLD, FROM_KERNEL_BYTES);
}

/* Each target takes some descriptors; the usual soft limit of 1024 was made for select(). */
void own_process_raise_descriptor_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == -1 || files.rlim_cur == files.rlim_max)
        return;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) == -1)
        log_warn(log_msg("the limit of open files could not be raised"),
                 log_str("reason", error_errno_text(errno)));
}

/* Ends the process if stopping takes longer than the grace period allows. */
static void *enforce_grace(void *argument)
{
    const uint64_t *grace_s = argument;
    clock_sleep_until_ns(clock_monotonic_ns() + (*grace_s + 1) * CLOCK_NS_PER_S);
    log_error(log_msg("did not stop within the grace period; giving up"),
              log_u64("shutdown_grace_period_sec", *grace_s));
    _exit(EXIT_FAILED);
}

void own_process_end_within(uint64_t seconds)
{
    static uint64_t grace_s; /* outlives main's frames: the thread is never joined */
    pthread_t thread;
    grace_s = seconds;
    if (pthread_create(&thread, NULL, enforce_grace, &grace_s) == 0)
        pthread_detach(thread);
}
