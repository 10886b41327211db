/* process.h - programs that a test runs: start, read what they print, stop.
 *
 * Called from Criterion tests only: what should not fail is asserted here, with the program's output
 * in the message.  A program dies with the test that started it, also when the test crashes. */
#ifndef GOPROFD_TESTS_PROCESS_H
#define GOPROFD_TESTS_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

struct process {
    pid_t pid;        /* 0: not running */
    char *log_path;   /* where its standard output and error go, both; owned */
};

/* How a program is run; zero for "as the test itself". */
struct process_options {
    const char *const *environment; /* "NAME=VALUE" ..., NULL-ended, added to the test's own */
    uid_t user;                     /* 0: as the test itself */
    const char *folder;             /* working directory; NULL: the test's */
    const char *const *under;       /* "unshare", "-m" ..., NULL-ended: what is run to run the program; NULL: nothing */
};

/* Starts [argv] (NULL-ended, found in PATH) with its output in [log_path]. */
struct process process_start(const char *const *argv, const char *log_path,
                             const struct process_options *options);

/* Waits for the line that contains [needle] and returns a copy of the rest of it, after the needle;
 * the caller frees it. */
char *process_wait_for(const struct process *process, const char *needle, unsigned timeout_ms);

/* Waits for the end: exit status, or 128 + signal number. */
int process_wait(struct process *process, unsigned timeout_ms);

/* Sends [signal_number] and waits for the end. */
int process_stop(struct process *process, int signal_number, unsigned timeout_ms);

/* Everything printed so far; the caller frees it. */
char *process_output(const struct process *process);

void process_release(struct process *process); /* kills it if it still runs */

/* Runs [argv] to its end; *[output] gets what it printed, for the caller to free. */
int process_run(const char *const *argv, const struct process_options *options, char **output);

/* A fresh folder for this test under the build folder; the caller frees the string. */
char *scratch_new(void);
void scratch_remove(char *folder); /* removes the folder and frees the string */

/* "FOLDER/NAME", for the caller to free; and the file of that name with [text] in it. */
char *path_join(const char *folder, const char *name);
char *file_write(const char *folder, const char *name, const char *text);
char *file_read(const char *path); /* the caller frees it */

void sleep_ms(unsigned ms);

#endif
