/* config_units.c - "64MiB" and "1h30m" as numbers: exact, no floating point, no overflow. */
#include "core/base/config.h"

#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* A bare "K" or "M" is missing on purpose: it is 1024 to some and 1000 to others. */
static const struct unit size_units[] = {
    {"B", 1},
    {"kB", UINT64_C(1000)},
    {"MB", UINT64_C(1000000)},
    {"GB", UINT64_C(1000000000)},
    {"TB", UINT64_C(1000000000000)},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
    {"Ki", UINT64_C(1) << 10},
    {"Mi", UINT64_C(1) << 20},
    {"Gi", UINT64_C(1) << 30},
    {"Ti", UINT64_C(1) << 40},
};

static const struct unit duration_units[] = {
    {"ns", 1},
    {"us", UINT64_C(1000)},
    {"\xC2\xB5s", UINT64_C(1000)}, /* micro sign, as Go prints it */
    {"ms", UINT64_C(1000000)},
    {"s", UINT64_C(1000000000)},
    {"m", UINT64_C(60000000000)},
    {"h", UINT64_C(3600000000000)},
    {"d", UINT64_C(86400000000000)},
};

/* A decimal number with an optional fraction, kept as whole part and up to nine digits. */
struct decimal {
    uint64_t whole;
    uint64_t fraction;
    uint64_t fraction_scale; /* 1, 10, 100, ... */
};

static bool read_decimal(const char **cursor, struct decimal *number)
{
    const char *p = *cursor;
    *number = (struct decimal){.fraction_scale = 1};
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(number->whole, (uint64_t)10, &number->whole) ||
            __builtin_add_overflow(number->whole, (uint64_t)(*p - '0'), &number->whole))
            return false;
    }
    if (*p == '.') {
        const char *digits = ++p;
        for (; *p >= '0' && *p <= '9'; p++) {
            if (p - digits >= 9)
                return false;
            number->fraction = number->fraction * 10 + (uint64_t)(*p - '0');
            number->fraction_scale *= 10;
        }
        if (p == digits)
            return false;
    }
    *cursor = p;
    return true;
}

static bool multiply(const struct decimal *number, uint64_t factor, uint64_t *result)
{
    uint64_t whole = 0;
    uint64_t part = 0;
    if (__builtin_mul_overflow(number->whole, factor, &whole))
        return false;
    if (__builtin_mul_overflow(number->fraction, factor, &part)) {
        /* nine digits times a day in ns: divide first, losing less than one unit */
        part = factor / number->fraction_scale * number->fraction;
    } else {
        part /= number->fraction_scale;
    }
    return !__builtin_add_overflow(whole, part, result);
}

bool config_parse_size(const char *text, uint64_t *bytes)
{
    struct decimal number;
    if (!read_decimal(&text, &number))
        return false;
    if (*text == '\0')
        return number.fraction_scale == 1 && multiply(&number, 1, bytes);
    text += *text == ' ';
    for (size_t i = 0; i < sizeof(size_units) / sizeof(size_units[0]); i++) {
        if (strcasecmp(text, size_units[i].name) == 0)
            return (size_units[i].factor > 1 || number.fraction_scale == 1) &&
                   multiply(&number, size_units[i].factor, bytes);
    }
    return false;
}

static const struct unit *read_duration_unit(const char **cursor)
{
    const size_t length = strcspn(*cursor, "0123456789.");
    for (size_t i = 0; i < sizeof(duration_units) / sizeof(duration_units[0]); i++) {
        const struct unit *unit = &duration_units[i];
        if (strlen(unit->name) == length && strncmp(*cursor, unit->name, length) == 0) {
            *cursor += length;
            return unit;
        }
    }
    return NULL;
}

bool config_parse_duration(const char *text, uint64_t *ns)
{
    uint64_t total = 0;
    if (strcmp(text, "0") == 0) {
        *ns = 0;
        return true;
    }
    do {
        struct decimal number;
        uint64_t part = 0;
        if (!read_decimal(&text, &number))
            return false;
        const struct unit *unit = read_duration_unit(&text);
        if (unit == NULL || !multiply(&number, unit->factor, &part) ||
            __builtin_add_overflow(total, part, &total))
            return false;
    } while (*text != '\0');
    *ns = total;
    return true;
}
