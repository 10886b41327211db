/* config_file.h - evaluates config.lua (no io, no os, bounded) and applies what it returns.
 *
 * Main thread, at start and at SIGHUP. */
#ifndef GOPROFD_LUA_CONFIG_FILE_H
#define GOPROFD_LUA_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct config;

/* Evaluates [path] and passes the table on to config_apply().  Problems (syntax errors as FILE:LINE:
 * text, a result that is no table, and all that config_apply finds) go to [problems], one a
 * line; returns their number. */
size_t config_file_load(const char *path, struct config *config, struct buffer *problems);

#endif
