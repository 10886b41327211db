/* procfs_cgroup.c - where the memory cgroup of a process lies, and the container it belongs to.
 *
 *   /proc/PID/cgroup      which group      "0::/system.slice/x"  or  "4:memory:/x" (v1, hybrid)
 *   /proc/self/mountinfo  where groups are "... ROOT MOUNTPOINT ... - cgroup2 ..."
 *   MOUNTPOINT + (group - ROOT)            the folder with memory.current (cgroup_memory.c)
 *
 * Both paths are relative to our own cgroup namespace, so a group that lies outside of what is
 * mounted here is recognised and its fields stay absent; guessing would show the numbers of
 * some other group. */
#include "core/goproc/procfs_cgroup.h"

#include <errno.h>

#include "core/goproc/procfs_file.h"

#define CGROUP_TEXT_MAX_BYTES ((size_t)256 << 10)
#define MOUNTINFO_MAX_BYTES ((size_t)8 << 20)

enum { CONTAINER_ID_HEX_DIGITS = 64 };

/* ---- which group: /proc/PID/cgroup ---- */

struct membership {
    bool v1; /* the memory controller is on a v1 hierarchy */
    char path[PROCFS_PATH_MAX_BYTES];
};

/* Whether the comma-separated [controllers] of [length] bytes name "memory". */
static bool lists_memory(const char *controllers, size_t length)
{
    static const char wanted[] = "memory";
    const char *end = controllers + length;
    for (const char *word = controllers; word < end;) {
        const char *comma = memchr(word, ',', (size_t)(end - word));
        const char *word_end = comma != NULL ? comma : end;
        if ((size_t)(word_end - word) == sizeof(wanted) - 1 &&
            memcmp(word, wanted, sizeof(wanted) - 1) == 0)
            return true;
        word = comma != NULL ? comma + 1 : end;
    }
    return false;
}

/* Takes the memory line of [text] into [found]; "0::" only counts while no v1 line is found,
 * since on a hybrid machine it is an empty hierarchy. */
static bool find_membership(const char *text, struct membership *found)
{
    bool any = false;
    for (const char *line = text; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        const char *end = line + length;
        const char *controllers = memchr(line, ':', length);
        const char *path = controllers == NULL
                               ? NULL
                               : memchr(controllers + 1, ':', (size_t)(end - controllers - 1));
        if (path != NULL && path + 1 < end && path[1] == '/' &&
            (size_t)(end - path) <= sizeof(found->path)) {
            const size_t names_length = (size_t)(path - controllers - 1);
            const bool v1 = lists_memory(controllers + 1, names_length);
            const bool v2 = names_length == 0 && line[0] == '0' && controllers == line + 1;
            if (v1 || (v2 && !any)) {
                const size_t path_length = (size_t)(end - path - 1);
                memcpy(found->path, path + 1, path_length);
                found->path[path_length] = '\0';
                found->v1 = v1;
                any = true;
                if (v1)
                    break;
            }
        }
        line = *end == '\0' ? end : end + 1;
    }
    return any;
}

/* ---- container ids ---- */

static bool is_hex(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        const bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (!digit)
            return false;
    }
    return true;
}

/* The id at the end of one path component of [length] bytes: its start, or NULL. */
static const char *component_id(const char *component, size_t length, size_t *id_length)
{
    static const char scope[] = ".scope";
    const size_t scope_length = sizeof(scope) - 1;
    if (length > scope_length && memcmp(component + length - scope_length, scope, scope_length) == 0)
        length -= scope_length;
    if (length < CONTAINER_ID_HEX_DIGITS)
        return NULL;
    const char *id = component + length - CONTAINER_ID_HEX_DIGITS;
    if (!is_hex(id, CONTAINER_ID_HEX_DIGITS) || (id > component && id[-1] != '-' && id[-1] != ':'))
        return NULL;
    /* conmon watches a container from outside: it is not in it. */
    static const char monitor[] = "conmon-";
    const size_t monitor_length = sizeof(monitor) - 1;
    if ((size_t)(id - component) >= monitor_length &&
        memcmp(id - monitor_length, monitor, monitor_length) == 0)
        return NULL;
    *id_length = CONTAINER_ID_HEX_DIGITS;
    return id;
}

void procfs_container_id_find(const char *cgroup_path, char container_id[80])
{
    /* The deepest id counts: containers in containers, and groups a container made inside itself
     * (".../docker-ID.scope/init"). */
    container_id[0] = '\0';
    for (const char *component = cgroup_path; *component != '\0';) {
        component += strspn(component, "/");
        const size_t length = strcspn(component, "/");
        size_t id_length = 0;
        const char *id = component_id(component, length, &id_length);
        if (id != NULL) {
            memcpy(container_id, id, id_length);
            container_id[id_length] = '\0';
        }
        component += length;
    }
}

static void find_any_container_id(const char *text, char container_id[80])
{
    for (const char *line = text; *line != '\0' && container_id[0] == '\0';) {
        const size_t length = strcspn(line, "\n");
        char path[PROCFS_PATH_MAX_BYTES];
        const char *slash = memchr(line, '/', length);
        const size_t path_length = slash != NULL ? (size_t)(line + length - slash) : 0;
        if (path_length > 0 && path_length < sizeof(path)) {
            memcpy(path, slash, path_length);
            path[path_length] = '\0';
            procfs_container_id_find(path, container_id);
        }
        line += length + (line[length] == '\n');
    }
}

