/* accept.c - the headers of content negotiation that we heed (declared in reply.h). */
#include "http/reply.h"

#include <strings.h>

struct span {
    const char *at;
    size_t length;
};

static struct span trimmed(const char *at, size_t length)
{
    while (length > 0 && (*at == ' ' || *at == '\t')) {
        at++;
        length--;
    }
    while (length > 0 && (at[length - 1] == ' ' || at[length - 1] == '\t'))
        length--;
    return (struct span){at, length};
}

/* Cuts the part before the next [mark] off [rest] and returns it trimmed. */
static struct span cut(struct span *rest, char mark)
{
    const char *end = memchr(rest->at, mark, rest->length);
    const size_t length = end == NULL ? rest->length : (size_t)(end - rest->at);
    const struct span piece = trimmed(rest->at, length);
    const size_t used = end == NULL ? rest->length : length + 1;
    rest->at += used;
    rest->length -= used;
    return piece;
}

static bool span_is(struct span span, const char *text)
{
    return span.length == strlen(text) && strncasecmp(span.at, text, span.length) == 0;
}

/* Whether the parameters in [rest] hold a q that is zero: "q=0", "q=0.000". */
static bool refused(struct span rest)
{
    while (rest.length > 0) {
        const struct span parameter = cut(&rest, ';');
        if (parameter.length < 3 || (parameter.at[0] != 'q' && parameter.at[0] != 'Q') ||
            parameter.at[1] != '=')
            continue;
        for (size_t i = 2; i < parameter.length; i++) {
            if (parameter.at[i] != '0' && parameter.at[i] != '.')
                return false;
        }
        return true;
    }
    return false;
}

/* The most specific range that matches decides, as RFC 9110 12.5.1 has it. */
bool accept_allows(const char *header, size_t length, const char *type, const char *subtype)
{
    struct span rest = {header, length};
    int best = 0;
    bool allowed = false;
    bool any = false;
    while (rest.length > 0) {
        struct span item = cut(&rest, ',');
        const struct span range = cut(&item, ';');
        if (range.length == 0)
            continue;
        any = true;
        struct span minor = range;
        const struct span major = cut(&minor, '/');
        int precision = 0;
        if (span_is(major, type) && span_is(minor, subtype))
            precision = 3;
        else if (span_is(major, type) && span_is(minor, "*"))
            precision = 2;
        else if (span_is(major, "*") && span_is(minor, "*"))
            precision = 1;
        if (precision > best) {
            best = precision;
            allowed = !refused(item);
        }
    }
    return !any || allowed;
}

bool accept_encoding_allows_gzip(const char *header, size_t length)
{
    struct span rest = {header, length};
    bool star = false;
    while (rest.length > 0) {
        struct span item = cut(&rest, ',');
        const struct span coding = cut(&item, ';');
        if (span_is(coding, "gzip") || span_is(coding, "x-gzip"))
            return !refused(item);
        if (span_is(coding, "*"))
            star = !refused(item);
    }
    return star;
}

static bool is_one_of(struct span range, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (span_is(range, *names))
            return true;
    }
    return false;
}

/* Whether one of [names] (NULL-ended) is let through by name, and [other] is not before it. */
static bool asks_for(const char *header, size_t length, const char *const *names, const char *other)
{
    struct span rest = {header, length};
    while (rest.length > 0) {
        struct span item = cut(&rest, ',');
        const struct span range = cut(&item, ';');
        if (is_one_of(range, names))
            return !refused(item);
        if (span_is(range, other) && !refused(item))
            return false;
    }
    return false;
}

bool accept_asks_msgpack(const char *header, size_t length)
{
    static const char *const names[] = {"application/msgpack", "application/x-msgpack",
                                        "application/vnd.msgpack", NULL};
    return asks_for(header, length, names, "application/json");
}

bool accept_asks_openmetrics(const char *header, size_t length)
{
    static const char *const names[] = {"application/openmetrics-text", NULL};
    return asks_for(header, length, names, "text/plain");
}

/* "W/" says that other bytes may mean the same; whether they do is all that counts here. */
static struct span opaque_tag(struct span tag)
{
    if (tag.length > 2 && tag.at[0] == 'W' && tag.at[1] == '/')
        return (struct span){tag.at + 2, tag.length - 2};
    return tag;
}

bool if_none_match(const char *header, size_t length, const char *etag)
{
    const struct span wanted = opaque_tag((struct span){etag, strlen(etag)});
    struct span rest = {header, length};
    while (rest.length > 0) {
        const struct span tag = opaque_tag(cut(&rest, ','));
        if (span_is(tag, "*") ||
            (tag.length == wanted.length && memcmp(tag.at, wanted.at, tag.length) == 0))
            return true;
    }
    return false;
}
