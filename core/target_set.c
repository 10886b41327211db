/* target_set.c - matches the config's targets to running processes. */
#include "core/target_set.h"

#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/goproc/discover.h"
#include "core/goproc/go_finder.h"
#include "core/goproc/procfs.h"
#include "core/goproc/procfs_environ.h"
#include "core/scrape/scraper.h"
#include "core/target.h"
#include "core/track/tracker.h"

enum {
    TARGET_ID_MAX_BYTES = 128,
    TARGET_GONE_MAX = 64, /* discovered targets whose process exited, kept for their history */
    FORGOTTEN_MAX = 256,  /* ids whose numbers are remembered longer than that */
};

/* Looks for Go inside of other programs go on until this age of theirs. */
#define LATE_LIBRARY_NS (120 * CLOCK_NS_PER_S)

struct forgotten {
    char *id; /* NULL: none yet */
    struct target_numbers numbers;
};

struct target_set {
    const struct config *config;
    const struct target_context *context;
    struct discover *discover;
    struct go_finder *finder;
    uint64_t now_monotonic_ns; /* of the refresh under way */
    bool discovers; /* the config says so */
    bool full_logged;
    size_t count;
    struct target *targets[TARGET_SET_MAX];
    size_t next_forgotten;
    struct forgotten forgotten[FORGOTTEN_MAX];
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* Names come from file names: keep what is safe in labels, paths and URLs. */
static void copy_name(char out[TARGET_ID_MAX_BYTES], const char *name)
{
    static const char deleted[] = " (deleted)";
    size_t length = strlen(name);
    if (length > sizeof(deleted) - 1 && strcmp(name + length - (sizeof(deleted) - 1), deleted) == 0)
        length -= sizeof(deleted) - 1;
    if (length > TARGET_ID_MAX_BYTES - 8) /* room for "-1024" */
        length = TARGET_ID_MAX_BYTES - 8;
    for (size_t i = 0; i < length; i++) {
        const char c = name[i];
        const bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        out[i] = safe ? c : '_';
    }
    out[length] = '\0';
    if (length == 0 || strcmp(out, ".") == 0 || strcmp(out, "..") == 0) {
        out[0] = 'x';
        out[1] = '\0';
    }
}

static struct target *find_id(struct target_set *set, const char *id)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(target_id(set->targets[i]), id) == 0)
            return set->targets[i];
    }
    return NULL;
}

/* ---- those that are no targets any more ---- */

static struct forgotten *find_forgotten(struct target_set *set, const char *id)
{
    for (size_t i = 0; i < FORGOTTEN_MAX && set->forgotten[i].id != NULL; i++) {
        if (strcmp(set->forgotten[i].id, id) == 0)
            return &set->forgotten[i];
    }
    return NULL;
}

/* Without memory, or after so many others, it will begin at 1 again. */
static void note_forgotten(struct target_set *set, const struct target *target)
{
    struct forgotten *entry = find_forgotten(set, target_id(target));
    if (entry == NULL) {
        char *id = strdup(target_id(target));
        if (id == NULL)
            return;
        entry = &set->forgotten[set->next_forgotten];
        set->next_forgotten = (set->next_forgotten + 1) % FORGOTTEN_MAX;
        free(entry->id);
        entry->id = id;
    }
    entry->numbers = target_numbers(target);
}

static bool is_watched(const struct target_set *set, pid_t pid)
{
    for (size_t i = 0; i < set->count; i++) {
        if (target_pid(set->targets[i]) == pid)
            return true;
    }
    return false;
}

static struct target *add_target(struct target_set *set, const char *id, const char *name,
                                 bool configured)
{
    if (set->count == TARGET_SET_MAX) {
        if (!set->full_logged)
            log_warn(log_msg("too many targets: further processes are not watched"),
                     log_u64("limit", TARGET_SET_MAX));
        set->full_logged = true;
        return NULL;
    }
    struct target *target = target_new(set->context, id, name, configured);
    if (target == NULL)
        return NULL;
    set->targets[set->count++] = target;
    struct forgotten *before = find_forgotten(set, id);
    if (before != NULL)
        target_go_on(target, before->numbers);
    return target;
}

/* The target that a new process called [name] becomes: the first of name, name-2, name-3 ...
 * that has no process, be it new or left behind by one that exited. */