bool procfs_cgroup_read(const struct procfs *fs, pid_t pid, char path[PROCFS_PATH_MAX_BYTES],
                        char container_id[80], struct error *err)
{
    path[0] = '\0';
    container_id[0] = '\0';
    struct buffer text;
    buffer_init(&text, CGROUP_TEXT_MAX_BYTES);
    const bool ok = procfs_load_pid(fs, pid, "cgroup", &text, err);
    if (ok) {
        struct membership member;
        if (find_membership(text.data, &member)) {
            memcpy(path, member.path, sizeof(member.path));
            procfs_container_id_find(path, container_id);
        }
        if (container_id[0] == '\0')
            find_any_container_id(text.data, container_id);
    }
    buffer_release(&text);
    return ok;
}

/* ---- where groups are mounted: /proc/self/mountinfo ---- */

/* One word of mountinfo, with \040 and its like undone.  False if it does not fit. */
static bool unescape(const char *word, size_t length, char out[PROCFS_PATH_MAX_BYTES])
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        char byte = word[i];
        if (byte == '\\' && i + 3 < length && word[i + 1] >= '0' && word[i + 1] <= '3' &&
            word[i + 2] >= '0' && word[i + 2] <= '7' && word[i + 3] >= '0' && word[i + 3] <= '7') {
            byte = (char)((word[i + 1] - '0') * 64 + (word[i + 2] - '0') * 8 + (word[i + 3] - '0'));
            i += 3;
        }
        if (used + 1 >= PROCFS_PATH_MAX_BYTES)
            return false;
        out[used++] = byte;
    }
    out[used] = '\0';
    return true;
}

struct mount_line {
    const char *root;
    const char *point;
    const char *type;
    const char *super_options;
};

enum { MOUNT_ROOT = 3, MOUNT_POINT = 4, MOUNT_OPTIONAL = 6 };

/* "36 35 98:0 ROOT POINT OPTIONS [OPTIONAL...] - TYPE SOURCE SUPER_OPTIONS" */
static bool split_mount_line(const char *line, const char *end, struct mount_line *mount)
{
    *mount = (struct mount_line){0};
    unsigned after_dash = 0;
    unsigned index = 0;
    for (const char *word = line; word < end; index++) {
        const char *blank = memchr(word, ' ', (size_t)(end - word));
        const char *word_end = blank != NULL ? blank : end;
        if (after_dash > 0) {
            if (after_dash == 1)
                mount->type = word;
            else if (after_dash == 3)
                mount->super_options = word;
            after_dash++;
        } else if (index == MOUNT_ROOT) {
            mount->root = word;
        } else if (index == MOUNT_POINT) {
            mount->point = word;
        } else if (index >= MOUNT_OPTIONAL && word_end - word == 1 && *word == '-') {
            after_dash = 1;
        }
        word = blank != NULL ? blank + 1 : end;
    }
    return mount->super_options != NULL;
}

/* What remains of [path] below [root], starting with '/' or empty; NULL if it is not below. */
static const char *path_below(const char *path, const char *root)
{
    const size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return NULL;
    const char *rest = path + length;
    return strcmp(rest, "/") == 0 ? "" : rest;
}

static bool climbs(const char *path)
{
    for (const char *p = path; (p = strstr(p, "/..")) != NULL; p += 3)
        if (p[3] == '/' || p[3] == '\0')
            return true;
    return false;
}

/* Tries one mount: is it the hierarchy of [member], and does it show the group? */
static bool place_on_mount(const struct mount_line *mount, const char *end,
                            const struct membership *member, struct cgroup_place *place)
{
    char word[PROCFS_PATH_MAX_BYTES];
    const size_t type_length = strcspn(mount->type, " \n");
    if (member->v1) {
        if (type_length != 6 || memcmp(mount->type, "cgroup", 6) != 0 ||
            !lists_memory(mount->super_options, (size_t)(end - mount->super_options)))
            return false;
    } else if (type_length != 7 || memcmp(mount->type, "cgroup2", 7) != 0) {
        return false;
    }

    if (!unescape(mount->root, strcspn(mount->root, " "), word))
        return false;
    const char *rest = path_below(member->path, word);
    if (rest == NULL || climbs(rest))
        return false;
    if (!unescape(mount->point, strcspn(mount->point, " "), word) || word[0] != '/')
        return false;
    const int length = snprintf(place->path, sizeof(place->path), "%s%s", word + 1, rest);
    if (length < 0 || (size_t)length >= sizeof(place->path))
        return false;
    place->v1 = member->v1;
    place->top_length = strlen(word + 1);
    return true;
}

static bool find_place(const struct procfs *fs, const struct membership *member,
                        struct cgroup_place *place)
{
    struct buffer text;
    buffer_init(&text, MOUNTINFO_MAX_BYTES);
    bool found = false;
    const int failed = procfs_load(fs, "proc/self/mountinfo", &text);
    if (failed == 0 || failed == EFBIG) {
        for (const char *line = text.data; !found && *line != '\0';) {
            const char *end = line + strcspn(line, "\n");
            struct mount_line mount;
            found = split_mount_line(line, end, &mount) &&
                    place_on_mount(&mount, end, member, place);
            line = end + (*end == '\n');
        }
    }
    buffer_release(&text);
    return found;
}

bool procfs_cgroup_locate(const struct procfs *fs, const char *text, struct cgroup_place *place)
{
    struct membership member;
    return find_membership(text, &member) && find_place(fs, &member, place);
}
