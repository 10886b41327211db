/* cli_output.h - what the commands that write a profile share: which process, and where to. */
#ifndef GOPROFD_CLI_OUTPUT_H
#define GOPROFD_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/base/error.h"

struct buffer;

bool cli_parse_pid(const char *text, pid_t *pid);
bool cli_write_all(int fd, const char *bytes, size_t length, struct error *err) GOPROFD_MUST_CHECK;
bool cli_write_file(const char *path, const struct buffer *body,
                    struct error *err) GOPROFD_MUST_CHECK;

#endif