static struct target *slot_for(struct target_set *set, const char *name, bool configured)
{
    char id[TARGET_ID_MAX_BYTES];
    for (unsigned number = 1; number <= TARGET_SET_MAX; number++) {
        if (number == 1)
            (void)snprintf(id, sizeof(id), "%s", name);
        else if (snprintf(id, sizeof(id), "%.*s-%u", TARGET_ID_MAX_BYTES - 8, name, number) < 0)
            return NULL;
        struct target *present = find_id(set, id);
        if (present == NULL)
            return add_target(set, id, name, configured && number == 1);
        if (target_pid(present) == 0 && !target_is_scraped(present) && !target_is_pushed(present))
            return present;
    }
    return NULL;
}

static void attach(struct target_set *set, const struct config_target *entry, const char *name,
                   pid_t pid)
{
    const bool configured = entry->kind != CONFIG_TARGET_DISCOVER;
    char safe[TARGET_ID_MAX_BYTES];
    copy_name(safe, name);
    struct target *target = slot_for(set, safe, configured);
    if (target == NULL)
        return;
    target_enable_profiling(target, entry->enable_heap_profiling);
    target_attach(target, pid, set->now_monotonic_ns);
}

static bool is_excluded(const struct config_target *entry, const char *exe)
{
    for (size_t i = 0; i < entry->exclude_count; i++) {
        if (discover_glob_matches(entry->exclude[i], exe))
            return true;
    }
    return false;
}

/* Whether the process asks to be left alone: GOPROFD_DISABLE in its environment.  What cannot be read
 * says nothing; then neither can the process be. */
static bool has_opted_out(const struct target_set *set, pid_t pid)
{
    struct buffer variables;
    procfs_environ_init(&variables);
    bool out = false;
    if (procfs_environ_read(set->context->procfs, pid, &variables, NULL)) {
        const char *value = procfs_environ_get(&variables, "GOPROFD_DISABLE");
        out = value != NULL && value[0] != '\0' && strcmp(value, "0") != 0 &&
              strcmp(value, "false") != 0;
    }
    buffer_release(&variables);
    return out;
}

/* A program may load its Go library some time after its start. */
static enum discover_verdict verdict_on_other(uint64_t start_ticks)
{
    const uint64_t started_ns = procfs_ticks_to_ns(start_ticks);
    const uint64_t now_ns = clock_boottime_ns();
    return now_ns > started_ns && now_ns - started_ns > LATE_LIBRARY_NS ? DISCOVER_REMEMBER
                                                                        : DISCOVER_ASK_AGAIN;
}

/* The process runs Go, as [found] says; whether anybody wants it. */
static enum discover_verdict visit_discovered(struct target_set *set, pid_t pid, const char *exe,
                                              const struct go_found *found)
{
    const char *path = found->through_loader ? found->image : exe;
    for (size_t i = 0; i < set->config->target_count; i++) {
        const struct config_target *entry = &set->config->targets[i];
        if (entry->kind != CONFIG_TARGET_DISCOVER || is_excluded(entry, path))
            continue;
        if (has_opted_out(set, pid))
            log_info(log_msg("process opted out"), log_i64("pid", pid), log_str("exe", path));
        else
            attach(set, entry, entry->name != NULL ? entry->name : base_name(path), pid);
        break;
    }
    return DISCOVER_REMEMBER;
}

static const struct config_target *named_entry_of(const struct target_set *set, const char *path)
{
    for (size_t i = 0; i < set->config->target_count; i++) {
        const struct config_target *entry = &set->config->targets[i];
        if (entry->kind == CONFIG_TARGET_EXE && discover_glob_matches(entry->exe, path))
            return entry;
    }
    return NULL;
}

/* Judges one process that no target has yet. */
static enum discover_verdict visit(pid_t pid, uint64_t start_ticks, void *context)
{
    struct target_set *set = context;
    if (pid == getpid() || is_watched(set, pid))
        return DISCOVER_REMEMBER;

    char exe[PROCFS_PATH_MAX_BYTES];
    struct error err;
    if (!procfs_exe_read(set->context->procfs, pid, exe, &err))
        return err.code == ERROR_DENIED ? DISCOVER_REMEMBER : DISCOVER_ASK_AGAIN;

