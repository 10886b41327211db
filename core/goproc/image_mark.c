/* image_mark.c - tells one program image of a process from the next, after exec(). */
#include "core/goproc/image_mark.h"

#include "core/base/buffer.h"
#include "core/goproc/procfs_file.h"

enum {
    STAT_MAX_BYTES = 4096,
    FIELD_STATE = 3,
    FIELD_START_CODE = 26,
    FIELD_START_STACK = 28,
    FIELD_START_DATA = 45,
    FIELD_ENV_END = 51
};

bool image_mark_parse(const char *stat_line, struct image_mark *mark)
{
    struct procfs_stat stat;
    *mark = (struct image_mark){0};
    if (!procfs_stat_parse(stat_line, &stat, NULL))
        return false;
    mark->start_ticks = stat.start_ticks;
    const char *field = strrchr(stat_line, ')'); /* it is there: the line was parsed */
    for (int i = FIELD_STATE; i <= FIELD_ENV_END; i++) {
        uint64_t value = 0;
        field = strchr(field, ' ');
        if (field == NULL)
            return false;
        field++;
        if ((i < FIELD_START_CODE || i > FIELD_START_STACK) && i < FIELD_START_DATA)
            continue;
        if (!procfs_line_u64(field, "", &value))
            return false;
        if (i == FIELD_START_CODE)
            mark->code = value;
        mark->places = (mark->places ^ value) * UINT64_C(0x100000001B3) + 1;
    }
    return mark->code > 1; /* 0 or 1 is what those see who may not */
}

bool image_mark_read(const struct procfs *fs, pid_t pid, struct image_mark *mark)
{
    struct buffer text;
    char relative[32];
    buffer_init(&text, STAT_MAX_BYTES);
    (void)snprintf(relative, sizeof(relative), "proc/%d/stat", (int)pid);
    const bool ok = procfs_load(fs, relative, &text) == 0 && image_mark_parse(text.data, mark);
    buffer_release(&text);
    return ok;
}
