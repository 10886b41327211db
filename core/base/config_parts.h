/* config_parts.h - what the config*.c files share while a config is being loaded. */
#ifndef GOPROFD_BASE_CONFIG_PARTS_H
#define GOPROFD_BASE_CONFIG_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/config.h"
#include "core/base/config_near_miss.h"

/* One pass over one source of values; counts what it reports. */
struct config_load {
    struct config *config;
    const char *source; /* "config.lua"; NULL: the environment */
    struct buffer *problems;
    size_t problem_count;
};

/* Adds "SOURCE: KEY: text\n". */
void config_problem(struct config_load *load, const char *key, const char *fmt, ...)
    GOPROFD_PRINTF(3, 4);
/* "SOURCE: KEY: found NODE; allowed ALLOWED\n" */
void config_problem_node(struct config_load *load, const char *key, const struct config_node *node,
                         const char *allowed);
/* "SOURCE: KEY: found "TEXT"; allowed ALLOWED\n" */
void config_problem_text(struct config_load *load, const char *key, const char *text,
                         const char *allowed);
void config_problem_memory(struct config_load *load, const char *key);

/* "SOURCE: KEY: WHAT; did you mean WORD?" where [text] is a near miss of one of [words]. */
void config_problem_unknown(struct config_load *load, const char *key, const char *what,
                            const char *text, const char *const *words, size_t count);
/* The same for a value: "found "TEXT"; allowed: ALLOWED; did you mean WORD?" */
void config_problem_word(struct config_load *load, const char *key, const char *text,
                         const char *allowed, const char *const *words, size_t count);

/* config_values.c: sets option [index] from a value of the file, or from text.  A value that is not
 * allowed is reported under [key] and changes nothing. */
void config_set_node(struct config_load *load, size_t index, const char *key,
                     const struct config_node *node);
void config_set_text(struct config_load *load, size_t index, const char *key, const char *text);

/* config_targets.c, config_rules.c */
void config_set_targets(struct config_load *load, const struct config_node *node);
void config_set_rules(struct config_load *load, const struct config_node *node);
void config_set_silences(struct config_load *load, const struct config_node *node); /* config_silences.c */
void config_set_tags(struct config_load *load, const struct config_node *node); /* config_tags.c */
void config_set_notify(struct config_load *load, const struct config_node *node); /* config_notify.c */

/* Adds the severity called [word] to a bit set; false if it is none. */
bool config_severity_add(unsigned *set, const char *word);
enum { CONFIG_SEVERITIES_ALL = 7 };

bool config_listen_address_valid(const char *text);
/* http:// or https:// with a host; no user (it would end up in logs), query, fragment or blanks. */
bool config_url_valid(const char *text);
/* A name that is safe as label, folder and URL parameter. */
bool config_target_name_valid(const char *text);
#define CONFIG_TARGET_NAME_ALLOWED                                                                 \
    "1 to 100 letters, digits, '.', '_' or '-', not \"all\", \".\" or \"..\""

#endif
