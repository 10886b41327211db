/* alert_file.h - open alerts as a file, kept over a restart of goprofd: STATE_DIR/alerts.json. */
#ifndef GOPROFD_LUA_ALERT_FILE_H
#define GOPROFD_LUA_ALERT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

struct judge;

/* Replaces the file at once and whole; makes the folder if it is missing. */
bool alert_file_write(const char *state_dir, const struct judge *judge,
                      struct error *err) GOPROFD_MUST_CHECK;

/* True also if there is no file. */
bool alert_file_read(const char *state_dir, struct judge *judge, uint64_t now_realtime_ns,
                     struct error *err) GOPROFD_MUST_CHECK;

#endif
