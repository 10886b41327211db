/* error.h - one error type: bool says whether, struct error says what.
 *
 * errno is read on the line after the call that set it and never crosses a function
 * border.  Functions that can fail take a struct error * as their last parameter, return
 * false (or NULL) and have then called error_set() exactly once. */
#ifndef GOPROFD_BASE_ERROR_H
#define GOPROFD_BASE_ERROR_H

#include <stdbool.h>

#define GOPROFD_MUST_CHECK __attribute__((warn_unused_result))
#define GOPROFD_PRINTF(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))

enum { ERROR_MESSAGE_MAX_BYTES = 256 };

enum error_code {
    ERROR_NONE = 0,
    ERROR_GONE,        /* the target exited, or its pid now names another process */
    ERROR_DENIED,      /* the kernel refused: ptrace scope, missing capability */
    ERROR_UNSUPPORTED, /* a Go version or ELF flavour we hold no layout for */
    ERROR_CORRUPT,     /* bytes arrived but cannot be what they claim to be */
    ERROR_LIMIT,       /* one of our own caps was reached */
    ERROR_USAGE,       /* the caller (a flag, a config key, a query) asked for nonsense */
    ERROR_NOT_FOUND,   /* what was named does not exist */
    ERROR_BUSY,        /* try again: the target kept changing while it was read */
    ERROR_NO_MEMORY,
    ERROR_SYSTEM, /* any other failed system call; the message names it */
};

struct error {
    enum error_code code;
    char message[ERROR_MESSAGE_MAX_BYTES]; /* always terminated; truncated with "..." */
};

/* Fills [err] (which may be NULL: the caller does not care) and returns false, so that a
 * failing function can end with `return error_set(...)`.  The message is one line that any terminal may
 * show, whatever the target or the file that it quotes put into its names. */
bool error_set(struct error *err, enum error_code code, const char *fmt, ...) GOPROFD_PRINTF(3, 4);

/* Puts "context: " in front of the message already in [err].  Returns false. */
bool error_wrap(struct error *err, const char *fmt, ...) GOPROFD_PRINTF(2, 3);

/* Takes control characters out of [text], in place: a line break becomes a space, others become '?'. */
void error_clean_text(char *text);

/* The word for [code] that logs and the API use: "gone", "denied", ... */
const char *error_code_name(enum error_code code);

/* Text of [errno_value], from a constant table: safe on every thread, never freed. */
const char *error_errno_text(int errno_value);

#endif
