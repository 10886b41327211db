/* config_table.c - the options of goprofd, described once. */
#include "core/base/config_table.h"

#define TYPE_COUNT "count"
#define TYPE_MILLISECONDS "duration"
#define TYPE_SECONDS "duration"
#define TYPE_BYTES "size"
#define TYPE_PERCENT "percent"
#define TYPE_BOOL "bool"
#define TYPE_PATH "string"
#define TYPE_PATH_OR_NONE "string"
#define TYPE_URL_OR_NONE "string"
#define TYPE_ORIGINS "string"
#define TYPE_NAME "string"
#define TYPE_LISTEN "address"
#define TYPE_LISTEN_OR_NONE "address"
#define TYPE_LOG_LEVEL "word"
#define TYPE_SEVERITIES "list"
#define TYPE_ON_EXIT "word"

#define ADDRESSES "host:port, :port, [::1]:port or unix:/path"
#define ALLOWED_COUNT(min, max) #min " to " #max
#define ALLOWED_MILLISECONDS(min, max) #min " to " #max " ms, or a duration such as \"5s\""
#define ALLOWED_SECONDS(min, max) #min " to " #max " s, or a duration such as \"10m\""
#define ALLOWED_BYTES(min, max) #min " to " #max " bytes, or a size such as \"64MiB\""
#define ALLOWED_PERCENT(min, max) #min " to " #max
#define ALLOWED_BOOL(min, max) "true or false"
#define ALLOWED_PATH(min, max) "a path that is not empty"
#define ALLOWED_PATH_OR_NONE(min, max) "a path, or \"\""
#define ALLOWED_URL_OR_NONE(min, max) "an http:// or https:// URL without user, query and fragment, or \"\""
#define ALLOWED_ORIGINS(min, max) "\"*\", or origins such as https://grafana.example, with commas, or \"\""
#define ALLOWED_NAME(min, max) "the name of a target, or \"\""
#define ALLOWED_LISTEN(min, max) ADDRESSES
#define ALLOWED_LISTEN_OR_NONE(min, max) ADDRESSES ", or \"\""
#define ALLOWED_LOG_LEVEL(min, max) "debug, info, warn or error"
#define ALLOWED_SEVERITIES(min, max) "a list of info, warning, critical"
#define ALLOWED_ON_EXIT(min, max) "oom, all or none"

/* The member's type must be what the parser of its kind writes. */
#define CTYPE_COUNT uint64_t
#define CTYPE_MILLISECONDS uint64_t
#define CTYPE_SECONDS uint64_t
#define CTYPE_BYTES uint64_t
#define CTYPE_PERCENT double
#define CTYPE_BOOL bool
#define CTYPE_PATH const char *
#define CTYPE_PATH_OR_NONE const char *
#define CTYPE_URL_OR_NONE const char *
#define CTYPE_ORIGINS const char *
#define CTYPE_NAME const char *
#define CTYPE_LISTEN const char *
#define CTYPE_LISTEN_OR_NONE const char *
#define CTYPE_LOG_LEVEL enum log_level
#define CTYPE_SEVERITIES unsigned
#define CTYPE_ON_EXIT enum capture_on_exit
#define CHECK_TYPE(key, kind, text, min, max, reload, legacy, help)                                \
    _Static_assert(_Generic(((struct config *)0)->key, CTYPE_##kind : 1, default : 0),            \
                   #key " has another type than its kind");
CONFIG_OPTIONS(CHECK_TYPE)
#undef CHECK_TYPE

static const struct config_option shown[CONFIG_OPTION_COUNT] = {
#define SHOWN(name, kind, text, min, max, reload, legacy, what)                                    \
    {.key = #name,                                                                                 \
     .type = TYPE_##kind,                                                                          \
     .default_text = text,                                                                         \
     .allowed = ALLOWED_##kind(min, max),                                                          \
     .help = what,                                                                                 \
     .reloadable = reload,                                                                         \
     .from_goprof_optimizer = legacy},
    CONFIG_OPTIONS(SHOWN)
#undef SHOWN
};

const struct option_spec config_specs[CONFIG_OPTION_COUNT] = {
#define SPEC(name, k, text, least, most, reload, legacy, what)                                     \
    {.kind = OPTION_##k, .offset = offsetof(struct config, name), .min = least, .max = most},
    CONFIG_OPTIONS(SPEC)
#undef SPEC
};

const struct config_option *config_options(size_t *count)
{
    *count = CONFIG_OPTION_COUNT;
    return shown;
}

int config_option_find(const char *key)
{
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        if (strcmp(shown[i].key, key) == 0)
            return (int)i;
    }
    return -1;
}

const char *config_not_yet(const char *key)
{
    static const struct {
        const char *key;
        const char *reason;
    } later[] = {
        {"tls", "not supported yet: this version speaks plain HTTP only, so keep "
                "metrics_listen_addr on loopback or behind a proxy, and remove this key"},
    };
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
        if (strcmp(later[i].key, key) == 0)
            return later[i].reason;
    }
    return NULL;
}
