/* profile_writer.h - a struct profile as pprof: gzipped profile.proto.
 *
 * Byte layout: github.com/google/pprof proto/profile.proto; order of sample types, labels and
 * Location grouping as src/runtime/pprof/{proto,protomem}.go writes them.  Any thread. */
#ifndef GOPROFD_PPROF_PROFILE_WRITER_H
#define GOPROFD_PPROF_PROFILE_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buffer.h"
#include "core/base/error.h"

struct profile;

/* What pprof shows first.  In-use is its own default and is left unsaid, as by /debug/pprof/heap;
 * /debug/pprof/allocs says alloc_space. */
enum profile_default_type { PROFILE_DEFAULT_INUSE_SPACE, PROFILE_DEFAULT_ALLOC_SPACE };

enum { PROFILE_WRITER_MAX_BYTES = 256 << 20 };

/* Appends the gzipped protobuf to [out].  [comments] (count strings) become Profile.comment.  Names
 * that are not UTF-8 get U+FFFD for each bad byte.  On failure [out] is as long as before. */
bool profile_write_gzip(const struct profile *profile, enum profile_default_type default_type,
                        const char *const *comments, size_t comment_count, struct buffer *out,
                        struct error *err) GOPROFD_MUST_CHECK;

/* The same without compression. */
bool profile_write_proto(const struct profile *profile, enum profile_default_type default_type,
                         const char *const *comments, size_t comment_count, struct buffer *out,
                         struct error *err) GOPROFD_MUST_CHECK;

/* The text of net/http/pprof's ?debug=1, without what a profile does not know: see profile_text.c. */
bool profile_write_text(const struct profile *profile, struct buffer *out, struct error *err)
    GOPROFD_MUST_CHECK;

#endif
