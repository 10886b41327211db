/* kept_file.h - a small kernel file that is read each beat, kept open in between.
 *
 * Opening a file of /proc or of a cgroup costs more than reading it.  While descriptors are plenty it
 * stays open and is read again from its start; past [kept_files.open_max] it is opened for each read.
 * An open file of /proc/PID belongs to that process and not to the number: reading it fails with ESRCH
 * once the process is gone, also when its pid names another one.  One thread. */
#ifndef GOPROFD_GOPROC_KEPT_FILE_H
#define GOPROFD_GOPROC_KEPT_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct procfs;

/* What those of one thread share. */
struct kept_files {
    size_t open;
    size_t open_max;
};

struct kept_file {
    int fd; /* -1: not open */
};

#define KEPT_FILE_CLOSED ((struct kept_file){.fd = -1})

/* Lets this process have as many descriptors as it may give itself: each target takes five, and the usual
 * soft limit of 1024, made for select(), would leave none for connections.  Once, at the start. */
void kept_files_raise_limit(void);

/* Half of the descriptors that this process may have: the rest is for connections and targets. */
void kept_files_init(struct kept_files *files);

/* Replaces [out] by the content of ROOT/[relative], terminated.  Returns 0 or an errno value, as procfs_load
 * does; after one the file is not open. */
int kept_file_load(struct kept_file *file, struct kept_files *files, const struct procfs *fs,
                   const char *relative, struct buffer *out);
bool kept_file_is_open(const struct kept_file *file);
void kept_file_close(struct kept_file *file, struct kept_files *files);

#endif
