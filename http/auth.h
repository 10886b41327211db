/* auth.h - who may ask: a bearer token of auth_token_file, on every path but /health/.
 *
 * The file holds one token, or several, one a line, so that they can be changed without a gap.  Main thread loads, at
 * the start and at SIGHUP; loops ask. */
#ifndef GOPROFD_HTTP_AUTH_H
#define GOPROFD_HTTP_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

enum { AUTH_TOKENS_MAX = 16, AUTH_TOKEN_MIN_BYTES = 8, AUTH_TOKEN_MAX_BYTES = 512 };

struct auth;

struct auth *auth_new(void); /* lets everybody in; NULL without memory */
void auth_free(struct auth *auth); /* NULL is allowed */

/* From now on only the tokens in [path] are taken; "": everybody is let in.  On failure, which names the file and what is
 * wrong with it, those of before stay. */
bool auth_load(struct auth *auth, const char *path, struct error *err) GOPROFD_MUST_CHECK;

/* Whether the value of an Authorization header opens the door; [value] NULL: there was none.  Takes as long for a wrong
 * token as for a right one. */
bool auth_allows(struct auth *auth, const char *value, size_t length);

#endif
