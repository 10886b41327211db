/* target_info.c - what is known of a target beside its numbers; sealed when made.
 *
 * Made by the sampler, read by anyone through the board. */
#include "core/store/target_info.h"

#include "core/base/arena.h"

enum {
    INFO_MAX_BYTES = 8 << 20, /* a command line may hold 2 MiB, and its joined form as much */
    CHUNK_BYTES = 2 << 10,
};

const char *source_kind_name(enum source_kind source)
{
    switch (source) {
    case SOURCE_PROCESS:
        return "process";
    case SOURCE_PPROF:
        return "pprof";
    case SOURCE_PUSH:
        return "push";
    }
    return "unknown";
}

const char *target_state_name(enum target_state state)
{
    switch (state) {
    case TARGET_WAITING:
        return "waiting";
    case TARGET_UP:
        return "up";
    case TARGET_DEGRADED:
        return "degraded";
    case TARGET_DENIED:
        return "denied";
    case TARGET_UNSUPPORTED:
        return "unsupported";
    case TARGET_FAILING:
        return "failing";
    case TARGET_GONE:
        return "gone";
    }
    return "unknown";
}

/* Replaces [*text] by a copy in [arena].  False if it does not fit. */
static bool copy_text(struct arena *arena, const char **text)
{
    const char *source = *text != NULL ? *text : "";
    *text = arena_copy_string(arena, source, strlen(source));
    return *text != NULL;
}

static bool copy_settings(struct arena *arena, struct target_facts *facts)
{
    struct key_value *settings =
        arena_alloc_array(arena, facts->build_setting_count, sizeof(*settings));
    if (settings == NULL)
        return false;
    for (size_t i = 0; i < facts->build_setting_count; i++) {
        settings[i] = facts->build_settings[i];
        if (!copy_text(arena, &settings[i].key) || !copy_text(arena, &settings[i].value))
            return false;
    }
    facts->build_settings = settings;
    return true;
}

static bool copy_dependencies(struct arena *arena, struct target_facts *facts)
{
    struct module_dependency *dependencies =
        arena_alloc_array(arena, facts->dependency_count, sizeof(*dependencies));
    if (dependencies == NULL)
        return false;
    for (size_t i = 0; i < facts->dependency_count; i++) {
        dependencies[i] = facts->dependencies[i];
        if (!copy_text(arena, &dependencies[i].path) ||
            !copy_text(arena, &dependencies[i].version) ||
            !copy_text(arena, &dependencies[i].replacement))
            return false;
    }
    facts->dependencies = dependencies;
    return true;
}

static bool copy_facts(struct arena *arena, struct target_facts *facts)
{
    const char **const texts[] = {
        &facts->id,           &facts->name,       &facts->reason,      &facts->exe,
        &facts->command,      &facts->go_version, &facts->module_path, &facts->module_version,
        &facts->vcs_revision, &facts->build_id,   &facts->layout,      &facts->container_id,
        &facts->cgroup,       &facts->pod_uid,    &facts->pod,         &facts->pod_namespace,
        &facts->vcs_time,     &facts->vcs_modified, &facts->previous_build_id,
        &facts->url,
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!copy_text(arena, texts[i]))
            return false;
    }
    return copy_settings(arena, facts) && copy_dependencies(arena, facts);
}

const struct target_info *target_info_new(const struct target_facts *facts, const char *cmdline,
                                          size_t cmdline_length)
{
    struct arena *arena = arena_new(INFO_MAX_BYTES, CHUNK_BYTES);
    if (arena == NULL)
        return NULL;
    struct target_info *info = arena_alloc(arena, sizeof(*info));
    if (info == NULL)
        goto fail;
    atomic_init(&info->refs_, 1);
    info->arena_ = arena;
    info->facts = *facts;
    if (cmdline == NULL)
        cmdline_length = 0;
    info->cmdline = arena_copy_string(arena, cmdline != NULL ? cmdline : "", cmdline_length);
    info->cmdline_length = cmdline_length;
    if (info->cmdline == NULL || !copy_facts(arena, &info->facts))
        goto fail;
    return info;

fail:
    arena_free(arena);
    return NULL;
}

/* The count is the one part of a sealed info that changes: hence the casts. */
static struct target_info *counted(const struct target_info *info)
{
    return (struct target_info *)(uintptr_t)info;
}

const struct target_info *target_info_ref(const struct target_info *info)
{
    atomic_fetch_add_explicit(&counted(info)->refs_, 1, memory_order_relaxed);
    return info;
}

void target_info_unref(const struct target_info *info)
{
    if (info == NULL ||
        atomic_fetch_sub_explicit(&counted(info)->refs_, 1, memory_order_acq_rel) != 1)
        return;
    arena_free(counted(info)->arena_);
}
