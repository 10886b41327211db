/* config_values.c - one option's value: from the file's tree or from text to its member. */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <strings.h>

#include "core/base/arena.h"
#include "core/base/config_parts.h"
#include "core/base/config_table.h"

enum { ADDRESS_MAX_BYTES = 255, UNIX_PATH_MAX_BYTES = 107 };

static const char *const severity_words[] = {"info", "warning", "critical"}; /* bits 0, 1, 2 */
static const char *const on_exit_words[] = {"none", "oom", "all"}; /* enum capture_on_exit */
static const char *const level_words[] = {"debug", "info", "warn", "error"};

/* ---- addresses and names ---- */

static bool is_port(const char *text)
{
    const size_t length = strlen(text);
    return length >= 1 && length <= 5 && strspn(text, "0123456789") == length &&
           strtoul(text, NULL, 10) <= 65535;
}

static bool is_host(const char *text, size_t length)
{
    char host[ADDRESS_MAX_BYTES + 1];
    unsigned char binary[sizeof(struct in6_addr)];
    if (length > ADDRESS_MAX_BYTES)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        return inet_pton(AF_INET6, host + 1, binary) == 1;
    }
    if (strspn(host, "0123456789.") == length)
        return length == 0 || inet_pton(AF_INET, host, binary) == 1;
    return strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
           length;
}

bool config_listen_address_valid(const char *text)
{
    static const char unix_prefix[] = "unix:";
    if (strncmp(text, unix_prefix, sizeof(unix_prefix) - 1) == 0) {
        const char *path = text + sizeof(unix_prefix) - 1;
        const size_t length = strlen(path);
        return path[0] == '/' && length > 1 && length <= UNIX_PATH_MAX_BYTES;
    }
    const char *colon = strrchr(text, ':');
    return colon != NULL && is_port(colon + 1) && is_host(text, (size_t)(colon - text));
}

bool config_url_valid(const char *text)
{
    enum { URL_MAX_BYTES = 2048 };
    const char *host = strstr(text, "://");
    if ((strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0) ||
        strlen(text) > URL_MAX_BYTES)
        return false;
    host += 3;
    const char *path = host + strcspn(host, "/");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c >= 0x7F || strchr("\"<>\\^`{|}#?", *c) != NULL)
            return false;
    }
    return path > host && memchr(host, '@', (size_t)(path - host)) == NULL;
}

