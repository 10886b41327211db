/* test_series.c - reads the notation of series.  Pure. */
#include "lua/test_series.h"

#include <math.h>

#include "core/base/config.h"
#include "lua/quantity.h"

enum { WORD_MAX_BYTES = 64 };

struct writer {
    double *values;
    size_t count;
    size_t max;
};

static void put(struct writer *writer, double value)
{
    if (writer->count < writer->max)
        writer->values[writer->count] = value;
    writer->count++;
}

static bool read_number(const char *text, const char *word, double *value, struct error *err)
{
    struct quantity quantity;
    if (!quantity_parse(text, &quantity))
        return error_set(err, ERROR_USAGE,
                         "\"%s\" is no series; write numbers like \"5\", \"64MiB\", \"5x10\", "
                         "\"5+2x10\" or \"_\"",
                         word);
    *value = quantity.value;
    return true;
}

/* The "x10" at the end of [copy], cut off; 0 if there is none. */
static bool cut_times(char *copy, const char *word, size_t *times, struct error *err)
{
    *times = 0;
    char *x = strrchr(copy, 'x');
    if (x == NULL)
        return true;
    char *end;
    const unsigned long number = strtoul(x + 1, &end, 10);
    if (end == x + 1 || *end != '\0' || number == 0 || number > 1000000)
        return error_set(err, ERROR_USAGE, "\"%s\": x needs a count of beats", word);
    *x = '\0';
    *times = number;
    return true;
}

static bool read_run(struct writer *writer, const char *word, struct error *err)
{
    char copy[WORD_MAX_BYTES];
    size_t times;
    double step = 0;
    double value = writer->count > 0 && writer->max > 0
                       ? writer->values[(writer->count < writer->max ? writer->count : writer->max) - 1]
                       : 0;
    if (strlen(word) >= sizeof(copy))
        return error_set(err, ERROR_USAGE, "\"%.40s...\" is no series", word);
    memcpy(copy, word, strlen(word) + 1);
    if (!cut_times(copy, word, &times, err))
        return false;
    char *sign = copy[0] == '+' || copy[0] == '-' ? copy
                 : copy[0] != '\0'               ? strpbrk(copy + 1, "+-")
                                                 : NULL;
    const bool goes_on = sign == copy;
    if (sign != NULL) {
        if (!read_number(sign + 1, word, &step, err))
            return false;
        step = *sign == '-' ? -step : step;
        *sign = '\0';
    }
    if (strcmp(copy, "_") == 0)
        value = (double)NAN;
    else if (!goes_on && !read_number(copy, word, &value, err))
        return false;
    if (!goes_on)
        put(writer, value);
    const size_t more = sign != NULL ? (times > 0 ? times : 1) : (times > 0 ? times - 1 : 0);
    for (size_t i = 0; i < more && writer->count < writer->max; i++) {
        value += step;
        put(writer, value);
    }
    return true;
}

static bool read_text(struct writer *writer, const char *text, struct error *err)
{
    while (*text != '\0') {
        const size_t length = strcspn(text, " \n\t");
        char word[WORD_MAX_BYTES];
        if (length >= sizeof(word))
            return error_set(err, ERROR_USAGE, "\"%.40s...\" is no series", text);
        memcpy(word, text, length);
        word[length] = '\0';
        if (length > 0 && !read_run(writer, word, err))
            return false;
        text += length;
        text += strspn(text, " \n\t");
    }
    return true;
}

static bool read_node(struct writer *writer, const struct config_node *node, struct error *err)
{
    switch (node->kind) {
    case NODE_NUMBER:
        put(writer, node->number);
        return true;
    case NODE_STRING:
        return read_text(writer, node->string, err);
    case NODE_TABLE:
        for (size_t i = 0; i < node->child_count; i++) {
            if (node->children[i].key != NULL || node->children[i].kind == NODE_TABLE)
                return error_set(err, ERROR_USAGE, "a series is a number, a text, or a list of these");
            if (!read_node(writer, &node->children[i], err))
                return false;
        }
        return true;
    default:
        return error_set(err, ERROR_USAGE, "a series is a number, a text, or a list of these");
    }
}

bool test_series_read(const struct config_node *node, double *values, size_t count,
                      struct error *err)
{
    struct writer writer = {.values = values, .max = count};
    if (!read_node(&writer, node, err))
        return false;
    if (writer.count == 0)
        return error_set(err, ERROR_USAGE, "an empty series");
    for (size_t i = writer.count; i < count; i++)
        values[i] = values[writer.count - 1]; /* the last value stays */
    return true;
}
