/* capture_cooldown.c - when each target was last captured automatically. */
#include "core/capture/capture_cooldown.h"

enum { COOLDOWN_FIRST_CAPACITY = 16 };

void capture_cooldown_init(struct capture_cooldown *cooldown)
{
    *cooldown = (struct capture_cooldown){0};
}

void capture_cooldown_release(struct capture_cooldown *cooldown)
{
    for (size_t i = 0; i < cooldown->count_; i++)
        free(cooldown->entries_[i].target_id);
    free(cooldown->entries_);
    capture_cooldown_init(cooldown);
}

static struct capture_cooldown_entry *find(const struct capture_cooldown *cooldown,
                                           const char *target_id)
{
    for (size_t i = 0; i < cooldown->count_; i++) {
        if (strcmp(cooldown->entries_[i].target_id, target_id) == 0)
            return &cooldown->entries_[i];
    }
    return NULL;
}

uint64_t capture_cooldown_left_ns(const struct capture_cooldown *cooldown, const char *target_id,
                                  uint64_t interval_ns, uint64_t now_monotonic_ns)
{
    const struct capture_cooldown_entry *entry = find(cooldown, target_id);
    if (entry == NULL || now_monotonic_ns < entry->last_monotonic_ns)
        return 0;
    if (entry->failed && interval_ns > CAPTURE_COOLDOWN_FAILED_NS)
        interval_ns = CAPTURE_COOLDOWN_FAILED_NS;
    const uint64_t since_ns = now_monotonic_ns - entry->last_monotonic_ns;
    return since_ns < interval_ns ? interval_ns - since_ns : 0;
}

static struct capture_cooldown_entry *oldest(const struct capture_cooldown *cooldown)
{
    struct capture_cooldown_entry *found = &cooldown->entries_[0];
    for (size_t i = 1; i < cooldown->count_; i++) {
        if (cooldown->entries_[i].last_monotonic_ns < found->last_monotonic_ns)
            found = &cooldown->entries_[i];
    }
    return found;
}

/* A slot for [target_id], whose id is filled in; NULL without memory. */
static struct capture_cooldown_entry *add(struct capture_cooldown *cooldown, const char *target_id)
{
    char *copy = strdup(target_id);
    if (copy == NULL)
        return NULL;
    struct capture_cooldown_entry *entry;
    if (cooldown->count_ == CAPTURE_COOLDOWN_TARGETS_MAX) {
        entry = oldest(cooldown);
        free(entry->target_id);
    } else {
        if (cooldown->count_ == cooldown->capacity_) {
            const size_t wanted =
                cooldown->capacity_ == 0 ? COOLDOWN_FIRST_CAPACITY : cooldown->capacity_ * 2;
            struct capture_cooldown_entry *grown =
                realloc(cooldown->entries_, wanted * sizeof(*grown));
            if (grown == NULL) {
                free(copy);
                return NULL;
            }
            cooldown->entries_ = grown;
            cooldown->capacity_ = wanted;
        }
        entry = &cooldown->entries_[cooldown->count_++];
    }
    *entry = (struct capture_cooldown_entry){.target_id = copy};
    return entry;
}

bool capture_cooldown_note(struct capture_cooldown *cooldown, const char *target_id, bool failed,
                           uint64_t now_monotonic_ns)
{
    struct capture_cooldown_entry *entry = find(cooldown, target_id);
    if (entry == NULL)
        entry = add(cooldown, target_id);
    if (entry == NULL)
        return false;
    entry->last_monotonic_ns = now_monotonic_ns;
    entry->failed = failed;
    return true;
}