/* "*", or "scheme://host[:port]" with commas: what a browser sends as Origin, so no path. */
static bool origins_valid(const char *text)
{
    enum { ORIGIN_MAX_BYTES = 256 };
    char origin[ORIGIN_MAX_BYTES];
    if (text[0] == '\0' || strcmp(text, "*") == 0)
        return true;
    for (;;) {
        const size_t length = strcspn(text, ",");
        if (length >= sizeof(origin))
            return false;
        memcpy(origin, text, length);
        origin[length] = '\0';
        const char *host = strstr(origin, "://");
        if (!config_url_valid(origin) || strchr(host + 3, '/') != NULL)
            return false;
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
}

bool config_target_name_valid(const char *text)
{
    const size_t length = strlen(text);
    return length >= 1 && length <= 100 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               length &&
           strcmp(text, "all") != 0 && strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

/* ---- writing the member ---- */

static void *member(struct config_load *load, const struct option_spec *spec)
{
    return (char *)load->config + spec->offset;
}

static void set_string(struct config_load *load, const struct option_spec *spec, const char *key,
                       const char *text)
{
    const char *copy = arena_copy_string(load->config->arena_, text, strlen(text));
    if (copy == NULL)
        config_problem_memory(load, key);
    else
        memcpy(member(load, spec), &copy, sizeof(copy));
}

static void set_u64(struct config_load *load, const struct option_spec *spec, uint64_t value)
{
    memcpy(member(load, spec), &value, sizeof(value));
}

/* Whole and within the option's range.  The bounds are below 2^53, so doubles hold them. */
static bool in_range(const struct option_spec *spec, double value)
{
    return value >= spec->min && value <= spec->max;
}

static bool set_number(struct config_load *load, const struct option_spec *spec, double value)
{
    if (!in_range(spec, value))
        return false;
    if (spec->kind == OPTION_PERCENT) {
        memcpy(member(load, spec), &value, sizeof(value));
        return true;
    }
    if (value - floor(value) > 0)
        return false;
    set_u64(load, spec, (uint64_t)value);
    return true;
}

/* ---- text ---- */

static bool only_digits(const char *text)
{
    return *text != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* "1000", "2.5": no signs, no exponents, no hexadecimal. */
static bool parse_plain_number(const char *text, double *value)
{
    const size_t length = strlen(text);
    char *end = NULL;
    if (length == 0 || length > 40 || strspn(text, "0123456789.") != length)
        return false;
    *value = strtod(text, &end);
    return *end == '\0';
}

static bool set_duration(struct config_load *load, const struct option_spec *spec, const char *text)
{
    const uint64_t unit_ns =
        spec->kind == OPTION_MILLISECONDS ? UINT64_C(1000000) : UINT64_C(1000000000);
    uint64_t ns = 0;
    double number = 0;
    if (only_digits(text))
        return parse_plain_number(text, &number) && set_number(load, spec, number);
    if (!config_parse_duration(text, &ns) || ns % unit_ns != 0)
        return false;
    return set_number(load, spec, (double)(ns / unit_ns));
}

static bool set_bytes(struct config_load *load, const struct option_spec *spec, const char *text)
{
    uint64_t bytes = 0;
    return config_parse_size(text, &bytes) && set_number(load, spec, (double)bytes);
}

static bool set_bool(struct config_load *load, const struct option_spec *spec, const char *text)
{
    static const char *const yes[] = {"true", "1", "t", "yes", "on"};
    static const char *const no[] = {"false", "0", "f", "no", "off"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        const bool value = strcasecmp(text, yes[i]) == 0;
        if (value || strcasecmp(text, no[i]) == 0) {
            memcpy(member(load, spec), &value, sizeof(value));
            return true;
        }
    }
    return false;
}

static void set_level(struct config_load *load, const struct option_spec *spec, const char *key,
                      const char *text, const char *allowed)
{
    enum log_level level = LOG_LEVEL_INFO;
    if (log_level_parse(text, &level))
        memcpy(member(load, spec), &level, sizeof(level));
    else
        config_problem_word(load, key, text, allowed, level_words,
                            sizeof(level_words) / sizeof(level_words[0]));
}

static void set_on_exit(struct config_load *load, const struct option_spec *spec, const char *key,
                        const char *text, const char *allowed)
{
    const size_t count = sizeof(on_exit_words) / sizeof(on_exit_words[0]);
    for (size_t i = 0; i < count; i++) {
        const enum capture_on_exit value = (enum capture_on_exit)i;
        if (strcmp(text, on_exit_words[i]) == 0) {
            memcpy(member(load, spec), &value, sizeof(value));
            return;
        }
    }
    config_problem_word(load, key, text, allowed, on_exit_words, count);
}

bool config_severity_add(unsigned *set, const char *word)
{
    for (size_t i = 0; i < sizeof(severity_words) / sizeof(severity_words[0]); i++) {
        if (strcmp(word, severity_words[i]) == 0) {
            *set |= 1U << i;
            return true;
        }
    }
    return false;
}

/* Adds one severity to [*set]; reports and returns false if [word] is none. */
static bool add_severity(struct config_load *load, const char *key, const char *word,
                         const char *allowed, unsigned *set)
{
    if (config_severity_add(set, word))
        return true;
    config_problem_word(load, key, word, allowed, severity_words,
                        sizeof(severity_words) / sizeof(severity_words[0]));
    return false;
}

/* "warning, critical" */
static void set_severities_text(struct config_load *load, const struct option_spec *spec,
                                const char *key, const char *text, const char *allowed)
{
    unsigned set = 0;
    bool ok = true;
    for (const char *cursor = text;;) {
        cursor += strspn(cursor, " ");
        size_t length = strcspn(cursor, ",");
        const char *next = cursor + length;
        while (length > 0 && cursor[length - 1] == ' ')
            length--;
        char word[81];
        if (length >= sizeof(word))
            length = sizeof(word) - 1;
        memcpy(word, cursor, length);
        word[length] = '\0';
        ok = add_severity(load, key, word, allowed, &set) && ok;
        if (*next == '\0')
            break;
        cursor = next + 1;
    }
    if (ok)
        memcpy(member(load, spec), &set, sizeof(set));
}

static bool option_is_text(enum option_kind kind)
{
    return kind == OPTION_PATH || kind == OPTION_PATH_OR_NONE || kind == OPTION_URL_OR_NONE ||
           kind == OPTION_ORIGINS ||
           kind == OPTION_NAME || kind == OPTION_LISTEN || kind == OPTION_LISTEN_OR_NONE;
}

void config_set_text(struct config_load *load, size_t index, const char *key, const char *text)
{
    size_t count = 0;
    const struct config_option *option = &config_options(&count)[index];
    const struct option_spec *spec = &config_specs[index];
    double number = 0;
    bool ok = true;
    switch (spec->kind) {
    case OPTION_COUNT:
    case OPTION_PERCENT:
        ok = parse_plain_number(text, &number) && set_number(load, spec, number);
        break;
    case OPTION_MILLISECONDS:
    case OPTION_SECONDS:
        ok = set_duration(load, spec, text);
        break;
    case OPTION_BYTES:
        ok = set_bytes(load, spec, text);
        break;
    case OPTION_BOOL:
        ok = set_bool(load, spec, text);
        break;
    case OPTION_PATH:
        ok = text[0] != '\0';
        break;
    case OPTION_PATH_OR_NONE:
        break;
    case OPTION_URL_OR_NONE:
        ok = text[0] == '\0' || config_url_valid(text);
        break;
    case OPTION_ORIGINS:
        ok = origins_valid(text);
        break;
    case OPTION_NAME:
        ok = text[0] == '\0' || config_target_name_valid(text);
        break;
    case OPTION_LISTEN:
        ok = config_listen_address_valid(text);
        break;
    case OPTION_LISTEN_OR_NONE:
        ok = text[0] == '\0' || config_listen_address_valid(text);
        break;
    case OPTION_LOG_LEVEL:
        set_level(load, spec, key, text, option->allowed);
        return;
    case OPTION_SEVERITIES:
        set_severities_text(load, spec, key, text, option->allowed);
        return;
    case OPTION_ON_EXIT:
        set_on_exit(load, spec, key, text, option->allowed);
        return;
    }
    if (!ok)
        config_problem_text(load, key, text, option->allowed);
    else if (option_is_text(spec->kind))
        set_string(load, spec, key, text);
}

/* ---- values of config.lua ---- */

/* {"warning", "critical"} */
static void set_severities_list(struct config_load *load, const struct option_spec *spec,
                                const char *key, const struct config_node *node,
                                const char *allowed)
{
    unsigned set = 0;
    bool ok = true;
    for (size_t i = 0; i < node->child_count; i++) {
        const struct config_node *item = &node->children[i];
        if (item->key != NULL || item->kind != NODE_STRING) {
            config_problem_node(load, key, item, allowed);
            ok = false;
        } else {
            ok = add_severity(load, key, item->string, allowed, &set) && ok;
        }
    }
    if (ok)
        memcpy(member(load, spec), &set, sizeof(set));
}

/* Which kinds take a number, and which a string: config.lua has types, so "3600" is no count. */
static bool takes_number(enum option_kind kind)
{
    return kind == OPTION_COUNT || kind == OPTION_PERCENT || kind == OPTION_MILLISECONDS ||
           kind == OPTION_SECONDS || kind == OPTION_BYTES;
}

static bool takes_string(enum option_kind kind)
{
    return kind != OPTION_COUNT && kind != OPTION_PERCENT && kind != OPTION_BOOL;
}

void config_set_node(struct config_load *load, size_t index, const char *key,
                     const struct config_node *node)
{
    size_t count = 0;
    const struct config_option *option = &config_options(&count)[index];
    const struct option_spec *spec = &config_specs[index];
    if (node->kind == NODE_NIL)
        return;
    if (node->kind == NODE_STRING && takes_string(spec->kind)) {
        config_set_text(load, index, key, node->string);
    } else if (node->kind == NODE_BOOL && spec->kind == OPTION_BOOL) {
        memcpy(member(load, spec), &node->boolean, sizeof(node->boolean));
    } else if (node->kind == NODE_TABLE && spec->kind == OPTION_SEVERITIES) {
        set_severities_list(load, spec, key, node, option->allowed);
    } else if (node->kind != NODE_NUMBER || !takes_number(spec->kind) ||
               !set_number(load, spec, node->number)) {
        config_problem_node(load, key, node, option->allowed);
    }
}
