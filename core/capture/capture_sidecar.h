/* capture_sidecar.h - the JSON beside a captured profile: what it is and why it was taken.
 *
 * Used by capture.c; the clock and the size come from the caller. */
#ifndef GOPROFD_CAPTURE_CAPTURE_SIDECAR_H
#define GOPROFD_CAPTURE_CAPTURE_SIDECAR_H

#include <stdint.h>

struct buffer;
struct capture_pair;
struct capture_request;
struct target_view;

enum { CAPTURE_SIDECAR_MAX_BYTES = 1 << 20 };

/* Appends one JSON object and a newline; failure is the buffer's. */
void capture_sidecar_write(const struct capture_request *request, const struct target_view *view,
                           const struct capture_pair *pair, uint64_t realtime_ns, uint64_t profile_bytes, struct buffer *out);

#endif
