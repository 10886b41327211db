/* error.c - fills struct error; the only place in the house that truncates text. */
#include "core/base/error.h"

#include <stdarg.h>

static void end_with_dots(char *message)
{
    static const char dots[] = "...";
    memcpy(message + ERROR_MESSAGE_MAX_BYTES - sizeof(dots), dots, sizeof(dots));
}

/* A control character of the C1 set as UTF-8: terminals take some of them for commands. */
static bool is_c1(const unsigned char *at)
{
    return at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;
}

void error_clean_text(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        if (*at == '\n' || *at == '\t')
            *at = ' ';
        else if (*at < ' ' || *at == 0x7f)
            *at = '?';
        else if (is_c1(at))
            at[0] = at[1] = '?';
    }
}

bool error_set(struct error *err, enum error_code code, const char *fmt, ...)
{
    if (err == NULL)
        return false;

    va_list args;
    va_start(args, fmt);
    const int length = vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);

    err->code = code;
    if (length < 0)
        err->message[0] = '\0';
    else if ((size_t)length >= sizeof(err->message))
        end_with_dots(err->message);
    error_clean_text(err->message);
    return false;
}

bool error_wrap(struct error *err, const char *fmt, ...)
{
    if (err == NULL)
        return false;

    struct error inner = *err;
    va_list args;
    va_start(args, fmt);
    const int prefix = vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);

    if (prefix < 0 || (size_t)prefix >= sizeof(err->message)) {
        end_with_dots(err->message);
        return false;
    }
    error_clean_text(err->message);
    const size_t room = sizeof(err->message) - (size_t)prefix;
    const int rest = snprintf(err->message + prefix, room, ": %s", inner.message);
    if (rest < 0 || (size_t)rest >= room)
        end_with_dots(err->message);
    return false;
}

const char *error_code_name(enum error_code code)
{
    switch (code) {
    case ERROR_NONE:
        return "none";
    case ERROR_GONE:
        return "gone";
    case ERROR_DENIED:
        return "denied";
    case ERROR_UNSUPPORTED:
        return "unsupported";
    case ERROR_CORRUPT:
        return "corrupt";
    case ERROR_LIMIT:
        return "limit";
    case ERROR_USAGE:
        return "usage";
    case ERROR_NOT_FOUND:
        return "not_found";
    case ERROR_BUSY:
        return "busy";
    case ERROR_NO_MEMORY:
        return "no_memory";
    case ERROR_SYSTEM:
        return "system";
    }
    return "unknown";
}

const char *error_errno_text(int errno_value)
{
    /* strerrordesc_np (glibc >= 2.32) returns constants; strerror() may share a buffer. */
    const char *text = strerrordesc_np(errno_value);
    return text != NULL ? text : "unknown error";
}
