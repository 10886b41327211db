/* buildinfo.h - what the Go linker noted about a program: version, module, settings.
 *
 * May be absent in a Go program (some build systems drop it), so it never decides whether a file
 * is Go.  Read from the file at open; immutable afterwards.
 *
 *   magic "\xff Go buildinf:" | pointer size | flags | 16 bytes | uvarint + version | uvarint + modules
 *   (src/debug/buildinfo/buildinfo.go; inline strings since 1.18, pointers to strings before) */
#ifndef GOPROFD_GOPROC_BUILDINFO_H
#define GOPROFD_GOPROC_BUILDINFO_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"
#include "core/store/target_info.h"

struct arena;
struct elf_file;

enum {
    BUILDINFO_SETTINGS_MAX = 256,
    BUILDINFO_VERSION_MAX_BYTES = 128,
    BUILDINFO_DEPENDENCIES_MAX = 2048, /* what is past these two is left out */
    BUILDINFO_DEPENDENCIES_MAX_BYTES = 512 << 10,
};

struct buildinfo {
    const char *go_version;     /* "go1.26.8" */
    const char *path;           /* of the main package; "" if unknown, like all that follow */
    const char *module_path;    /* of the main module */
    const char *module_version; /* "v1.2.3", "(devel)", ... */
    const char *vcs_revision;
    const char *vcs_time;
    const char *vcs_modified;
    const struct key_value *settings;
    size_t setting_count;
    const struct module_dependency *dependencies;
    size_t dependency_count;
};

/* Strings go to [arena].  ERROR_NOT_FOUND if the file has none. */
bool buildinfo_read(const struct elf_file *elf, struct arena *arena, struct buildinfo *info,
                    struct error *err) GOPROFD_MUST_CHECK;

/* The same from bytes that start with the magic; only the inline form. */
bool buildinfo_parse(const char *bytes, size_t length, struct arena *arena, struct buildinfo *info,
                     struct error *err) GOPROFD_MUST_CHECK;

#endif
