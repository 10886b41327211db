/* pod.c - which Kubernetes pod a process belongs to. */
#include "core/goproc/pod.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/goproc/procfs_environ.h"
#include "core/goproc/procfs_file.h"

enum { UUID_LENGTH = 36, HASH_LENGTH = 32, HOSTNAME_FILE_MAX_BYTES = 1024 };

/* ---- uid ---- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* How many bytes at [text] are a uid: a UUID with dashes or (systemd's slices) underscores, or the
 * plain hash of a static pod; 0 if none. */
static size_t uid_length(const char *text)
{
    size_t digits = strspn(text, "0123456789abcdef");
    if (digits == HASH_LENGTH)
        return HASH_LENGTH;
    for (size_t i = 0; i < UUID_LENGTH; i++) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? (text[i] != '-' && text[i] != '_') : !is_hex(text[i]))
            return 0;
    }
    return is_hex(text[UUID_LENGTH]) ? 0 : UUID_LENGTH;
}

void pod_uid_find(const char *cgroup_path, char uid[POD_UID_MAX_BYTES + 1])
{
    uid[0] = '\0';
    for (const char *at = cgroup_path; (at = strstr(at, "pod")) != NULL; at += 3) {
        const bool begins = at > cgroup_path && (at[-1] == '/' || at[-1] == '-');
        const size_t length = begins ? uid_length(at + 3) : 0;
        const char after = at[3 + length];
        if (length == 0 || (after != '\0' && after != '/' && after != '.' && after != ':'))
            continue;
        for (size_t i = 0; i < length; i++)
            uid[i] = at[3 + i] == '_' ? '-' : at[3 + i];
        uid[length] = '\0';
        return; /* the outermost: pods in pods (kind) are the host's only in name */
    }
}

/* ---- name ---- */

/* Copies [text] up to its first line end if it is a DNS name as Kubernetes demands of names. */
static bool copy_name(char *out, size_t max_bytes, const char *text)
{
    if (text == NULL)
        return false;
    const size_t length = strcspn(text, "\n");
    if (length == 0 || length > max_bytes)
        return false;
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];
        const bool inner = c == '-' || c == '.';
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              (inner && i > 0 && i + 1 < length)))
            return false;
    }
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

/* Reads the first bytes of the regular file [name] as the process would find it: a symbolic link in
 * its root must not lead into ours, nor a FIFO or device be opened.  False if there is none, or on
 * kernels before Linux 5.6. */
static bool read_in_root(const struct procfs *fs, pid_t pid, const char *name, char *out,
                         size_t max_bytes)
{
    char relative[48];
    char path[PROCFS_PATH_MAX_BYTES];
    struct stat status;
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    ssize_t length = -1;

    (void)snprintf(relative, sizeof(relative), "proc/%d/root", (int)pid);
    const int root = procfs_path(fs, path, relative) ? open(path, O_PATH | O_CLOEXEC) : -1;
    if (root == -1)
        return false;
    const int place = (int)syscall(SYS_openat2, root, name, &how, sizeof(how));
    (void)close(root);
    if (place == -1)
        return false;
    if (fstat(place, &status) == 0 && S_ISREG(status.st_mode)) {
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
        const int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file != -1) {
            length = read(file, out, max_bytes - 1);
            (void)close(file);
        }
    }
    (void)close(place);
    out[length > 0 ? length : 0] = '\0';
    return length > 0;
}

/* The host name kubelet wrote into the pod, unless it is the node's own. */
static void read_host_name(const struct procfs *fs, pid_t pid, struct pod *pod)
{
    char inside[HOSTNAME_FILE_MAX_BYTES];
    struct buffer outside;
    buffer_init(&outside, HOSTNAME_FILE_MAX_BYTES);
    if (read_in_root(fs, pid, "etc/hostname", inside, sizeof(inside)) &&
        (procfs_load(fs, "proc/sys/kernel/hostname", &outside) != 0 ||
         strcmp(inside, buffer_text(&outside)) != 0))
        (void)copy_name(pod->name, POD_NAME_MAX_BYTES, inside);
    buffer_release(&outside);
}

void pod_read(const struct procfs *fs, pid_t pid, const char *cgroup_path, struct pod *pod)
{
    *pod = (struct pod){.uid = ""};
    pod_uid_find(cgroup_path, pod->uid);
    if (pod->uid[0] == '\0')
        return; /* POD_NAME in a process outside of pods means something else */
    struct buffer variables;
    procfs_environ_init(&variables);
    if (procfs_environ_read(fs, pid, &variables, NULL)) {
        (void)copy_name(pod->name, POD_NAME_MAX_BYTES, procfs_environ_get(&variables, "POD_NAME"));
        (void)copy_name(pod->namespace_name, POD_NAMESPACE_MAX_BYTES,
                        procfs_environ_get(&variables, "POD_NAMESPACE"));
    }
    buffer_release(&variables);
    if (pod->name[0] == '\0')
        read_host_name(fs, pid, pod);
}
