/* json_read.c - a reader of JSON by recursive descent.  Pure. */
#include "core/base/json_read.h"

#include <ctype.h>
#include <math.h>

#include "core/base/arena.h"

struct reader {
    const char *text;
    size_t length;
    size_t at;
    unsigned depth;
    struct arena *arena;
    struct error *err;
};

static bool fail(struct reader *reader, const char *what)
{
    return error_set(reader->err, ERROR_CORRUPT, "not JSON at byte %zu: %s", reader->at, what);
}

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->length && memchr(" \t\r\n", reader->text[reader->at], 4) != NULL)
        reader->at++;
}

static bool next_is(struct reader *reader, char c)
{
    skip_space(reader);
    if (reader->at == reader->length || reader->text[reader->at] != c)
        return false;
    reader->at++;
    return true;
}

/* ---- texts ---- */

static bool read_hex(struct reader *reader, unsigned *code)
{
    *code = 0;
    if (reader->length - reader->at < 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        const char c = reader->text[reader->at + i];
        if (!isxdigit((unsigned char)c))
            return false;
        *code = *code * 16 + (unsigned)(isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    reader->at += 4;
    return true;
}

static size_t put_utf8(char *out, unsigned code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* What follows a backslash. */
static bool read_escape(struct reader *reader, char *out, size_t *used)
{
    static const char escapes[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (reader->at == reader->length)
        return fail(reader, "a text without end");
    const char c = reader->text[reader->at++];
    const char *found = c != '\0' ? strchr(escapes, c) : NULL;
    unsigned code;
    unsigned low;
    if (found != NULL) {
        out[(*used)++] = meanings[found - escapes];
        return true;
    }
    if (c != 'u' || !read_hex(reader, &code) || code == 0)
        return fail(reader, "no such escape");
    if (code >= 0xD800 && code < 0xDC00) { /* half of a pair */
        if (reader->length - reader->at < 2 || memcmp(reader->text + reader->at, "\\u", 2) != 0)
            return fail(reader, "half a surrogate pair");
        reader->at += 2;
        if (!read_hex(reader, &low) || low < 0xDC00 || low > 0xDFFF)
            return fail(reader, "half a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
        return fail(reader, "half a surrogate pair");
    }
    *used += put_utf8(out + *used, code);
    return true;
}

/* After the opening quote.  The text is never longer than its notation. */
static bool read_string(struct reader *reader, const char **string)
{
    size_t end = reader->at;
    while (end < reader->length && reader->text[end] != '"')
        end += reader->text[end] == '\\' ? 2 : 1;
    if (end >= reader->length)
        return fail(reader, "a text without end");
    char *out = arena_alloc_array(reader->arena, end - reader->at + 1, 1);
    if (out == NULL)
        return error_set(reader->err, ERROR_LIMIT, "JSON is too large");
    size_t used = 0;
    while (reader->text[reader->at] != '"') {
        const char c = reader->text[reader->at++];
        if ((unsigned char)c < 0x20)
            return fail(reader, "a control character in a text");
        if (c != '\\')
            out[used++] = c;
        else if (!read_escape(reader, out, &used))
            return false;
    }
    reader->at++;
    out[used] = '\0';
    *string = out;
    return true;
}

/* ---- values ---- */

static bool read_value(struct reader *reader, struct config_node *node);

static bool read_number(struct reader *reader, struct config_node *node)
{
    char digits[64];
    size_t length = 0;
    while (reader->at + length < reader->length && length < sizeof(digits) - 1 &&
           strchr("+-.eE0123456789", reader->text[reader->at + length]) != NULL &&
           reader->text[reader->at + length] != '\0')
        length++;
    memcpy(digits, reader->text + reader->at, length);
    digits[length] = '\0';
    char *end;
    const bool begins = isdigit((unsigned char)digits[digits[0] == '-']);
    node->kind = NODE_NUMBER;
    node->number = begins ? strtod(digits, &end) : 0;
    if (!begins || *end != '\0' || !isfinite(node->number))
        return fail(reader, "no value");
    reader->at += length;
    return true;
}

static bool read_word(struct reader *reader, struct config_node *node)
{
    static const struct {
        const char *word;
        struct config_node node;
    } words[] = {{"true", {.kind = NODE_BOOL, .boolean = true}},
                 {"false", {.kind = NODE_BOOL, .boolean = false}},
                 {"null", {.kind = NODE_NIL}}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const size_t length = strlen(words[i].word);
        if (reader->length - reader->at >= length &&
            memcmp(reader->text + reader->at, words[i].word, length) == 0) {
            node->kind = words[i].node.kind;
            node->boolean = words[i].node.boolean;
            reader->at += length;
            return true;
        }
    }
    return read_number(reader, node);
}

/* Members of an object or items of an array, up to [close]; they are gathered in a list that doubles. */
static bool read_children(struct reader *reader, struct config_node *node, char close)
{
    struct config_node *children = NULL;
    size_t count = 0;
    size_t capacity = 0;
    node->kind = NODE_TABLE;
    if (next_is(reader, close))
        return true;
    do {
        if (count == capacity) {
            const size_t wanted = capacity > 0 ? capacity * 2 : 8;
            struct config_node *grown = arena_alloc_array(reader->arena, wanted, sizeof(*grown));
            if (grown == NULL)
                return error_set(reader->err, ERROR_LIMIT, "JSON is too large");
            if (count > 0)
                memcpy(grown, children, count * sizeof(*grown));
            children = grown;
            capacity = wanted;
        }
        struct config_node *child = &children[count];
        *child = (struct config_node){.index = close == ']' ? (int64_t)count + 1 : 0};
        if (close == '}' && (!next_is(reader, '"') || !read_string(reader, &child->key) ||
                             !next_is(reader, ':')))
            return fail(reader, "a member needs a name and a colon");
        if (!read_value(reader, child))
            return false;
        count++;
    } while (next_is(reader, ','));
    node->children = children;
    node->child_count = count;
    return next_is(reader, close) || fail(reader, "a comma or the end is missing");
}

static bool read_value(struct reader *reader, struct config_node *node)
{
    if (reader->depth == JSON_READ_DEPTH_MAX)
        return fail(reader, "nested too deep");
    reader->depth++;
    bool ok;
    if (next_is(reader, '{')) {
        ok = read_children(reader, node, '}');
    } else if (next_is(reader, '[')) {
        ok = read_children(reader, node, ']');
    } else if (next_is(reader, '"')) {
        node->kind = NODE_STRING;
        ok = read_string(reader, &node->string);
    } else {
        ok = reader->at < reader->length ? read_word(reader, node) : fail(reader, "it ends too early");
    }
    reader->depth--;
    return ok;
}

bool json_read(const char *text, size_t length, struct arena *arena, struct config_node *node,
               struct error *err)
{
    struct reader reader = {.text = text, .length = length, .arena = arena, .err = err};
    *node = (struct config_node){.kind = NODE_NIL};
    if (!read_value(&reader, node))
        return false;
    skip_space(&reader);
    return reader.at == length || fail(&reader, "something follows the value");
}

const struct config_node *json_read_member(const struct config_node *node, const char *key)
{
    for (size_t i = 0; node != NULL && node->kind == NODE_TABLE && i < node->child_count; i++) {
        if (node->children[i].key != NULL && strcmp(node->children[i].key, key) == 0)
            return &node->children[i];
    }
    return NULL;
}
