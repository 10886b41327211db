/* address.c - listen addresses from text.  Main thread, at start. */
#include "http/address.h"

static bool parse_port(const char *text, uint16_t *port)
{
    unsigned value = 0;
    const char *digit = text;
    for (; *digit >= '0' && *digit <= '9' && value <= UINT16_MAX; digit++)
        value = value * 10 + (unsigned)(*digit - '0');
    if (digit == text || *digit != '\0' || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

static bool parse_unix(const char *text, const char *path, struct address *address,
                       struct error *err)
{
    const size_t length = strlen(path);
    if (length == 0)
        return error_set(err, ERROR_USAGE, "listen address \"%s\": no path after unix:", text);
    if (length >= sizeof(address->path))
        return error_set(
            err, ERROR_USAGE,
            "listen address: the socket path has %zu bytes, the kernel takes at most %zu", length,
            sizeof(address->path) - 1);
    address->kind = ADDRESS_UNIX;
    memcpy(address->path, path, length + 1);
    return true;
}

bool address_parse(const char *text, struct address *address, struct error *err)
{
    static const char unix_prefix[] = "unix:";

    *address = (struct address){.kind = ADDRESS_TCP};
    if (strncmp(text, unix_prefix, sizeof(unix_prefix) - 1) == 0)
        return parse_unix(text, text + sizeof(unix_prefix) - 1, address, err);

    const char *colon = strrchr(text, ':');
    if (colon == NULL || !parse_port(colon + 1, &address->port))
        return error_set(err, ERROR_USAGE,
                         "listen address \"%s\": want host:port, :port, [ip6]:port or unix:/path",
                         text);

    const char *host = text;
    size_t length = (size_t)(colon - text);
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
    } else if (memchr(host, ':', length) != NULL) {
        return error_set(err, ERROR_USAGE,
                         "listen address \"%s\": put an IPv6 address in brackets, [::1]:8080",
                         text);
    }
    if (length >= sizeof(address->host))
        return error_set(err, ERROR_USAGE, "listen address: the host name has %zu bytes", length);
    memcpy(address->host, host, length);
    address->host[length] = '\0';
    return true;
}
