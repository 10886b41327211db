/* auth.c - see auth.h. */
#include "http/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = (AUTH_TOKEN_MAX_BYTES + 2) * AUTH_TOKENS_MAX };

struct token {
    size_t length;
    char text[AUTH_TOKEN_MAX_BYTES];
};

struct auth {
    pthread_mutex_t lock;
    bool closed; /* a token is needed */
    size_t count;
    struct token tokens[AUTH_TOKENS_MAX];
};

struct auth *auth_new(void)
{
    struct auth *auth = calloc(1, sizeof(*auth));
    if (auth != NULL && pthread_mutex_init(&auth->lock, NULL) != 0) {
        free(auth);
        return NULL;
    }
    return auth;
}

void auth_free(struct auth *auth)
{
    if (auth == NULL)
        return;
    (void)pthread_mutex_destroy(&auth->lock);
    explicit_bzero(auth->tokens, sizeof(auth->tokens));
    free(auth);
}

/* ---- loading ---- */

static bool read_file(const char *path, char *text, size_t *length, struct error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd == -1)
        return error_set(err, errno == EACCES ? ERROR_DENIED : ERROR_SYSTEM, "auth_token_file: %.150s: %s",
                         path, error_errno_text(errno));
    ssize_t got = 0;
    *length = 0;
    while (*length <= FILE_MAX_BYTES &&
           (got = read(fd, text + *length, FILE_MAX_BYTES + 1 - *length)) > 0)
        *length += (size_t)got;
    const int why = errno;
    (void)close(fd);
    if (got == -1)
        return error_set(err, ERROR_SYSTEM, "auth_token_file: %.150s: %s", path, error_errno_text(why));
    return *length <= FILE_MAX_BYTES ||
           error_set(err, ERROR_LIMIT, "auth_token_file: %.150s: larger than %d tokens of %d bytes", path,
                     AUTH_TOKENS_MAX, AUTH_TOKEN_MAX_BYTES);
}

/* As RFC 6750 has it: what fits into a header without quotes. */
static bool is_token(const char *text, size_t length)
{
    if (length < AUTH_TOKEN_MIN_BYTES || length > AUTH_TOKEN_MAX_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              memchr("-._~+/=", c, 7) != NULL))
            return false;
    }
    return true;
}

static bool parse(struct auth *fresh, const char *path, const char *text, size_t length,
                  struct error *err)
{
    unsigned line = 0;
    for (size_t at = 0; at < length;) {
        const char *end = memchr(text + at, '\n', length - at);
        const size_t next = end != NULL ? (size_t)(end - text) + 1 : length;
        size_t width = (end != NULL ? next - 1 : length) - at;
        if (width > 0 && text[at + width - 1] == '\r')
            width--;
        line++;
        if (width > 0) {
            if (!is_token(text + at, width))
                return error_set(err, ERROR_USAGE,
                                 "auth_token_file: %.150s:%u: a token has %d to %d letters, digits or -._~+/=",
                                 path, line, AUTH_TOKEN_MIN_BYTES, AUTH_TOKEN_MAX_BYTES);
            if (fresh->count == AUTH_TOKENS_MAX)
                return error_set(err, ERROR_LIMIT, "auth_token_file: %.150s: more than %d tokens", path,
                                 AUTH_TOKENS_MAX);
            struct token *token = &fresh->tokens[fresh->count++];
            token->length = width;
            memcpy(token->text, text + at, width);
        }
        at = next;
    }
    return fresh->count > 0 ||
           error_set(err, ERROR_USAGE, "auth_token_file: %.150s: there is no token in it", path);
}

static bool load(struct auth *fresh, const char *path, struct error *err)
{
    char *text = calloc(1, FILE_MAX_BYTES + 1);
    size_t length = 0;
    if (text == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to read auth_token_file");
    const bool ok = read_file(path, text, &length, err) && parse(fresh, path, text, length, err);
    explicit_bzero(text, FILE_MAX_BYTES + 1);
    free(text);
    return ok;
}

bool auth_load(struct auth *auth, const char *path, struct error *err)
{
    struct auth *fresh = auth_new();
    if (fresh == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to read auth_token_file");
    const bool ok = path[0] == '\0' || load(fresh, path, err);
    if (ok) {
        (void)pthread_mutex_lock(&auth->lock);
        auth->closed = path[0] != '\0';
        auth->count = fresh->count;
        memcpy(auth->tokens, fresh->tokens, sizeof(auth->tokens));
        (void)pthread_mutex_unlock(&auth->lock);
    }
    auth_free(fresh);
    return ok;
}

/* ---- asking ---- */

/* No step depends on what the bytes are. */
static bool equals(const struct token *token, const char *text, size_t length)
{
    unsigned differences = token->length != length;
    for (size_t i = 0; i < token->length; i++)
        differences |= (unsigned char)token->text[i] ^ (unsigned char)text[length > 0 ? i % length : 0];
    return differences == 0;
}

bool auth_allows(struct auth *auth, const char *value, size_t length)
{
    static const char scheme[] = "Bearer ";
    const size_t prefix = sizeof(scheme) - 1;
    bool has_scheme = value != NULL && length > prefix && strncasecmp(value, scheme, prefix) == 0;
    bool found = false;
    (void)pthread_mutex_lock(&auth->lock);
    for (size_t i = 0; i < auth->count && has_scheme; i++)
        found = equals(&auth->tokens[i], value + prefix, length - prefix) || found;
    const bool allowed = found || !auth->closed;
    (void)pthread_mutex_unlock(&auth->lock);
    return allowed;
}
