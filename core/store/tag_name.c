/* tag_name.c - Go function names as people say them.
 *
 * Called by tag_book.c on the sampler thread; the names are the target's, so anything may be in them. */
#include "core/store/tag_name.h"

#include "core/store/site.h"

static const char CUT_MARK[] = "...";

void tag_name_copy(const char *text, char tag[TAG_ROOM])
{
    size_t length = strlen(text);
    const bool cut = length > TAG_MAX_BYTES;
    if (cut) {
        length = TAG_MAX_BYTES - (sizeof(CUT_MARK) - 1);
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
            length--; /* within a character of UTF-8 */
    }
    for (size_t i = 0; i < length; i++) {
        const unsigned char byte = (unsigned char)text[i];
        tag[i] = byte < 0x20 || byte == 0x7F ? '?' : text[i];
    }
    memcpy(tag + length, CUT_MARK, cut ? sizeof(CUT_MARK) - 1 : 0);
    tag[length + (cut ? sizeof(CUT_MARK) - 1 : 0)] = '\0';
}

static bool is_major_version(const char *text, size_t length)
{
    if (length < 2 || text[0] != 'v')
        return false;
    for (size_t i = 1; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
    }
    return true;
}

/* Where the element of a path that ends at [end] begins. */
static size_t element_start(const char *path, size_t end)
{
    while (end > 0 && path[end - 1] != '/')
        end--;
    return end;
}

/* The text being built: longer than a tag, so that what is cut off is known to have been there. */
struct short_name {
    char text[4 * TAG_ROOM];
    size_t length;
};

static void append(struct short_name *name, const char *text, size_t length)
{
    for (size_t i = 0; i < length && name->length + 1 < sizeof(name->text); i++) {
        char byte = text[i];
        if (i + 2 < length && byte == '%' && text[i + 1] == '2' && text[i + 2] == 'e') {
            byte = '.'; /* as the linker writes it in the last element of a path */
            i += 2;
        }
        name->text[name->length++] = byte;
    }
    name->text[name->length] = '\0';
}

/* The part behind the package: without what is in brackets, and without "-fm" at the end. */
static void append_symbol(struct short_name *name, const char *symbol)
{
    size_t length = strlen(symbol);
    if (length > 3 && memcmp(symbol + length - 3, "-fm", 3) == 0)
        length -= 3;
    size_t depth = 0;
    for (size_t i = 0; i < length; i++) {
        if (symbol[i] == '[')
            depth++;
        else if (symbol[i] == ']' && depth > 0)
            depth--;
        else if (depth == 0)
            append(name, &symbol[i], 1);
    }
}

void tag_name_shorten(const char *function, char tag[TAG_ROOM])
{
    struct short_name name = {.length = 0};
    const size_t package = go_package_length(function);
    size_t start = element_start(function, package);
    size_t end = package;
    if (start > 1 && is_major_version(function + start, end - start)) {
        end = start - 1;
        start = element_start(function, end);
    }
    append(&name, function + start, end - start);
    append_symbol(&name, function + package);
    tag_name_copy(name.text, tag);
}
