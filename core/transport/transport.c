/* transport.c - HTTP(S) requests to others: libcurl.
 *
 * Run by the export thread (POSTs to receivers of alerts) and by the scraping one (GETs of profiles), each with
 * a transport of its own. */
#include "core/transport/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/transport/curl_library.h"

enum { SECRET_MAX_BYTES = 16 << 10, HEADER_MAX_BYTES = SECRET_MAX_BYTES + 64 };

struct transport {
    struct curl_library curl;
    CURLM *multi;
    struct transfer *transfers; /* under way */
    size_t active;
    size_t held_bytes; /* of answers to GETs under way */
};

struct transfer {
    struct transfer *next;
    struct transport *transport;
    CURL *easy;
    struct curl_slist *headers;
    transfer_done done;
    void *context;
    size_t detail_length;
    struct buffer body; /* of a GET */
    bool too_large;
    char reason[CURL_ERROR_SIZE];
    struct transfer_result result;
};

struct transport *transport_new(struct error *err)
{
    struct transport *transport = calloc(1, sizeof(*transport));
    if (transport == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for requests");
        return NULL;
    }
    struct curl_library *curl = &transport->curl;
    if (!curl_library_load(curl, err))
        goto fail;
    if (curl->global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        transport->multi = curl->multi_init();
        if (transport->multi != NULL)
            return transport;
        curl->global_cleanup();
    }
    (void)error_set(err, ERROR_NO_MEMORY, "libcurl cannot be set up");
fail:
    free(transport);
    return NULL;
}

static void transfer_free(struct transfer *transfer)
{
    transfer->transport->curl.easy_cleanup(transfer->easy);
    transfer->transport->curl.slist_free_all(transfer->headers);
    buffer_release(&transfer->body);
    free(transfer);
}

void transport_free(struct transport *transport)
{
    if (transport == NULL)
        return;
    while (transport->transfers != NULL) {
        struct transfer *transfer = transport->transfers;
        transport->transfers = transfer->next;
        (void)transport->curl.multi_remove_handle(transport->multi, transfer->easy);
        transfer_free(transfer);
    }
    (void)transport->curl.multi_cleanup(transport->multi);
    transport->curl.global_cleanup();
    free(transport);
}

/* ---- one request ---- */

/* The first line of the file, without its end. */
static bool read_secret(const char *path, char secret[SECRET_MAX_BYTES], struct error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t got = fd == -1 ? -1 : read(fd, secret, SECRET_MAX_BYTES - 1);
    const int failure = errno;
    if (fd != -1)
        (void)close(fd);
    if (got == -1)
        return error_set(err, ERROR_DENIED, "%s: %s", path, error_errno_text(failure));
    secret[got] = '\0';
    secret[strcspn(secret, "\r\n")] = '\0';
    return secret[0] != '\0' || error_set(err, ERROR_USAGE, "%s: is empty", path);
}

/* Keeps the first words of an answer, for the log; reads the rest away. */
static size_t keep_detail(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    const size_t length = size * count;
    for (size_t i = 0; i < length && transfer->detail_length + 1 < sizeof(transfer->result.detail);
         i++)
        transfer->result.detail[transfer->detail_length++] =
            bytes[i] >= ' ' && bytes[i] != 0x7F ? bytes[i] : ' ';
    return length;
}

static bool set_credentials(struct transfer *transfer, const struct transport_access *access,
                            struct error *err)
{
    char secret[SECRET_MAX_BYTES];
    char header[HEADER_MAX_BYTES];
    bool ok = true;
    if (access->bearer_token_file[0] != '\0') {
        ok = read_secret(access->bearer_token_file, secret, err);
        if (ok) {
            (void)snprintf(header, sizeof(header), "Authorization: Bearer %s", secret);
            struct curl_slist *longer =
                transfer->transport->curl.slist_append(transfer->headers, header);
            if (longer == NULL)
                ok = error_set(err, ERROR_NO_MEMORY, "no memory for a request");
            else
                transfer->headers = longer;
        }
    } else if (access->basic_auth_file[0] != '\0') {
        ok = read_secret(access->basic_auth_file, secret, err) &&
             (transfer->transport->curl.easy_setopt(transfer->easy, CURLOPT_USERPWD, secret) == CURLE_OK ||
              error_set(err, ERROR_NO_MEMORY, "no memory for a request"));
    }
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(header, sizeof(header));
    return ok;
}

