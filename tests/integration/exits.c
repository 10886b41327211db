/* exits.c - how the end of a watched process is noticed, and what is kept of it. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { SOON_MS = 20000 };

static unsigned elapsed_ms(const struct timespec *begin)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned)((now.tv_sec - begin->tv_sec) * 1000 +
                      (now.tv_nsec - begin->tv_nsec) / 1000000);
}

/* Far shorter than the interval of the daemon here: no beat can have told it. */
Test(exits, a_process_that_ends_is_gone_before_the_next_beat_and_its_numbers_stay)
{
    enum { INTERVAL_MS = 15000, AT_ONCE_MS = 3000 };
    const struct go_version newest = go_version_newest();
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&newest, "profile_target", NULL, folder, "target.log", NULL);
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = %d,"
                   " targets = { { name = 'target', pid = %d } } }",
                   INTERVAL_MS, (int)program.process.pid);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    static const char *const up[] = {"name", "target", "state", "up", NULL};
    static const char *const gone[] = {"name", "target", "state", "gone", NULL};
    json_decref(daemon_wait_for(&daemon, "/v1/targets", answer_has, up, SOON_MS));

    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    cr_assert_eq(process_stop(&program.process, SIGKILL, SOON_MS), 128 + SIGKILL);
    json_decref(daemon_wait_for(&daemon, "/v1/targets", answer_has, gone, AT_ONCE_MS));
    cr_assert_lt(elapsed_ms(&begin), AT_ONCE_MS);
    json_t *last = http_json(daemon.port, 200, "/v1/metrics/latest?target=target");
    cr_assert_gt(answer_number(last, "heap_alloc_bytes"), 0);
    json_decref(last);
    http_touch(daemon.port, "/debug/pprof/heap?target=target");
    daemon_stop(&daemon);
    go_program_release(&program);
    scratch_remove(folder);
}
