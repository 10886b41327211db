/* source_file.h - Lua files: reading them whole, and naming them in errors. */
#ifndef GOPROFD_LUA_SOURCE_FILE_H
#define GOPROFD_LUA_SOURCE_FILE_H

#include <stddef.h>

#include "core/base/error.h"

/* Reads a regular file of at most [max_bytes] into a new block that the caller frees.  NULL with
 * "PATH: reason". */
char *source_file_read(const char *path, size_t max_bytes, size_t *length, struct error *err);

/* The last part of [path].  Lua shortens long names, so it is told only this. */
const char *source_file_base(const char *path);

/* Makes the message in [err] begin with [path], whether Lua positioned it ("BASE:LINE: text") or not. */
void source_file_name_error(const char *path, struct error *err);

#endif