static bool set_certificates(const struct curl_library *curl, CURL *easy,
                             const struct transport_access *access)
{
    return (access->ca_file[0] == '\0' ||
            curl->easy_setopt(easy, CURLOPT_CAINFO, access->ca_file) == CURLE_OK) &&
           (access->cert_file[0] == '\0' ||
            (curl->easy_setopt(easy, CURLOPT_SSLCERT, access->cert_file) == CURLE_OK &&
             curl->easy_setopt(easy, CURLOPT_SSLKEY, access->key_file) == CURLE_OK));
}

/* A proxy of the environment is used as everywhere, but not for this very host (as Go's clients do). */
static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://");
    return host != NULL && (strncmp(host + 3, "127.", 4) == 0 || strncmp(host + 3, "[::1]", 5) == 0 ||
                            strncmp(host + 3, "localhost", 9) == 0);
}

/* Keeps all of an answer, as far as it may be held. */
static size_t keep_body(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct transport *transport = transfer->transport;
    const size_t length = size * count;
    if (length > transfer->body.max_bytes - transfer->body.length ||
        length > TRANSPORT_HELD_MAX_BYTES - transport->held_bytes) {
        transfer->too_large = true;
        return length == 0 ? 0 : length - 1; /* anything else than all of it ends the transfer */
    }
    buffer_append(&transfer->body, bytes, length);
    if (transfer->body.failed)
        return length == 0 ? 0 : length - 1;
    transport->held_bytes += length;
    return keep_detail(bytes, size, count, context);
}

static bool set_request(struct transfer *transfer, const struct transport_access *access,
                        const char *url)
{
    const struct curl_library *curl = &transfer->transport->curl;
    CURL *easy = transfer->easy;
    return curl->easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           (!is_loopback(url) || curl->easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK) &&
           curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                            (long)(access->timeout_ns / CLOCK_NS_PER_MS)) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_USERAGENT, "goprofd") == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->reason) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK &&
           set_certificates(curl, easy, access);
}

static bool set_post(const struct transfer *transfer, const void *body, size_t length)
{
    const struct curl_library *curl = &transfer->transport->curl;
    CURL *easy = transfer->easy;
    return curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep_detail) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body) == CURLE_OK;
}

static bool add_header(struct transfer *transfer, const char *header)
{
    struct curl_slist *longer =
        transfer->transport->curl.slist_append(transfer->headers, header);
    if (longer != NULL)
        transfer->headers = longer;
    return longer != NULL;
}

static struct transfer *transfer_new(struct transport *transport, transfer_done done, void *context,
                                     struct error *err)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (transfer != NULL) {
        transfer->transport = transport;
        transfer->done = done;
        transfer->context = context;
        transfer->easy = transport->curl.easy_init();
        if (transfer->easy != NULL)
            return transfer;
        free(transfer);
    }
    (void)error_set(err, ERROR_NO_MEMORY, "no memory for a request");
    return NULL;
}

/* Takes over [transfer], whose own options were [set]. */
static bool begin(struct transfer *transfer, bool set, const struct transport_access *access,
                  const char *url, struct error *err)
{
    struct transport *transport = transfer->transport;
    bool ok = set || error_set(err, ERROR_NO_MEMORY, "no memory for a request");
    ok = ok && set_credentials(transfer, access, err);
    if (ok && (!set_request(transfer, access, url) ||
               transport->curl.multi_add_handle(transport->multi, transfer->easy) != CURLM_OK))
        ok = error_set(err, ERROR_SYSTEM, "libcurl cannot begin a request to %s", url);
    if (!ok) {
        transfer_free(transfer);
        return false;
    }
    transfer->next = transport->transfers;
    transport->transfers = transfer;
    transport->active++;
    return true;
}

