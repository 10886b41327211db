/* http.h - requests as a client of goprofd or of a watched program makes them. */
#ifndef GOPROFD_TESTS_HTTP_H
#define GOPROFD_TESTS_HTTP_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct http_reply {
    long status; /* 0: no answer at all */
    char *headers;
    char *body; /* NUL-terminated; may hold NULs of its own */
    size_t length;
};

/* [body] NULL: GET; else POST.  No answer is a status of 0, not a failure of the test. */
struct http_reply http_request(const char *url, const char *body);
/* The same with one more [header], "Name: value". */
struct http_reply http_request_with(const char *url, const char *body, const char *header);
void http_reply_release(struct http_reply *reply);

/* GET of "http://127.0.0.1:PORT" + formatted path: parsed JSON of an answer with [status]. */
json_t *http_json(uint16_t port, long status, const char *path_format, ...)
    __attribute__((format(printf, 3, 4)));

/* GET that must be answered with 200; the body is thrown away. */
void http_touch(uint16_t port, const char *path_format, ...) __attribute__((format(printf, 2, 3)));

/* GET whose 200 answer goes to the file [path]. */
void http_save(uint16_t port, const char *url_path, const char *path);

/* A free_port() (tests/support/free_port.h) that there is. */
uint16_t http_free_port(void);

#endif
