/* go_version.c - reads and compares versions of Go.  Pure; used when rules are loaded and gated. */
#include "lua/go_version.h"

#include <ctype.h>

enum { PART_MAX = 100000 };

/* The numbers of "1.23.4"; [*end] is what follows them. */
static bool read_parts(const char *text, struct go_version *version, const char **end)
{
    *version = (struct go_version){.given = 0};
    while (version->given < 3 && isdigit((unsigned char)*text)) {
        unsigned part = 0;
        while (isdigit((unsigned char)*text) && part < PART_MAX)
            part = part * 10 + (unsigned)(*text++ - '0');
        version->parts[version->given++] = part;
        if (text[0] != '.' || !isdigit((unsigned char)text[1]))
            break;
        text++;
    }
    *end = text;
    return version->given > 0;
}

bool go_version_read(const char *text, struct go_version *version)
{
    const char *end;
    if (strncmp(text, "go", 2) == 0)
        text += 2;
    return read_parts(text, version, &end);
}

int go_version_compare(const struct go_version *version, const struct go_version *bound)
{
    for (unsigned i = 0; i < bound->given; i++) {
        if (version->parts[i] != bound->parts[i])
            return version->parts[i] < bound->parts[i] ? -1 : 1;
    }
    return 0;
}

static enum go_bound_kind read_kind(const char **text)
{
    static const struct {
        const char *sign;
        enum go_bound_kind kind;
    } signs[] = {{"<=", GO_AT_MOST}, {"<", GO_BELOW},   {">=", GO_AT_LEAST},
                 {">", GO_ABOVE},    {"==", GO_EXACTLY}, {"=", GO_EXACTLY}};
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        const size_t length = strlen(signs[i].sign);
        if (strncmp(*text, signs[i].sign, length) == 0) {
            *text += length;
            return signs[i].kind;
        }
    }
    return GO_EXACTLY;
}

bool go_range_parse(const char *text, struct go_range *range)
{
    *range = (struct go_range){.count = 0};
    for (;;) {
        while (*text == ' ' || *text == ',')
            text++;
        if (*text == '\0')
            return range->count > 0;
        if (range->count == GO_RANGE_BOUNDS_MAX)
            return false;
        range->bounds[range->count].kind = read_kind(&text);
        while (*text == ' ')
            text++;
        if (strncmp(text, "go", 2) == 0)
            text += 2;
        if (!read_parts(text, &range->bounds[range->count].version, &text) ||
            (*text != ' ' && *text != ',' && *text != '\0'))
            return false;
        range->count++;
    }
}

bool go_range_allows(const struct go_range *range, const struct go_version *version)
{
    for (size_t i = 0; i < range->count; i++) {
        const int order = go_version_compare(version, &range->bounds[i].version);
        bool holds = false;
        switch (range->bounds[i].kind) {
        case GO_BELOW:
            holds = order < 0;
            break;
        case GO_AT_MOST:
            holds = order <= 0;
            break;
        case GO_EXACTLY:
            holds = order == 0;
            break;
        case GO_AT_LEAST:
            holds = order >= 0;
            break;
        case GO_ABOVE:
            holds = order > 0;
            break;
        }
        if (!holds)
            return false;
    }
    return true;
}
