/* cgroup_memory.c - the memory cgroups that processes are in, each file of them read once a beat. */
#include "core/goproc/cgroup_memory.h"

#include <stdlib.h>
#include <string.h>

#include "core/goproc/procfs.h"
#include "core/goproc/procfs_cgroup.h"
#include "core/goproc/procfs_file.h"
#include "core/store/fields.h"

#define CGROUP_TEXT_MAX_BYTES ((size_t)256 << 10)

/* v1 writes "no limit" as the largest page-aligned long, whatever the page's size. */
#define CGROUP_V1_NO_LIMIT_BYTES UINT64_C(0x7FFFFFFFFFFF0000)

enum { CGROUP_DEPTH_MAX = 64 };

enum group_number { GROUP_CURRENT, GROUP_MAX, GROUP_HIGH, GROUP_OOM_KILLS, GROUP_NUMBER_COUNT };

/* Where each number stands: the file by version, and what comes before it in its line. */
static const struct {
    const char *name[2]; /* version 2, version 1; NULL: version 1 has none */
    const char *key;
} group_files[GROUP_NUMBER_COUNT] = {
    [GROUP_CURRENT] = {{"memory.current", "memory.usage_in_bytes"}, ""},
    [GROUP_MAX] = {{"memory.max", "memory.limit_in_bytes"}, ""},
    [GROUP_HIGH] = {{"memory.high", NULL}, ""},
    [GROUP_OOM_KILLS] = {{"memory.events", "memory.oom_control"}, "oom_kill "},
};

struct cgroup {
    struct cgroup *next;
    struct cgroup *parent; /* NULL at the mount point, where ancestors end */
    size_t users;
    bool v1;
    struct kept_file files[GROUP_NUMBER_COUNT];
    uint64_t values[GROUP_NUMBER_COUNT];
    bool known[GROUP_NUMBER_COUNT];
    uint64_t read_in_beat[GROUP_NUMBER_COUNT];
    char folder[]; /* relative to the root of [fs] */
};

void cgroup_table_init(struct cgroup_table *table, const struct procfs *fs,
                       struct kept_files *files)
{
    *table = (struct cgroup_table){.fs = fs, .files = files, .beat_ = 1};
    buffer_init(&table->text_, CGROUP_TEXT_MAX_BYTES);
}

void cgroup_table_release(struct cgroup_table *table)
{
    buffer_release(&table->text_);
}

void cgroup_table_next_beat(struct cgroup_table *table)
{
    table->beat_++;
}

/* ---- the tree ---- */

static void close_group(struct cgroup_table *table, struct cgroup *group)
{
    struct cgroup **link = &table->groups_;
    while (*link != group)
        link = &(*link)->next;
    *link = group->next;
    for (size_t i = 0; i < GROUP_NUMBER_COUNT; i++)
        kept_file_close(&group->files[i], table->files);
    free(group);
}

void cgroup_put(struct cgroup_table *table, struct cgroup *group)
{
    while (group != NULL && --group->users == 0) {
        struct cgroup *parent = group->parent; /* it was held by its child */
        close_group(table, group);
        group = parent;
    }
}

static struct cgroup *find_group(const struct cgroup_table *table, bool v1, const char *folder)
{
    for (struct cgroup *group = table->groups_; group != NULL; group = group->next)
        if (group->v1 == v1 && strcmp(group->folder, folder) == 0)
            return group;
    return NULL;
}

/* One hold on the group of [folder], whose parent is [parent]: that hold is taken over. */
static struct cgroup *hold_group(struct cgroup_table *table, bool v1, const char *folder,
                                 struct cgroup *parent)
{
    struct cgroup *group = find_group(table, v1, folder);
    if (group != NULL) {
        cgroup_put(table, parent);
        group->users++;
        return group;
    }
    const size_t length = strlen(folder);
    group = calloc(1, sizeof(*group) + length + 1);
    if (group == NULL) {
        cgroup_put(table, parent);
        return NULL;
    }
    memcpy(group->folder, folder, length + 1);
    group->v1 = v1;
    group->parent = parent;
    group->users = 1;
    for (size_t i = 0; i < GROUP_NUMBER_COUNT; i++)
        group->files[i] = KEPT_FILE_CLOSED;
    group->next = table->groups_;
    table->groups_ = group;
    return group;
}

