/* http.c - see http.h; libcurl, so that our server is judged by someone else's client. */
#include "tests/support/http.h"

#include <criterion/criterion.h>
#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "tests/support/free_port.h"

enum { TIMEOUT_S = 60 };

static size_t collect(char *bytes, size_t size, size_t count, void *stream)
{
    return fwrite(bytes, size, count, stream);
}

struct http_reply http_request(const char *url, const char *body)
{
    return http_request_with(url, body, NULL);
}

struct http_reply http_request_with(const char *url, const char *body, const char *header)
{
    struct http_reply reply = {0};
    struct curl_slist *list = header != NULL ? curl_slist_append(NULL, header) : NULL;
    size_t headers_length = 0;
    FILE *headers = open_memstream(&reply.headers, &headers_length);
    FILE *content = open_memstream(&reply.body, &reply.length);
    CURL *curl = curl_easy_init();
    cr_assert(headers != NULL && content != NULL && curl != NULL);

    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); /* loopback only */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, content);
    if (body != NULL)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    if (list != NULL)
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(list);
    cr_assert_eq(fclose(headers), 0);
    cr_assert_eq(fclose(content), 0);
    return reply;
}

void http_reply_release(struct http_reply *reply)
{
    free(reply->headers);
    free(reply->body);
    *reply = (struct http_reply){0};
}

static struct http_reply GOPROFD_PRINTF(2, 0)
    get(uint16_t port, const char *path_format, va_list arguments)
{
    char *path = NULL;
    char *url = NULL;
    cr_assert(vasprintf(&path, path_format, arguments) > 0);
    cr_assert(asprintf(&url, "http://127.0.0.1:%u%s", (unsigned)port, path) > 0);
    struct http_reply reply = http_request(url, NULL);
    free(path);
    free(url);
    return reply;
}

json_t *http_json(uint16_t port, long status, const char *path_format, ...)
{
    va_list arguments;
    va_start(arguments, path_format);
    struct http_reply reply = get(port, path_format, arguments);
    va_end(arguments);
    cr_assert_eq(reply.status, status, "%s: status %ld instead of %ld: %s", path_format,
                 reply.status, status, reply.body);
    json_error_t problem;
    json_t *json = json_loadb(reply.body, reply.length, 0, &problem);
    cr_assert_not_null(json, "%s: no JSON: %s at %d in %s", path_format, problem.text,
                       problem.position, reply.body);
    http_reply_release(&reply);
    return json;
}

void http_touch(uint16_t port, const char *path_format, ...)
{
    va_list arguments;
    va_start(arguments, path_format);
    struct http_reply reply = get(port, path_format, arguments);
    va_end(arguments);
    cr_assert_eq(reply.status, 200, "%s: status %ld: %s", path_format, reply.status, reply.body);
    http_reply_release(&reply);
}

void http_save(uint16_t port, const char *url_path, const char *path)
{
    char *url = NULL;
    cr_assert(asprintf(&url, "http://127.0.0.1:%u%s", (unsigned)port, url_path) > 0);
    struct http_reply reply = http_request(url, NULL);
    cr_assert_eq(reply.status, 200, "%s: status %ld: %s", url, reply.status, reply.body);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "cannot write %s", path);
    cr_assert_eq(fwrite(reply.body, 1, reply.length, file), reply.length);
    cr_assert_eq(fclose(file), 0);
    http_reply_release(&reply);
    free(url);
}

uint16_t http_free_port(void)
{
    const uint16_t port = free_port();
    cr_assert_neq(port, 0, "no free port");
    return port;
}
