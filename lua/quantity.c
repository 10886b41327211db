/* quantity.c - splits "256KiB/s" into number, unit and "per second".
 *
 * Called when rules are loaded and when a rule gives a window as text. */
#include "lua/quantity.h"

#include <math.h>

#include "core/base/config.h"

enum { QUANTITY_MAX_BYTES = 64 };

static const struct {
    const char *suffix;
    double seconds;
} per[] = {{"/s", 1}, {"/m", 60}, {"/min", 60}, {"/h", 3600}, {"/d", 86400}};

/* Cuts a "/s", "/m", "/h" off [text]; returns the seconds it stands for, 0 if there is none. */
static double cut_per(char *text)
{
    char *slash = strchr(text, '/');
    for (size_t i = 0; slash != NULL && i < sizeof(per) / sizeof(per[0]); i++) {
        if (strcmp(slash, per[i].suffix) == 0) {
            *slash = '\0';
            return per[i].seconds;
        }
    }
    return 0;
}

static bool parse_plain(const char *text, double *value)
{
    char *end;
    if (strspn(text, "0123456789.-+eE") != strlen(text))
        return false;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*value);
}

bool quantity_parse(const char *text, struct quantity *quantity)
{
    char copy[QUANTITY_MAX_BYTES];
    const size_t length = strlen(text);
    if (length == 0 || length >= sizeof(copy))
        return false;
    memcpy(copy, text, length + 1);
    const double seconds = cut_per(copy);
    *quantity = (struct quantity){.per_second = seconds > 0};

    char *percent = strchr(copy, '%');
    uint64_t number;
    if (percent != NULL && percent[1] == '\0') {
        *percent = '\0';
        quantity->unit = QUANTITY_PERCENT;
        if (!parse_plain(copy, &quantity->value))
            return false;
    } else if (parse_plain(copy, &quantity->value)) {
        quantity->unit = QUANTITY_PLAIN;
    } else if (config_parse_duration(copy, &number)) {
        quantity->unit = QUANTITY_SECONDS;
        quantity->value = (double)number / 1e9;
    } else if (config_parse_size(copy, &number)) {
        quantity->unit = QUANTITY_BYTES;
        quantity->value = (double)number;
    } else {
        return false;
    }
    if (quantity->per_second)
        quantity->value /= seconds;
    return true;
}

bool quantity_fits(const struct quantity *given, const struct quantity *wanted)
{
    if (given->unit == QUANTITY_PLAIN && !given->per_second)
        return true;
    if (wanted->unit == QUANTITY_PLAIN && given->unit == QUANTITY_PERCENT)
        return given->per_second == wanted->per_second;
    return given->unit == wanted->unit && given->per_second == wanted->per_second;
}

const char *quantity_example(const struct quantity *quantity)
{
    switch (quantity->unit) {
    case QUANTITY_BYTES:
        return quantity->per_second ? "a rate like \"256KiB/s\"" : "a size like \"64MiB\"";
    case QUANTITY_SECONDS:
        return quantity->per_second ? "a share like \"20ms/s\"" : "a duration like \"10m\"";
    case QUANTITY_PERCENT:
        return quantity->per_second ? "a rate like \"10%/h\"" : "a percentage like \"30%\"";
    case QUANTITY_PLAIN:
        break;
    }
    return quantity->per_second ? "a rate like \"5/s\"" : "a number";
}
