/* capture_cooldown.h - when each target was last captured automatically.
 *
 * Owned by the capture thread.  Bounded: the target longest ago makes room for a new one. */
#ifndef GOPROFD_CAPTURE_CAPTURE_COOLDOWN_H
#define GOPROFD_CAPTURE_CAPTURE_COOLDOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CAPTURE_COOLDOWN_TARGETS_MAX = 4096 };

/* After a failure the next try may come sooner than after a capture, but not at every beat: a
 * full disk should not be hammered. */
#define CAPTURE_COOLDOWN_FAILED_NS UINT64_C(10000000000)

struct capture_cooldown_entry {
    char *target_id;
    uint64_t last_monotonic_ns;
    bool failed; /* how that one ended */
};

struct capture_cooldown {
    struct capture_cooldown_entry *entries_;
    size_t count_;
    size_t capacity_;
};

void capture_cooldown_init(struct capture_cooldown *cooldown);
void capture_cooldown_release(struct capture_cooldown *cooldown);

/* How long [target_id] still has to wait at [now_monotonic_ns]; 0: it may. */
uint64_t capture_cooldown_left_ns(const struct capture_cooldown *cooldown, const char *target_id,
                                  uint64_t interval_ns, uint64_t now_monotonic_ns);

/* Remembers an attempt.  False without memory: the target then has no cooldown. */
bool capture_cooldown_note(struct capture_cooldown *cooldown, const char *target_id, bool failed,
                           uint64_t now_monotonic_ns);

#endif
