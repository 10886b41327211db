/* capture_name.c - what captures are called, and which files are ours. */
#include "core/capture/capture_name.h"

#include "core/base/clock.h"

enum {
    FOLDER_KEPT_BYTES = 96, /* of an id that does not stay as it is */
    REPEAT_DIGITS_MAX = 9,
};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Locale-free; nothing else is safe in a file name, a shell and a URL alike. */
static bool is_safe(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           byte == '-' || byte == '_' || byte == '.';
}

static uint64_t hash_fnv1a(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

void capture_name_folder(const char *id, char folder[CAPTURE_FOLDER_MAX_BYTES])
{
    bool as_is = id[0] != '\0' && id[0] != '.';
    size_t length = 0;
    for (; id[length] != '\0' && length < FOLDER_KEPT_BYTES; length++) {
        const bool keep = is_safe(id[length]) && (length > 0 || id[0] != '.');
        folder[length] = keep ? id[length] : '_';
        as_is = as_is && keep;
    }
    folder[length] = '\0';
    if (as_is && id[length] == '\0')
        return;
    /* '~' is not a safe character: no id that stays as it is can end like this. */
    (void)snprintf(folder + length, CAPTURE_FOLDER_MAX_BYTES - length, "~%016llx",
                   (unsigned long long)hash_fnv1a(id));
}

void capture_name_set(struct capture_name *name, uint64_t realtime_ns, uint32_t repeat)
{
    const time_t seconds = (time_t)(realtime_ns / CLOCK_NS_PER_S); /* ends in the year 2554 */
    struct tm utc;
    *name = (struct capture_name){.repeat = repeat};
    if (gmtime_r(&seconds, &utc) != NULL)
        (void)strftime(name->stamp, sizeof(name->stamp), "%Y%m%d-%H%M%S", &utc);
}

void capture_name_format(const struct capture_name *name, enum capture_file_kind kind,
                         char text[CAPTURE_NAME_MAX_BYTES])
{
    const char *suffix =
        kind == CAPTURE_FILE_PROFILE ? CAPTURE_PROFILE_SUFFIX : CAPTURE_SIDECAR_SUFFIX;
    if (name->repeat <= 1)
        (void)snprintf(text, CAPTURE_NAME_MAX_BYTES, "heap-%sZ%s", name->stamp, suffix);
    else
        (void)snprintf(text, CAPTURE_NAME_MAX_BYTES, "heap-%sZ-%u%s", name->stamp, name->repeat,
                       suffix);
}

/* Takes the characters of [pattern] off [*text]: '0' is any digit, all else itself. */
static bool take(const char **text, const char *pattern)
{
    const char *at = *text;
    for (; *pattern != '\0'; pattern++, at++) {
        if (*pattern == '0' ? !is_digit(*at) : *at != *pattern)
            return false;
    }
    *text = at;
    return true;
}

bool capture_name_parse(const char *text, struct capture_name *name)
{
    const char *at = text;
    *name = (struct capture_name){.repeat = 1};
    if (!take(&at, "heap-"))
        return false;
    const char *stamp = at;
    if (!take(&at, "00000000-000000"))
        return false;
    memcpy(name->stamp, stamp, CAPTURE_STAMP_BYTES - 1);
    if (!take(&at, "Z"))
        return false;
    if (take(&at, "-")) {
        const char *digits = at;
        name->repeat = 0;
        for (; is_digit(*at) && at - digits < REPEAT_DIGITS_MAX; at++)
            name->repeat = name->repeat * 10 + (uint32_t)(*at - '0');
        if (digits[0] == '0' || name->repeat < 2)
            return false;
    }
    name->kind =
        strcmp(at, CAPTURE_SIDECAR_SUFFIX) == 0 ? CAPTURE_FILE_SIDECAR : CAPTURE_FILE_PROFILE;
    return name->kind == CAPTURE_FILE_SIDECAR || strcmp(at, CAPTURE_PROFILE_SUFFIX) == 0;
}

int capture_name_compare(const struct capture_name *a, const struct capture_name *b)
{
    const int by_time = memcmp(a->stamp, b->stamp, sizeof(a->stamp));
    if (by_time != 0)
        return by_time;
    return (a->repeat > b->repeat) - (a->repeat < b->repeat);
}