bool transport_post(struct transport *transport, const struct transport_access *access,
                    const char *url, const void *body, size_t length, transfer_done done,
                    void *context, struct error *err)
{
    struct transfer *transfer = transfer_new(transport, done, context, err);
    if (transfer == NULL)
        return false;
    /* An empty Expect: without it curl waits a second for "100 Continue" before a large body. */
    const bool set = add_header(transfer, "Content-Type: application/json") &&
                     add_header(transfer, "Expect:") && set_post(transfer, body, length);
    return begin(transfer, set, access, url, err);
}

bool transport_get(struct transport *transport, const struct transport_access *access,
                   const char *url, size_t max_bytes, transfer_done done, void *context,
                   struct error *err)
{
    struct transfer *transfer = transfer_new(transport, done, context, err);
    if (transfer == NULL)
        return false;
    buffer_init(&transfer->body, max_bytes);
    transfer->result.body = &transfer->body;
    const bool set =
        transport->curl.easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, keep_body) == CURLE_OK;
    return begin(transfer, set, access, url, err);
}

/* ---- running ---- */

static void unlink_transfer(struct transport *transport, const struct transfer *transfer)
{
    for (struct transfer **at = &transport->transfers; *at != NULL; at = &(*at)->next) {
        if (*at == transfer) {
            *at = transfer->next;
            transport->active--;
            return;
        }
    }
}

static void finish(struct transport *transport, CURL *easy, CURLcode code)
{
    const struct curl_library *curl = &transport->curl;
    char *private = NULL;
    curl_off_t retry_after_s = 0;
    (void)curl->easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct transfer *transfer = (struct transfer *)(void *)private;
    struct transfer_result *result = &transfer->result;
    unlink_transfer(transport, transfer);
    (void)curl->multi_remove_handle(transport->multi, easy);
    result->detail[transfer->detail_length] = '\0';
    transport->held_bytes -= transfer->body.length;
    if (code == CURLE_OK) {
        (void)curl->easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &result->status);
        (void)curl->easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s);
        if (retry_after_s > 0)
            result->retry_after_ns = (uint64_t)retry_after_s * CLOCK_NS_PER_S;
    } else {
        long os_errno = 0;
        (void)curl->easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
        const char *why = transfer->reason[0] != '\0' ? transfer->reason : curl->easy_strerror(code);
        if (transfer->too_large)
            why = "the answer is larger than may be held";
        else if (transfer->body.failed)
            why = "no memory for the answer";
        else if (code == CURLE_OPERATION_TIMEDOUT) /* curl's words tell the milliseconds: no two are equal */
            why = "no complete answer within the timeout";
        if (code == CURLE_COULDNT_CONNECT && os_errno != 0)
            (void)snprintf(result->detail, sizeof(result->detail), "cannot connect: %s",
                           error_errno_text((int)os_errno));
        else
            (void)snprintf(result->detail, sizeof(result->detail), "%.200s", why);
    }
    transfer->done(transfer->context, result);
    transfer_free(transfer);
}

void transport_run(struct transport *transport, int timeout_ms)
{
    const struct curl_library *curl = &transport->curl;
    int running = 0;
    int queued = 0;
    (void)curl->multi_perform(transport->multi, &running);
    if (transport->active == 0 || running > 0)
        (void)curl->multi_poll(transport->multi, NULL, 0, timeout_ms, NULL);
    (void)curl->multi_perform(transport->multi, &running);
    for (CURLMsg *message; (message = curl->multi_info_read(transport->multi, &queued)) != NULL;) {
        if (message->msg == CURLMSG_DONE)
            finish(transport, message->easy_handle, message->data.result);
    }
}

void transport_wake(struct transport *transport)
{
    (void)transport->curl.multi_wakeup(transport->multi);
}

size_t transport_active(const struct transport *transport)
{
    return transport->active;
}
