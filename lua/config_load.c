/* config_load.c - puts the config together from where it may come from, and checks it as a whole. */
#include "lua/config_load.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/config.h"
#include "lua/config_file.h"

static const char default_rules_dir[] = "rules"; /* as in the table of options */

/* Left at its default, rules_dir means the folder beside the daemon's working directory, or, where
 * there is none, the rules that were installed with the program. */
static void find_rules(struct config *config)
{
    const bool by_default = strcmp(config->rules_dir, default_rules_dir) == 0;
    if (by_default && access(config->rules_dir, F_OK) == -1 && errno == ENOENT)
        config->rules_dir = GOPROFD_RULES_DIR;
}

struct config *config_load(const struct config_sources *sources, struct buffer *problems)
{
    struct config *config = config_new();
    if (config == NULL) {
        buffer_append_string(problems, "no memory for the config\n");
        return NULL;
    }
    size_t found = 0;
    if (sources->path != NULL)
        found += config_file_load(sources->path, config, problems);
    found += config_apply_environment(config, environ, problems);
    if (sources->options != NULL)
        found += config_apply_environment(config, sources->options, problems);
    if (found == 0)
        found += config_validate(config, problems);
    if (found == 0) {
        find_rules(config);
        return config;
    }
    config_free(config);
    return NULL;
}