    const struct config_target *entry = named_entry_of(set, exe);
    if (entry != NULL) {
        attach(set, entry, entry->name != NULL ? entry->name : base_name(exe), pid);
        return DISCOVER_REMEMBER;
    }
    if (!set->discovers && !go_finder_is_loader(exe))
        return DISCOVER_REMEMBER;

    struct go_found found;
    if (!go_finder_look(set->finder, pid, set->now_monotonic_ns, &found, &err)) {
        if (err.code == ERROR_UNSUPPORTED)
            return verdict_on_other(start_ticks);
        return err.code == ERROR_GONE ? DISCOVER_ASK_AGAIN : DISCOVER_REMEMBER;
    }
    entry = found.through_loader ? named_entry_of(set, found.image) : NULL;
    if (entry != NULL) {
        attach(set, entry, entry->name != NULL ? entry->name : base_name(found.image), pid);
        return DISCOVER_REMEMBER;
    }
    return visit_discovered(set, pid, exe, &found);
}

static bool is_named(const struct config_target *entry)
{
    return entry->kind == CONFIG_TARGET_PID || entry->kind == CONFIG_TARGET_URL ||
           entry->name != NULL;
}

/* Host and port of [url]. */
static void copy_host(char out[TARGET_ID_MAX_BYTES], const char *url)
{
    char host[TARGET_ID_MAX_BYTES];
    const char *after_scheme = strstr(url, "://");
    const char *begin = after_scheme != NULL ? after_scheme + 3 : url;
    (void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(begin, "/"), begin);
    copy_name(out, host);
}

/* The id of an entry that is a target from the start. */
static void copy_entry_id(char out[TARGET_ID_MAX_BYTES], const struct config_target *entry)
{
    if (entry->name != NULL)
        copy_name(out, entry->name);
    else if (entry->kind == CONFIG_TARGET_URL)
        copy_host(out, entry->url);
    else
        (void)snprintf(out, TARGET_ID_MAX_BYTES, "pid-%d", (int)entry->pid);
}

/* Processes named by pid are attached once: after the exit that number means somebody else. */
static void attach_configured_pids(struct target_set *set)
{
    for (size_t i = 0; i < set->config->target_count; i++) {
        const struct config_target *entry = &set->config->targets[i];
        if (entry->kind != CONFIG_TARGET_PID)
            continue;
        char id[TARGET_ID_MAX_BYTES];
        copy_entry_id(id, entry);
        struct target *target = find_id(set, id);
        if (target == NULL || target_get_state(target) != TARGET_WAITING)
            continue;
        target_enable_profiling(target, entry->enable_heap_profiling);
        target_attach(target, entry->pid, set->now_monotonic_ns);
    }
}

static void remove_at(struct target_set *set, size_t index)
{
    if (target_is_pushed(set->targets[index]))
        tracker_forget(set->context->tracker, target_id(set->targets[index]));
    note_forgotten(set, set->targets[index]);
    target_free(set->targets[index]);
    set->count--;
    memmove(&set->targets[index], &set->targets[index + 1],
            (set->count - index) * sizeof(set->targets[0]));
}

/* A discovered target whose process exited is kept for the retention window, so that its last
 * history can be looked at; build tools that come and go must not pile up beyond a few. */
static void forget_gone(struct target_set *set)
{
    const uint64_t keep_ns = set->config->retention_window_sec * CLOCK_NS_PER_S;
    size_t gone = 0;
    for (size_t i = set->count; i-- > 0;) {
        const struct target *target = set->targets[i];
        if (target_is_configured(target) || target_pid(target) != 0 ||
            (target_is_pushed(target) && target_get_state(target) != TARGET_GONE))
            continue;
        const uint64_t gone_ns = set->now_monotonic_ns - target_state_since_ns(target);
        if (gone_ns > keep_ns || ++gone > TARGET_GONE_MAX)
            remove_at(set, i);
    }
}

/* Programs that push are targets from their first batch on.  A name that is taken stays with who has it; http refuses
 * further batches under it. */
