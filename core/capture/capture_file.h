/* capture_file.h - one capture on disk: profile and sidecar appear whole, or not at all.
 *
 * Called by capture.c on the capture thread, and by tests; the time is a parameter.  Everything
 * is done relative to folders opened once, and symbolic links below DIR are never followed.
 *
 *   tmp profile, synced --+
 *   tmp sidecar, synced --+-> sidecar gets its name -> profile gets the same -> folder synced
 *
 * In this order a reader that sees a profile also sees why it was taken.  A name that exists
 * is never replaced: the next "-2", "-3" is tried. */
#ifndef GOPROFD_CAPTURE_CAPTURE_FILE_H
#define GOPROFD_CAPTURE_CAPTURE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

enum { CAPTURE_PATH_MAX_BYTES = 4096 };

struct capture_content {
    const void *profile;
    size_t profile_bytes;
    const void *sidecar;
    size_t sidecar_bytes;
};

/* Creates [dir] with its parents if it is missing, and opens it.  -1 with the error set, which
 * names the folder and the cure. */
int capture_file_open_dir(const char *dir, struct error *err);

/* Writes [content] into the folder of [target_id] below [dir]; [path] gets the profile's path,
 * below [dir] as given.  On failure nothing of it stays behind. */
bool capture_file_write(const char *dir, const char *target_id,
                        const struct capture_content *content, uint64_t realtime_ns,
                        char path[CAPTURE_PATH_MAX_BYTES], struct error *err) GOPROFD_MUST_CHECK;

/* Whether [bytes] could be written for [target_id] now; they are not kept. */
bool capture_file_probe(const char *dir, const char *target_id, size_t bytes,
                        struct error *err) GOPROFD_MUST_CHECK;

/* What one target may keep; 0: no limit. */
struct capture_limits {
    uint64_t max_files; /* profiles */
    uint64_t max_bytes; /* profiles and sidecars together */
    uint64_t max_age_ns;
};

/* Deletes the oldest captures (profile and sidecar together) of [target_id] until what is left keeps
 * within [limits], except the one at [keep_path] (may be NULL), and the temporary files
 * that a crash left more than an hour before [now_realtime_ns].  *[deleted] gets the number of
 * profiles that went. */
bool capture_file_rotate(const char *dir, const char *target_id,
                         const struct capture_limits *limits, const char *keep_path,
                         uint64_t now_realtime_ns, size_t *deleted, struct error *err) GOPROFD_MUST_CHECK;

#endif
