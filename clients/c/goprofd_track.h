/* goprofd_track.h - tells goprofd of allocations that a C program tracks itself.
 *
 *   struct goprofd_tracker *tracker = goprofd_tracker_new(NULL);
 *   goprofd_track_allocation(tracker, "tile", "render", size);
 *   goprofd_track_free(tracker, "tile", "render", size);
 *   goprofd_tracker_free(tracker);
 *
 * Tracking adds to a counter under a lock and never waits for the network: a thread of the tracker's own sends what
 * changed, once a second, with libcurl.  While goprofd cannot be reached the counts stay here, in memory that is bounded
 * by the number of types and tags.  The protocol is docs/track.md.  All functions may be called from any thread, and with
 * NULL, where they do nothing.  C11 and later; link libcurl and pthread. */
#ifndef GOPROFD_TRACK_H
#define GOPROFD_TRACK_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct goprofd_tracker;

/* All members may be NULL or 0. */
struct goprofd_options {
    const char *url;    /* "http://127.0.0.1:8080" (the default), https://..., or "unix:/run/goprofd.sock" */
    const char *target; /* what goprofd calls the program: letters, digits, '.', '_', '-'; default: its name, made of these */
    const char *token;  /* sent as "Authorization: Bearer TOKEN" */
    unsigned interval_ms; /* between two batches; default: 1000 */
};

/* [options] and its strings are copied; NULL: all defaults.  NULL if they make no sense or without memory; that goprofd is
 * not there is no failure. */
struct goprofd_tracker *goprofd_tracker_new(const struct goprofd_options *options);

/* One object of [bytes], of a type, on behalf of a route, a job, a cache.  Texts are copied when they are new. */
void goprofd_track_allocation(struct goprofd_tracker *tracker, const char *type, const char *tag,
                              size_t bytes);
/* The same object is gone. */
void goprofd_track_free(struct goprofd_tracker *tracker, const char *type, const char *tag,
                        size_t bytes);

/* Batches that goprofd took, and tries that failed (each is tried again, unless it was refused for good). */
unsigned long long goprofd_tracker_sent(struct goprofd_tracker *tracker);
unsigned long long goprofd_tracker_failed(struct goprofd_tracker *tracker);

/* Sends what is left, waiting at most a few seconds, and lets go of everything. */
void goprofd_tracker_free(struct goprofd_tracker *tracker);

#ifdef __cplusplus
}
#endif

#endif
