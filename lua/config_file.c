/* config_file.c - runs config.lua in a sandbox and hands its table to config_apply().
 *
 * Main thread, at start, for -t and at SIGHUP. */
#include "lua/config_file.h"

#include "core/base/arena.h"
#include "core/base/buffer.h"
#include "core/base/config.h"
#include "core/base/error.h"
#include "lua/data_file.h"

enum { CONFIG_TREE_MAX_BYTES = 8 << 20, CONFIG_TREE_CHUNK_BYTES = 16 * 1024 };

/* Lua quotes the source, line ends and all, where it did not understand it: a problem is one line. */
static void append_problem(struct buffer *problems, const char *message)
{
    for (; *message != '\0'; message++)
        buffer_append_byte(problems, *message == '\n' || *message == '\r' ? ' ' : *message);
    buffer_append_byte(problems, '\n');
}

size_t config_file_load(const char *path, struct config *config, struct buffer *problems)
{
    struct error err;
    struct config_node root;
    size_t count = 1;
    struct arena *arena = arena_new(CONFIG_TREE_MAX_BYTES, CONFIG_TREE_CHUNK_BYTES);
    if (arena == NULL)
        (void)error_set(&err, ERROR_NO_MEMORY, "%s: no memory", path);
    if (arena != NULL && data_file_read(path, arena, &root, &err)) {
        count = config_apply(config, &root, path, problems);
    } else {
        append_problem(problems, err.message);
    }
    if (arena != NULL)
        arena_free(arena);
    return count;
}
