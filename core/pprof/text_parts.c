/* text_parts.c - names, addresses and columns of the debug texts. */
#include "core/pprof/text_parts.h"

#include "core/base/buffer.h"

enum { TEXT_TAB_COLUMNS = 8 };

static bool is_control(char byte)
{
    return (unsigned char)byte < 0x20 || byte == 0x7f;
}

void text_append_name(struct buffer *out, const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t plain = at;
        while (plain < length && !is_control(text[plain]))
            plain++;
        buffer_append(out, text + at, plain - at);
        at = plain;
        if (at < length)
            buffer_printf(out, "\\x%02x", (unsigned)(unsigned char)text[at++]);
    }
}

/* Columns that text_append_name() takes: one for each character, as a UTF-8 continuation has none.
 */
static size_t text_name_columns(const char *text, size_t length)
{
    size_t columns = 0;
    for (size_t i = 0; i < length; i++)
        columns += is_control(text[i]) ? 4 : ((unsigned char)text[i] & 0xC0) != 0x80;
    return columns;
}

struct text_shown_name text_shown_name(const char *function)
{
    struct text_shown_name name = {.text = function, .length = strlen(function)};
    const char *open = strchr(function, '[');
    const char *close = open == NULL ? NULL : strrchr(open, ']');
    name.head = close == NULL ? name.length : (size_t)(open - function);
    name.tail = close == NULL ? 0 : (size_t)(close - function) + 1;
    return name;
}

static const char TYPE_ARGUMENTS[] = "[...]";

void text_append_shown(struct buffer *out, const struct text_shown_name *name)
{
    text_append_name(out, name->text, name->head);
    if (name->tail == 0)
        return;
    buffer_append_string(out, TYPE_ARGUMENTS);
    text_append_name(out, name->text + name->tail, name->length - name->tail);
}

size_t text_shown_columns(const struct text_shown_name *name)
{
    if (name->tail == 0)
        return text_name_columns(name->text, name->head);
    return text_name_columns(name->text, name->head) + sizeof(TYPE_ARGUMENTS) - 1 +
           text_name_columns(name->text + name->tail, name->length - name->tail);
}

size_t text_address_columns(uint64_t address)
{
    const unsigned bits = 64 - (unsigned)__builtin_clzll(address | 1);
    return 2 + (bits + 3) / 4;
}

/* There are hundreds of thousands of these in a large profile: too many for printf. */
void text_append_address(struct buffer *out, uint64_t address)
{
    char text[18];
    const size_t length = text_address_columns(address);
    for (size_t at = length; at > 2; address >>= 4)
        text[--at] = "0123456789abcdef"[address & 0xF];
    text[0] = '0';
    text[1] = 'x';
    buffer_append(out, text, length);
}

/* Tabs from a cell of [columns] to the next column, where [widest] is the widest cell above and
 * below it: as Go's text/tabwriter does with tabs of 8 and one column of padding. */
void text_append_tabs(struct buffer *out, size_t columns, size_t widest)
{
    const size_t next = (widest + 1 + TEXT_TAB_COLUMNS - 1) / TEXT_TAB_COLUMNS * TEXT_TAB_COLUMNS;
    for (size_t at = columns; at < next; at += TEXT_TAB_COLUMNS - at % TEXT_TAB_COLUMNS)
        buffer_append_byte(out, '\t');
}