static void add_pushed(struct target_set *set)
{
    char name[TARGET_ID_MAX_BYTES];
    if (set->context->tracker == NULL)
        return;
    for (size_t i = 0; tracker_name(set->context->tracker, i, name, sizeof(name));) {
        const struct target *present = find_id(set, name);
        if (present != NULL && !target_is_pushed(present)) {
            tracker_forget(set->context->tracker, name); /* the next one is number i now */
            continue;
        }
        i++;
        if (present != NULL)
            continue;
        struct target *target = add_target(set, name, name, false);
        if (target == NULL || target_use_push(target))
            continue;
        log_warn(log_msg("no memory for a target that pushes"), log_str("target", name));
        remove_at(set, set->count - 1);
    }
}

void target_set_refresh(struct target_set *set, uint64_t now_monotonic_ns)
{
    struct error err;
    set->now_monotonic_ns = now_monotonic_ns;
    attach_configured_pids(set);
    if (!discover_scan(set->discover, now_monotonic_ns, visit, set, &err))
        log_warn(log_msg("looking for processes failed"), log_str("reason", err.message));
    add_pushed(set);
    forget_gone(set);
}

static bool add_scraped(struct target_set *set, struct target *target,
                        const struct config_target *entry, struct error *err)
{
    struct scrape *scrape = scraper_add(set->context->scraper, entry,
                                        set->context->scrape_interval_ns, err);
    if (scrape == NULL)
        return false;
    return target_use_scrape(target, scrape) ||
           error_set(err, ERROR_NO_MEMORY, "no memory for target %s", target_id(target));
}

/* Every named entry of the config is a target from the start, so that one that is missing shows. */
static bool add_configured(struct target_set *set, struct error *err)
{
    for (size_t i = 0; i < set->config->target_count; i++) {
        const struct config_target *entry = &set->config->targets[i];
        if (entry->kind == CONFIG_TARGET_DISCOVER || !is_named(entry))
            continue;
        char id[TARGET_ID_MAX_BYTES];
        copy_entry_id(id, entry);
        if (find_id(set, id) != NULL)
            return error_set(err, ERROR_USAGE,
                             "targets: two are called '%s'; give one of them a name of its own", id);
        struct target *target = add_target(set, id, entry->name != NULL ? entry->name : id, true);
        if (target == NULL)
            return error_set(err, ERROR_NO_MEMORY, "no memory for target %s", id);
        char why[TARGET_ID_MAX_BYTES + 64];
        if (entry->kind == CONFIG_TARGET_URL) {
            if (!add_scraped(set, target, entry, err))
                return false;
            (void)snprintf(why, sizeof(why), "it was not scraped yet");
        } else if (entry->kind == CONFIG_TARGET_PID)
            (void)snprintf(why, sizeof(why), "pid %d was not looked at yet", (int)entry->pid);
        else
            (void)snprintf(why, sizeof(why), "no running process matches exe '%.100s'", entry->exe);
        target_set_waiting(target, why, 0);
    }
    return true;
}

struct target_set *target_set_new(const struct config *config,
                                  const struct target_context *context, struct error *err)
{
    struct target_set *set = calloc(1, sizeof(*set));
    if (set == NULL)
        goto no_memory;
    set->config = config;
    set->context = context;
    set->discover = discover_new(context->procfs);
    set->finder = go_finder_new(context->procfs);
    if (set->discover == NULL || set->finder == NULL)
        goto no_memory;
    for (size_t i = 0; i < config->target_count; i++)
        set->discovers = set->discovers || config->targets[i].kind == CONFIG_TARGET_DISCOVER;
    if (!add_configured(set, err))
        goto fail;
    if (set->discovers && procfs_hides_processes(context->procfs))
        log_warn(log_msg("processes of other users cannot be discovered"),
                 log_str("reason", "/proc is mounted with hidepid: remount it without, or run goprofd with "
                                   "CAP_SYS_PTRACE"));
    return set;

no_memory:
    (void)error_set(err, ERROR_NO_MEMORY, "no memory for the targets");
fail:
    target_set_free(set);
    return NULL;
}

void target_set_free(struct target_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        target_free(set->targets[i]);
    for (size_t i = 0; i < FORGOTTEN_MAX; i++)
        free(set->forgotten[i].id);
    discover_free(set->discover);
    go_finder_free(set->finder);
    free(set);
}

size_t target_set_count(const struct target_set *set)
{
    return set->count;
}

struct target *target_set_at(struct target_set *set, size_t index)
{
    return set->targets[index];
}
