/* tag_rules.c - globs over frames.
 *
 * Called by tag_book.c for each frame that it has not met before, on the sampler thread. */
#include "core/store/tag_rules.h"

#include "core/base/config.h"
#include "core/store/site.h"

bool tag_glob_matches(const char *pattern, const char *text, size_t length)
{
    const char *star = NULL; /* the last one met, and what it stands for so far ends at [resume] */
    size_t resume = 0;
    size_t at = 0;
    while (at < length) {
        if (*pattern == '*') {
            star = pattern++;
            resume = at;
        } else if (*pattern != '\0' && (*pattern == '?' || *pattern == text[at])) {
            pattern++;
            at++;
        } else if (star != NULL) {
            pattern = star + 1;
            at = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool tag_rule_matches(const struct config_tag *rule, const struct frame *frame)
{
    const char *function = frame->function;
    return (rule->match == NULL ||
            tag_glob_matches(rule->match, function, strlen(function))) &&
           (rule->package == NULL ||
            tag_glob_matches(rule->package, function, go_package_length(function))) &&
           (rule->file == NULL || tag_glob_matches(rule->file, frame->file, strlen(frame->file)));
}

size_t tag_rules_find(const struct config_tag *rules, size_t count, const struct frame *frame)
{
    size_t i = 0;
    while (i < count && !tag_rule_matches(&rules[i], frame))
        i++;
    return i;
}
