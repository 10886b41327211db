/* data_file.h - Lua files that return plain data: config.lua, and tests of rules. */
#ifndef GOPROFD_LUA_DATA_FILE_H
#define GOPROFD_LUA_DATA_FILE_H

#include <stdbool.h>

#include "core/base/error.h"

struct arena;
struct config_node;

/* Runs the file at [path] in a sandbox of its own and copies the table that it returns into [arena].
 * False with "PATH:LINE: reason". */
bool data_file_read(const char *path, struct arena *arena, struct config_node *root,
                    struct error *err) GOPROFD_MUST_CHECK;

#endif
