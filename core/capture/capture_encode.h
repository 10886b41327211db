/* capture_encode.h - a profile with its reason becomes two files.
 *
 * Used by capture.c on the capture thread; whether the capture is wanted was decided before. */
#ifndef GOPROFD_CAPTURE_CAPTURE_ENCODE_H
#define GOPROFD_CAPTURE_CAPTURE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/capture/capture_file.h"

struct capture_request;
struct target_view;

/* Two captures that are to be compared. */
struct capture_pair {
    bool is_before;     /* this is the earlier one */
    const char *before; /* of the later one: the file name of the other; or NULL: it is alone */
};

/* Writes the profile of [view] below [dir]; [path] gets the file's path, *[bytes] its size. */
bool capture_encode(const struct capture_request *request, const struct target_view *view,
                    const struct capture_pair *pair, const char *dir, uint64_t now_realtime_ns, char path[CAPTURE_PATH_MAX_BYTES],
                    size_t *bytes, struct error *err) GOPROFD_MUST_CHECK;

#endif
