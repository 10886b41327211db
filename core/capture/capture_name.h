/* capture_name.h - what captures are called, and which files are ours.
 *
 * Pure functions over text.  Only names that capture_name_parse() accepts are ever deleted. */
#ifndef GOPROFD_CAPTURE_CAPTURE_NAME_H
#define GOPROFD_CAPTURE_CAPTURE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CAPTURE_FOLDER_MAX_BYTES = 128, /* with the terminator */
    CAPTURE_NAME_MAX_BYTES = 64,
    CAPTURE_STAMP_BYTES = 16, /* "YYYYMMDD-HHMMSS" */
};
#define CAPTURE_PROFILE_SUFFIX ".pb.gz"
#define CAPTURE_SIDECAR_SUFFIX ".json"

enum capture_file_kind { CAPTURE_FILE_PROFILE, CAPTURE_FILE_SIDECAR };

struct capture_name {
    char stamp[CAPTURE_STAMP_BYTES]; /* sorts by time as text */
    uint32_t repeat;                 /* 1, 2, ...: which one of that second */
    enum capture_file_kind kind;
};

/* A folder for target [id]: the id itself when it consists of letters, digits, '-', '_' and '.'
 * (not first), else those of its characters and '~' and a hash of the whole id, so that two ids
 * never share a folder. */
void capture_name_folder(const char *id, char folder[CAPTURE_FOLDER_MAX_BYTES]);

/* The [repeat]th name (1, 2, ...) for [realtime_ns], in UTC. */
void capture_name_set(struct capture_name *name, uint64_t realtime_ns, uint32_t repeat);

/* "heap-20261123-004732Z.pb.gz", "heap-20261123-004732Z-2.json" */
void capture_name_format(const struct capture_name *name, enum capture_file_kind kind,
                         char text[CAPTURE_NAME_MAX_BYTES]);

/* The reverse; false if [text] is not exactly what capture_name_format() would have written. */
bool capture_name_parse(const char *text, struct capture_name *name);

/* Older first, as for qsort; the kind does not count. */
int capture_name_compare(const struct capture_name *a, const struct capture_name *b);

#endif
