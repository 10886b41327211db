/* go_layout.c - picks the column of a Go version.
 *
 * Called once per process at open. */
#include "core/goproc/go_layout.h"

#include <ctype.h>
#include <string.h>

/* What garble (mvdan.cc/garble) writes in place of the version. */
#define OBFUSCATED_VERSION "unknown"
#define ABSENT GO_LAYOUT_ABSENT
#define COLUMN_18(member, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27) .member = v18,
#define COLUMN_19(member, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27) .member = v19,
#define COLUMN_20(member, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27) .member = v20,
#define COLUMN_21(member, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27) .member = v21,
#define COLUMN_22(member, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27) .member = v22,
#define COLUMN_23(member, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27) .member = v23,
#define COLUMN_24(member, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27) .member = v24,
#define COLUMN_25(member, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27) .member = v25,
#define COLUMN_26(member, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27) .member = v26,
#define COLUMN_27(member, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27) .member = v27,

#define LAYOUT(number, column, MACHINE_MEMBERS)                                                    \
    {                                                                                              \
        .minor = (number), .internal_runtime_hidden = (number) >= 24,                              \
        .size_exact = (number) >= 27, .spinbit_mutex = (number) >= 24,                             \
        .short_names_merge = (number) == 21, .headroom_is_share = (number) >= 21,                  \
        GO_LAYOUT_MEMBERS(column) MACHINE_MEMBERS(column)                                          \
    }

#define LAYOUTS(MACHINE_MEMBERS)                                                                   \
    {                                                                                              \
        LAYOUT(18, COLUMN_18, MACHINE_MEMBERS), LAYOUT(19, COLUMN_19, MACHINE_MEMBERS),            \
            LAYOUT(20, COLUMN_20, MACHINE_MEMBERS), LAYOUT(21, COLUMN_21, MACHINE_MEMBERS),        \
            LAYOUT(22, COLUMN_22, MACHINE_MEMBERS), LAYOUT(23, COLUMN_23, MACHINE_MEMBERS),        \
            LAYOUT(24, COLUMN_24, MACHINE_MEMBERS), LAYOUT(25, COLUMN_25, MACHINE_MEMBERS),        \
            LAYOUT(26, COLUMN_26, MACHINE_MEMBERS), LAYOUT(27, COLUMN_27, MACHINE_MEMBERS),        \
    }

enum { LAYOUT_COUNT = GO_LAYOUT_LAST_MINOR - GO_LAYOUT_FIRST_MINOR + 1 };
static const struct go_layout layouts_amd64[LAYOUT_COUNT] = LAYOUTS(GO_LAYOUT_MEMBERS_AMD64);
static const struct go_layout layouts_arm64[LAYOUT_COUNT] = LAYOUTS(GO_LAYOUT_MEMBERS_ARM64);

const uint16_t go_size_class_bytes[GO_SIZE_CLASSES] = {
    0,     8,     16,    24,    32,    48,    64,    80,    96,    112,   128,   144,
    160,   176,   192,   208,   224,   240,   256,   288,   320,   352,   384,   416,
    448,   480,   512,   576,   640,   704,   768,   896,   1024,  1152,  1280,  1408,
    1536,  1792,  2048,  2304,  2688,  3072,  3200,  3456,  4096,  4864,  5376,  6144,
    6528,  6784,  6912,  8192,  9472,  9728,  10240, 10880, 12288, 13568, 14336, 16384,
    18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768,
};

/* Reads up to four digits. */
static bool parse_number(const char **cursor, unsigned *number)
{
    const char *start = *cursor;

    *number = 0;
    while (isdigit((unsigned char)**cursor) && *cursor - start < 4)
        *number = *number * 10 + (unsigned)(*(*cursor)++ - '0');
    return *cursor != start && !isdigit((unsigned char)**cursor);
}