/* The group of [place] with all of its ancestors below the mount point, from there on down. */
static struct cgroup *hold_path(struct cgroup_table *table, const struct cgroup_place *place)
{
    char folder[PROCFS_PATH_MAX_BYTES];
    const size_t length = strlen(place->path);
    struct cgroup *group = NULL;
    unsigned depth = 0;
    for (size_t end = place->top_length; end <= length; end++) {
        if (end != length && place->path[end] != '/')
            continue;
        if (++depth > CGROUP_DEPTH_MAX) {
            cgroup_put(table, group);
            return NULL;
        }
        memcpy(folder, place->path, end);
        folder[end] = '\0';
        group = hold_group(table, place->v1, folder, group);
        if (group == NULL)
            return NULL;
    }
    return group;
}

/* ---- its numbers ---- */

static bool read_number(struct cgroup_table *table, struct cgroup *group, enum group_number number)
{
    const char *name = group_files[number].name[group->v1];
    char path[PROCFS_PATH_MAX_BYTES];
    struct kept_file *file = &group->files[number];
    const bool was_open = kept_file_is_open(file);

    if (name == NULL)
        return false;
    const int length = snprintf(path, sizeof(path), "%s/%s", group->folder, name);
    if (length < 0 || (size_t)length >= sizeof(path))
        return false;
    int failed = kept_file_load(file, table->files, table->fs, path, &table->text_);
    if (failed != 0 && was_open) /* the group was removed, and maybe made again */
        failed = kept_file_load(file, table->files, table->fs, path, &table->text_);
    return failed == 0 && procfs_line_u64(table->text_.data, group_files[number].key,
                                          &group->values[number]);
}

/* One number of [group] as of this beat; false if it has none, as "max" is none. */
static bool get_number(struct cgroup_table *table, struct cgroup *group, enum group_number number,
                       uint64_t *value)
{
    if (group->read_in_beat[number] != table->beat_) {
        group->known[number] = read_number(table, group, number);
        group->read_in_beat[number] = table->beat_;
        if (number == GROUP_MAX && group->v1 &&
            group->values[number] >= CGROUP_V1_NO_LIMIT_BYTES)
            group->known[number] = false;
    }
    *value = group->values[number];
    return group->known[number];
}

struct cgroup *cgroup_get(struct cgroup_table *table, const struct cgroup_place *place)
{
    uint64_t current;
    struct cgroup *group = hold_path(table, place);
    /* Without the memory controller in a group its memory is charged to the nearest ancestor
     * that has it. */
    while (group != NULL && !group->v1 && !get_number(table, group, GROUP_CURRENT, &current)) {
        struct cgroup *parent = group->parent;
        if (parent != NULL)
            parent->users++;
        cgroup_put(table, group);
        group = parent;
    }
    return group;
}

void cgroup_fill(struct cgroup_table *table, struct cgroup *group, struct snapshot_values *values)
{
    uint64_t number;
    if (get_number(table, group, GROUP_CURRENT, &number))
        SNAPSHOT_SET(values, cgroup_memory_current_bytes, number);
    if (get_number(table, group, GROUP_HIGH, &number))
        SNAPSHOT_SET(values, cgroup_memory_high_bytes, number);
    if (get_number(table, group, GROUP_OOM_KILLS, &number))
        SNAPSHOT_SET(values, cgroup_oom_kills, number);
    for (; group != NULL; group = group->parent) {
        if (!get_number(table, group, GROUP_MAX, &number))
            continue;
        SNAPSHOT_SET(values, cgroup_memory_max_bytes, number);
        if (get_number(table, group, GROUP_CURRENT, &number))
            SNAPSHOT_SET(values, cgroup_memory_max_used_bytes, number);
        return;
    }
}

bool cgroup_oom_kills(struct cgroup_table *table, struct cgroup *group, bool ask_now,
                      uint64_t *kills)
{
    if (ask_now)
        group->read_in_beat[GROUP_OOM_KILLS] = 0;
    return get_number(table, group, GROUP_OOM_KILLS, kills);
}

unsigned cgroup_fill_percent(struct cgroup_table *table, struct cgroup *group)
{
    unsigned fullest = 0;
    for (; group != NULL; group = group->parent) {
        uint64_t current, limit;
        if (!get_number(table, group, GROUP_MAX, &limit) ||
            !get_number(table, group, GROUP_CURRENT, &current))
            continue;
        const unsigned percent =
            current >= limit ? 100 : (unsigned)((double)current / (double)limit * 100);
        fullest = percent > fullest ? percent : fullest;
    }
    return fullest;
}
