/* journal_files.h - the segments of a folder, oldest first: segment-NUMBER.gph. */
#ifndef GOPROFD_STORE_JOURNAL_FILES_H
#define GOPROFD_STORE_JOURNAL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct journal_file {
    uint64_t number;
    uint64_t bytes;
    uint64_t changed_realtime_ns;
};

enum { JOURNAL_NAME_BYTES = 40 };

/* The segments of [dir] by number; the caller frees [*files].  Whatever else lies there is not looked at. */
bool journal_files_list(const char *dir, struct journal_file **files, size_t *count,
                        struct error *err) GOPROFD_MUST_CHECK;
void journal_file_name(uint64_t number, char out[JOURNAL_NAME_BYTES]);

#endif