bool go_version_parse(const char *text, struct go_version *version)
{
    *version = (struct go_version){0};
    if (strncmp(text, "devel ", 6) == 0) {
        version->development = true;
        text += 6;
    }
    if (strncmp(text, "go", 2) != 0)
        return false;
    text += 2;
    if (!parse_number(&text, &version->major) || *text++ != '.' ||
        !parse_number(&text, &version->minor))
        return false;
    /* After the minor version: ".8", "rc1", "beta2", "-vendor", " X:experiment" or the end. */
    if (*text != '\0' && strchr(".rb-+ ", *text) == NULL)
        return false;
    version->experiments = strstr(text, "X:") != NULL;
    if (*text == '.') {
        text++;
        if (!parse_number(&text, &version->patch))
            version->patch = 0;
    }
    return true;
}

static bool is_too_old(const struct go_version *version)
{
    if (version->major != 1)
        return version->major < 1;
    return version->minor < GO_LAYOUT_FIRST_MINOR ||
           (version->minor == GO_LAYOUT_FIRST_MINOR && version->patch < GO_LAYOUT_FIRST_PATCH);
}

const struct go_layout *go_layout_find(const char *version_text, struct error *err)
{
    struct go_version version;

    if (strcmp(version_text, OBFUSCATED_VERSION) == 0) {
        error_set(err, ERROR_UNSUPPORTED,
                  "obfuscated: its Go version was made \"unknown\", as garble does, so nothing tells "
                  "where it keeps things; build it without garble");
        return NULL;
    }
    if (strcmp(version_text, GO_VERSION_GCCGO) == 0) {
        error_set(err, ERROR_UNSUPPORTED,
                  "compiled by gccgo, whose runtime cannot be read: build it with the go command");
        return NULL;
    }
    if (!go_version_parse(version_text, &version)) {
        error_set(err, ERROR_UNSUPPORTED, "\"%.40s\" is not a Go version we know how to read",
                  version_text);
        return NULL;
    }
    if (is_too_old(&version)) {
        error_set(
            err, ERROR_UNSUPPORTED,
            "built with %.40s: Go 1.%d.%d is the oldest that can be read; rebuild with a newer Go",
            version_text, GO_LAYOUT_FIRST_MINOR, GO_LAYOUT_FIRST_PATCH);
        return NULL;
    }
    if (version.major > 1 || version.minor > GO_LAYOUT_LAST_MINOR || version.development) {
        error_set(err, ERROR_UNSUPPORTED,
                  "built with %.40s: Go 1.%d is the newest that can be read; update goprofd",
                  version_text, GO_LAYOUT_LAST_MINOR);
        return NULL;
    }
    return &layouts_amd64[version.minor - GO_LAYOUT_FIRST_MINOR];
}

const struct go_layout *go_layout_assume(const char *version_text)
{
    struct go_version version;

    if (!go_version_parse(version_text, &version) || version.major != 1 || is_too_old(&version) ||
        (version.minor <= GO_LAYOUT_LAST_MINOR && !version.development))
        return NULL;
    /* Between two releases what comes next is nearer than what was. */
    if (version.minor > GO_LAYOUT_LAST_MINOR)
        version.minor = GO_LAYOUT_LAST_MINOR;
    return &layouts_amd64[version.minor - GO_LAYOUT_FIRST_MINOR];
}

/* Up to 1.18 the flag is a byte beside the number: struct mProf in src/runtime/mprof.go. */
uint32_t go_layout_cycle_word(const struct go_layout *layout, uint64_t bytes)
{
    if (layout->mprof_flushed == GO_LAYOUT_ABSENT)
        return (uint32_t)bytes;
    return (uint32_t)bytes << 1 | (uint32_t)(bytes >> (8 * layout->mprof_flushed) & 1);
}

size_t go_layout_cycle_bytes(const struct go_layout *layout)
{
    return layout->mprof_flushed == GO_LAYOUT_ABSENT ? sizeof(uint32_t) : sizeof(uint64_t);
}

const struct go_layout *go_layout_arm64(const struct go_layout *layout)
{
    return &layouts_arm64[layout->minor - GO_LAYOUT_FIRST_MINOR];
}
