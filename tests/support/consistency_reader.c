/* consistency_reader.c - reads one process again and again, and judges each profile it gets.
 *
 *   consistency_reader PID READS PROFILES FILE
 *
 * Through goprofd's own reader, back to back: at least READS times, and until PROFILES different ones
 * were seen.  Of each site: frees <= allocs, and allocs never fall;
 * no site goes missing, and no cycle comes back.  A read that is given up because the process kept
 * moving is counted, any other failure ends it.  Prints what it did ("read ..."), then waits for
 * SIGUSR1, reads once more, and writes that profile to FILE ("wrote FILE").  Status 1 after any wrong
 * record.  Run by tests/integration/consistency.c. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/goproc/go_process.h"
#include "core/pprof/profile_writer.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"

enum { COMPLAINTS_MAX = 10 };

struct judge {
    uint64_t *allocs; /* by site id */
    size_t capacity;
    size_t sites;
    uint64_t cycle;
    const struct profile *last;
    uint64_t reads;
    uint64_t profiles; /* different ones */
    uint64_t retries;
    uint64_t given_up;
    uint64_t partial;
    uint64_t wrong;
};

static void complain(struct judge *judge, const struct profile_entry *entry, const char *what,
                     uint64_t before)
{
    if (judge->wrong++ < COMPLAINTS_MAX)
        fprintf(stderr,
                "torn: site %" PRIu32 " (%s): %s: allocs %" PRIu64 ", frees %" PRIu64
                ", before %" PRIu64 "\n",
                entry->site->id, entry->site->frames[0]->function, what, entry->allocs, entry->frees,
                before);
}

static void make_room(struct judge *judge, size_t id)
{
    size_t capacity = judge->capacity == 0 ? 1024 : judge->capacity;

    while (capacity <= id)
        capacity *= 2;
    if (capacity == judge->capacity)
        return;
    judge->allocs = realloc(judge->allocs, capacity * sizeof(*judge->allocs));
    if (judge->allocs == NULL) {
        fprintf(stderr, "consistency_reader: no memory\n");
        exit(2);
    }
    memset(judge->allocs + judge->capacity, 0,
           (capacity - judge->capacity) * sizeof(*judge->allocs));
    judge->capacity = capacity;
}

static void judge_profile(struct judge *judge, const struct profile *profile)
{
    if (profile->cycle < judge->cycle || profile->entry_count < judge->sites) {
        fprintf(stderr, "torn: cycle %" PRIu64 " with %zu sites after %" PRIu64 " with %zu\n",
                profile->cycle, profile->entry_count, judge->cycle, judge->sites);
        judge->wrong++;
    }
    for (size_t i = 0; i < profile->entry_count; i++) {
        const struct profile_entry *entry = &profile->entries[i];
        make_room(judge, entry->site->id);
        uint64_t *before = &judge->allocs[entry->site->id];
        if (entry->frees > entry->allocs)
            complain(judge, entry, "more frees than allocations", *before);
        if (entry->allocs < *before)
            complain(judge, entry, "fewer allocations than before", *before);
        *before = entry->allocs;
    }
    judge->cycle = profile->cycle;
    judge->sites = profile->entry_count;
}

/* True also for a read that was given up: [*profile] is NULL then. */
static bool read_once(struct judge *judge, struct go_process *process,
                      const struct profile **profile, struct error *err)
{
    struct snapshot *building = snapshot_begin(clock_realtime_ns(), clock_monotonic_ns());

    if (building == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for a snapshot");
    judge->reads++;
    bool ok = go_process_read(process, building, profile, err);
    if (ok) {
        judge->retries += building->values.read_retries;
        judge->partial += building->partial;
    } else if (err->code == ERROR_BUSY) {
        judge->given_up++;
        *profile = NULL;
        ok = true;
    }
    snapshot_discard(building);
    return ok;
}

static bool read_many(struct judge *judge, struct go_process *process, uint64_t reads,
                      uint64_t profiles, struct error *err)
{
    while (judge->reads < reads || judge->profiles < profiles) {
        const struct profile *profile = NULL;
        if (!read_once(judge, process, &profile, err))
            return false;
        if (profile == NULL)
            continue;
        if (profile == judge->last) {
            profile_unref(profile);
            continue;
        }
        judge->profiles++;
        judge_profile(judge, profile);
        profile_unref(judge->last);
        judge->last = profile;
    }
    printf("read %" PRIu64 " times: %" PRIu64 " profiles of %zu sites, %" PRIu64 " retries, %" PRIu64
           " reads given up, %" PRIu64 " partial, %" PRIu64 " wrong records\n",
           judge->reads, judge->profiles, judge->sites, judge->retries, judge->given_up,
           judge->partial, judge->wrong);
    fflush(stdout);
    return true;
}

static bool write_profile(const struct profile *profile, const char *path, struct error *err)
{
    struct buffer out;

    buffer_init(&out, PROFILE_WRITER_MAX_BYTES);
    bool ok = profile_write_gzip(profile, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, &out, err);
    FILE *file = ok ? fopen(path, "we") : NULL;
    if (ok && (file == NULL || fwrite(out.data, 1, out.length, file) != out.length))
        ok = error_set(err, ERROR_SYSTEM, "%s cannot be written", path);
    if (file != NULL && fclose(file) != 0 && ok)
        ok = error_set(err, ERROR_SYSTEM, "%s cannot be written", path);
    buffer_release(&out);
    return ok;
}

static bool run(struct judge *judge, struct go_process *process, char **arguments,
                struct error *err)
{
    const char *path = arguments[2];
    const struct profile *profile = NULL;
    sigset_t wanted;
    int signal_number;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    if (!read_many(judge, process, strtoull(arguments[0], NULL, 10),
                   strtoull(arguments[1], NULL, 10), err))
        return false;
    if (sigwait(&wanted, &signal_number) != 0)
        return error_set(err, ERROR_SYSTEM, "sigwait failed");
    if (!read_once(judge, process, &profile, err))
        return false;
    if (profile == NULL)
        return error_set(err, ERROR_BUSY, "the last read was given up too: %s", err->message);
    judge_profile(judge, profile);
    bool ok = write_profile(profile, path, err);
    profile_unref(profile);
    if (ok)
        printf("wrote %s\n", path);
    return ok;
}

int main(int argc, char **argv)
{
    static const struct procfs fs = {.root = "/"};
    struct judge judge = {0};
    struct error err = {0};
    sigset_t blocked;

    if (argc != 5) {
        fprintf(stderr, "usage: consistency_reader PID READS PROFILES FILE\n");
        return 2;
    }
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1); /* before anybody can send it */
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    struct go_process *process = go_process_open(&fs, (pid_t)strtol(argv[1], NULL, 10), &err);
    bool ok = process != NULL && run(&judge, process, argv + 2, &err);
    if (!ok)
        fprintf(stderr, "consistency_reader: after %" PRIu64 " reads: %s\n", judge.reads,
                err.message);
    profile_unref(judge.last);
    go_process_close(process);
    free(judge.allocs);
    return ok && judge.wrong == 0 ? 0 : 1;
}
