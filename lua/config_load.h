/* config_load.h - the config as the operator means it: defaults, file, environment, flags, in this order.
 *
 * Main thread, at start, for -t, at SIGHUP, and for goprofd replay. */
#ifndef GOPROFD_LUA_CONFIG_LOAD_H
#define GOPROFD_LUA_CONFIG_LOAD_H

struct buffer;
struct config;

struct config_sources {
    const char *path;     /* config.lua, or NULL */
    char *const *options; /* flags as "GOPROF_KEY=VALUE", NULL-ended; or NULL */
};

/* NULL with a line for each problem in [problems].  The caller frees it with config_free(). */
struct config *config_load(const struct config_sources *sources, struct buffer *problems);

#endif
