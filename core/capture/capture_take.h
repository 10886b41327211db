/* capture_take.h - one capture of one target: may it be, what was before, the files, what goes for it.
 *
 *   cooldown -> profile of before -> profile -> oldest ones go
 *
 * Used by capture.c on the capture thread. */
#ifndef GOPROFD_CAPTURE_CAPTURE_TAKE_H
#define GOPROFD_CAPTURE_CAPTURE_TAKE_H

#include <stdbool.h>

#include "core/capture/capture.h"

struct board;
struct capture_cooldown;

struct capture_taker {
    struct board *board;
    struct capture_cooldown *cooldown;
    const struct capture_settings *settings;
    const struct capture_request *request;
};

/* Whether nobody asked for it but goprofd itself. */
bool capture_is_automatic(enum capture_reason reason);

/* Writes the profile of [view] and, of an alert or a rule, the one of before; [path] gets the first one's path. */
bool capture_take(const struct capture_taker *taker, const struct target_view *view,
                  char path[CAPTURE_PATH_MAX_BYTES], struct error *err) GOPROFD_MUST_CHECK;

#endif
