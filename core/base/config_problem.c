/* config_problem.c - how a wrong key or value is told: what was found, what is allowed, what may have
 * been meant.  Values come from a file anybody may have written: quoted and bounded. */
#include <ctype.h>
#include <stdarg.h>
#include <strings.h>

#include "core/base/config_parts.h"
#include "core/base/json.h"

enum { FOUND_TEXT_MAX_BYTES = 80, NEAR_MISS_WORD_MAX = 63, ABBREVIATION_MIN_BYTES = 4 };

static void begin_line(struct config_load *load, const char *key)
{
    load->problem_count++;
    if (load->source != NULL) {
        buffer_append_string(load->problems, load->source);
        buffer_append_string(load->problems, ": ");
    }
    /* Keys are quoted only when they are odd, so that ordinary ones read well. */
    bool plain = *key != '\0' && strlen(key) <= FOUND_TEXT_MAX_BYTES * 2;
    for (const char *c = key; plain && *c != '\0'; c++)
        plain = *c > ' ' && *c < 0x7F && *c != '"';
    if (plain)
        buffer_append_string(load->problems, key);
    else
        json_append_quoted(load->problems, key, strnlen(key, FOUND_TEXT_MAX_BYTES));
    buffer_append_string(load->problems, ": ");
}

void config_problem(struct config_load *load, const char *key, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    const int length = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    begin_line(load, key);
    buffer_append_string(load->problems, length < 0 ? "invalid" : text);
    buffer_append_byte(load->problems, '\n');
}

void config_problem_memory(struct config_load *load, const char *key)
{
    config_problem(load, key, "the config is larger than goprofd accepts, or there is no memory");
}

static void append_quoted_bounded(struct buffer *out, const char *text)
{
    const size_t length = strlen(text);
    const size_t kept = length <= FOUND_TEXT_MAX_BYTES ? length : FOUND_TEXT_MAX_BYTES;
    json_append_quoted(out, text, kept);
    if (kept < length)
        buffer_append_string(out, "...");
}

static void append_found(struct buffer *out, const struct config_node *node)
{
    switch (node->kind) {
    case NODE_NIL:
        buffer_append_string(out, "nil");
        break;
    case NODE_BOOL:
        buffer_append_string(out, node->boolean ? "true" : "false");
        break;
    case NODE_NUMBER:
        buffer_printf(out, "%.15g", node->number);
        break;
    case NODE_STRING:
        append_quoted_bounded(out, node->string);
        break;
    case NODE_TABLE:
        buffer_append_string(out, node->child_count == 0 ? "an empty table" : "a table");
        break;
    case NODE_OTHER:
        buffer_printf(out, "a %.40s", node->string != NULL ? node->string : "value");
        break;
    }
}

void config_problem_node(struct config_load *load, const char *key, const struct config_node *node,
                         const char *allowed)
{
    begin_line(load, key);
    buffer_append_string(load->problems, "found ");
    append_found(load->problems, node);
    buffer_printf(load->problems, "; allowed: %s\n", allowed);
}

void config_problem_text(struct config_load *load, const char *key, const char *text,
                         const char *allowed)
{
    const struct config_node node = {.kind = NODE_STRING, .string = text};
    config_problem_node(load, key, &node, allowed);
}

/* ---- near misses ---- */

/* Edit distance without regard to case, a swap of neighbours counting once (optimal string alignment). */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][NEAR_MISS_WORD_MAX + 1];
    size_t *before_last = rows[0];
    size_t *last = rows[1];
    size_t *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            const int x = tolower((unsigned char)a[i - 1]);
            const int y = tolower((unsigned char)b[j - 1]);
            size_t best = last[j - 1] + (x != y);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                y == tolower((unsigned char)a[i - 2]) && before_last[j - 2] + 1 < best)
                best = before_last[j - 2] + 1;
            row[j] = best;
        }
        size_t *spare = before_last;
        before_last = last;
        last = row;
        row = spare;
    }
    return last[b_length];
}

const char *config_near_miss(const char *text, const char *const *words, size_t count)
{
    const size_t length = strlen(text);
    const char *nearest = NULL;
    /* A third of the word may be wrong; beyond that a guess confuses more than it helps. */
    size_t best = length / 3 + 1;
    if (best > 5)
        best = 5;
    if (length == 0 || length > NEAR_MISS_WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const size_t word_length = strlen(words[i]);
        if (word_length > NEAR_MISS_WORD_MAX)
            continue;
        size_t found = distance(text, length, words[i], word_length);
        const size_t common = length < word_length ? length : word_length;
        if (common >= ABBREVIATION_MIN_BYTES && strncasecmp(text, words[i], common) == 0)
            found = 1; /* "warning" for warn, "crit" for critical */
        if (found < best && found < word_length) {
            best = found;
            nearest = words[i];
        }
    }
    return nearest;
}

void config_problem_unknown(struct config_load *load, const char *key, const char *what,
                            const char *text, const char *const *words, size_t count)
{
    const char *nearest = config_near_miss(text, words, count);
    begin_line(load, key);
    buffer_append_string(load->problems, what);
    if (nearest != NULL)
        buffer_printf(load->problems, "; did you mean %s?", nearest);
    buffer_append_byte(load->problems, '\n');
}

void config_problem_word(struct config_load *load, const char *key, const char *text,
                         const char *allowed, const char *const *words, size_t count)
{
    const char *nearest = config_near_miss(text, words, count);
    begin_line(load, key);
    buffer_append_string(load->problems, "found ");
    append_quoted_bounded(load->problems, text);
    buffer_printf(load->problems, "; allowed: %s", allowed);
    if (nearest != NULL)
        buffer_printf(load->problems, "; did you mean %s?", nearest);
    buffer_append_byte(load->problems, '\n');
}
