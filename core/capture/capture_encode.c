/* capture_encode.c - a profile with its reason becomes two files. */
#include "core/capture/capture_encode.h"

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/capture/capture.h"
#include "core/capture/capture_sidecar.h"
#include "core/pprof/profile_writer.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/target_info.h"

enum { CAPTURE_COMMENT_BYTES = 1024 };

bool capture_encode(const struct capture_request *request, const struct target_view *view,
                    const struct capture_pair *pair, const char *dir, uint64_t now_realtime_ns, char path[CAPTURE_PATH_MAX_BYTES],
                    size_t *bytes, struct error *err)
{
    const struct target_facts *facts = &view->info->facts;
    struct buffer profile;
    struct buffer sidecar;
    char comment[CAPTURE_COMMENT_BYTES];
    char when[CLOCK_RFC3339_BYTES];

    buffer_init(&profile, PROFILE_WRITER_MAX_BYTES);
    buffer_init(&sidecar, CAPTURE_SIDECAR_MAX_BYTES);
    clock_format_rfc3339(now_realtime_ns, when);
    (void)snprintf(comment, sizeof(comment), "goprofd %s: %s, pid %ld, %s %s (%s)",
                   GOPROFD_VERSION, facts->id, (long)facts->pid,
                   pair->is_before ? "kept as it was" : "captured", when,
                   capture_reason_name(request->reason));
    const char *const comments[] = {comment};

    bool ok =
        profile_write_gzip(view->profile, PROFILE_DEFAULT_INUSE_SPACE, comments, 1, &profile, err);
    if (ok) {
        capture_sidecar_write(request, view, pair, now_realtime_ns, profile.length, &sidecar);
        ok = !sidecar.failed ||
             error_set(err, ERROR_LIMIT, "capture's JSON does not fit into %d bytes, or no memory",
                       CAPTURE_SIDECAR_MAX_BYTES);
    }
    if (ok) {
        const struct capture_content content = {.profile = profile.data,
                                                .profile_bytes = profile.length,
                                                .sidecar = sidecar.data,
                                                .sidecar_bytes = sidecar.length};
        ok = capture_file_write(dir, facts->id, &content, now_realtime_ns, path, err);
    }
    *bytes = profile.length;
    buffer_release(&sidecar);
    buffer_release(&profile);
    return ok;
}
