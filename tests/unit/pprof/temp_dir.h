/* temp_dir.h - a folder of its own for a test, and what is in it. */
#ifndef GOPROFD_TESTS_TEMP_DIR_H
#define GOPROFD_TESTS_TEMP_DIR_H

#include <stdbool.h>
#include <stddef.h>

enum { TEMP_PATH_BYTES = 4096 };

struct temp_dir {
    char path[TEMP_PATH_BYTES];
};

void temp_dir_init(struct temp_dir *dir);
void temp_dir_release(struct temp_dir *dir); /* deletes all in it */

/* "DIR/relative", valid until the next call with the same [out]. */
const char *temp_dir_path(const struct temp_dir *dir, const char *relative,
                          char out[TEMP_PATH_BYTES]);

void temp_dir_put(const struct temp_dir *dir, const char *relative, const char *text);
bool temp_dir_has(const struct temp_dir *dir, const char *relative);

/* Entries of DIR/relative, also hidden ones; 0 if it is not there. */
size_t temp_dir_count(const struct temp_dir *dir, const char *relative);

/* The file's content, terminated; the caller frees it.  Fails the test if it cannot be read. */
char *temp_dir_read(const char *path);

#endif
