/* process.c - see process.h.  Linux: the parent-death signal ties a program to its test. */
#include "tests/support/process.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 20, RUN_TIMEOUT_MS = 120000, CHILD_SETUP_FAILED = 127 };

void sleep_ms(unsigned ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

/* --- files ----------------------------------------------------------------------------------- */

char *path_join(const char *folder, const char *name)
{
    char *path = NULL;
    cr_assert(asprintf(&path, "%s/%s", folder, name) > 0);
    return path;
}

char *file_write(const char *folder, const char *name, const char *text)
{
    char *path = path_join(folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "cannot write %s", path);
    cr_assert(fputs(text, file) >= 0 && fclose(file) == 0, "cannot write %s", path);
    return path;
}

char *file_read(const char *path)
{
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "cannot read %s", path);
    char *text = NULL;
    size_t length = 0;
    FILE *copy = open_memstream(&text, &length);
    cr_assert_not_null(copy);
    char block[4096];
    size_t n = 0;
    while ((n = fread(block, 1, sizeof(block), file)) > 0)
        cr_assert_eq(fwrite(block, 1, n, copy), n);
    cr_assert_eq(fclose(copy), 0);
    fclose(file);
    return text;
}

char *scratch_new(void)
{
    const char *parent = GOPROFD_BINARY_DIR "/scratch";
    (void)mkdir(parent, 0755);
    char *folder = path_join(parent, "test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder), "cannot make %s", folder);
    return folder;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void scratch_remove(char *folder)
{
    cr_assert_eq(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0, "cannot remove %s", folder);
    free(folder);
}

/* --- programs -------------------------------------------------------------------------------- */

/* In the child, where nothing may be asserted: the runner is not listening to it. */
static void become(const char *const *argv, const char *log_path,
                   const struct process_options *options)
{
    const int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log == -1 || input == -1 || dup2(input, STDIN_FILENO) == -1 ||
        dup2(log, STDOUT_FILENO) == -1 || dup2(log, STDERR_FILENO) == -1)
        _exit(CHILD_SETUP_FAILED);
    if (options != NULL) {
        if (options->folder != NULL && chdir(options->folder) == -1)
            _exit(CHILD_SETUP_FAILED);
        for (size_t i = 0; options->environment != NULL && options->environment[i] != NULL; i++) {
            char *setting = strdup(options->environment[i]);
            if (setting == NULL || putenv(setting) != 0)
                _exit(CHILD_SETUP_FAILED);
        }
        if (options->user != 0 &&
            (setgid((gid_t)options->user) == -1 || setuid(options->user) == -1)) {
            perror("setuid");
            _exit(CHILD_SETUP_FAILED);
        }
    }
    /* After setuid, which clears it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* execvp keeps what it is given unchanged; its prototype is older than const. */
    union {
        const char *const *in;
        char *const *out;
    } arguments = {.in = argv};
    execvp(argv[0], arguments.out);
    perror(argv[0]);
    _exit(CHILD_SETUP_FAILED);
}

/* [argv] behind what is to run it; in the child, which never frees it. */
static const char *const *with_runner(const char *const *argv, const struct process_options *options)
{
    enum { WORDS_MAX = 64 };
    size_t count = 0;
    if (options == NULL || options->under == NULL)
        return argv;
    const char **words = calloc(WORDS_MAX + 1, sizeof(const char *));
    for (size_t i = 0; words != NULL && options->under[i] != NULL && count < WORDS_MAX; i++)
        words[count++] = options->under[i];
    for (size_t i = 0; words != NULL && argv[i] != NULL && count < WORDS_MAX; i++)
        words[count++] = argv[i];
    if (words == NULL || count == WORDS_MAX)
        _exit(CHILD_SETUP_FAILED);
    return words;
}

struct process process_start(const char *const *argv, const char *log_path,
                             const struct process_options *options)
{
    struct process process = {.log_path = strdup(log_path)};
    cr_assert_not_null(process.log_path);
    process.pid = fork();
    cr_assert_neq(process.pid, -1, "fork failed");
    if (process.pid == 0)
        become(with_runner(argv, options), log_path, options);
    return process;
}

char *process_output(const struct process *process)
{
    /* The child creates the file; it may not have come so far. */
    for (unsigned waited_ms = 0; access(process->log_path, R_OK) == -1 && waited_ms < 5000;
         waited_ms += POLL_MS)
        sleep_ms(POLL_MS);
    return file_read(process->log_path);
}

/* True once the program has ended; *[status] as process_wait returns it. */
static bool has_ended(struct process *process, int *status)
{
    int raw = 0;
    const pid_t ended = waitpid(process->pid, &raw, WNOHANG);
    cr_assert_neq(ended, -1, "waitpid(%d) failed", (int)process->pid);
    if (ended == 0)
        return false;
    *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    process->pid = 0;
    return true;
}

char *process_wait_for(const struct process *process, const char *needle, unsigned timeout_ms)
{
    for (unsigned waited_ms = 0;; waited_ms += POLL_MS) {
        char *output = process_output(process);
        char *found = strstr(output, needle);
        char *end = found == NULL ? NULL : strchr(found, '\n');
        if (end != NULL) {
            *end = '\0';
            char *rest = strdup(found + strlen(needle));
            free(output);
            return rest;
        }
        siginfo_t ended = {0};
        const bool gone =
            waitid(P_PID, (id_t)process->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            ended.si_pid != 0;
        cr_assert(!gone, "ended before printing '%s':\n%s", needle, output);
        cr_assert(waited_ms < timeout_ms, "did not print '%s' within %u ms:\n%s", needle,
                  timeout_ms, output);
        free(output);
        sleep_ms(POLL_MS);
    }
}

int process_wait(struct process *process, unsigned timeout_ms)
{
    int status = 0;
    unsigned waited_ms = 0;
    while (!has_ended(process, &status)) {
        if (waited_ms >= timeout_ms) {
            char *output = process_output(process);
            kill(process->pid, SIGKILL);
            cr_assert(false, "still running after %u ms:\n%s", timeout_ms, output);
        }
        sleep_ms(POLL_MS);
        waited_ms += POLL_MS;
    }
    return status;
}

int process_stop(struct process *process, int signal_number, unsigned timeout_ms)
{
    cr_assert_eq(kill(process->pid, signal_number), 0);
    return process_wait(process, timeout_ms);
}

void process_release(struct process *process)
{
    if (process->pid != 0)
        (void)process_stop(process, SIGKILL, 10000);
    free(process->log_path);
    process->log_path = NULL;
}

int process_run(const char *const *argv, const struct process_options *options, char **output)
{
    char log_path[] = GOPROFD_BINARY_DIR "/run-XXXXXX";
    const int fd = mkstemp(log_path);
    cr_assert_neq(fd, -1, "cannot make %s", log_path);
    close(fd);
    struct process process = process_start(argv, log_path, options);
    const int status = process_wait(&process, RUN_TIMEOUT_MS);
    *output = process_output(&process);
    process_release(&process);
    (void)unlink(log_path);
    return status;
}
