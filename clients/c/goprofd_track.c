/* goprofd_track.c - see goprofd_track.h.
 *
 *   track_* --lock--> groups [ since the last batch | all there was ] --thread--> msgpack --libcurl--> POST /v1/track
 *
 * A batch that was not acknowledged is sent again as it is: its number keeps goprofd from counting it twice.  After a
 * restart of goprofd it answers 412, and gets the sums of all there was. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* program_invocation_short_name */
#endif
#include "goprofd_track.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum {
    GROUPS_MAX = 2048, /* the last one is "other" */
    SLOTS = 4096,
    TEXT_MAX_BYTES = 256,
    TEXTS_MAX_BYTES = 512 << 10, /* of all groups: goprofd takes no body larger than 1 MiB */
    TARGET_MAX_BYTES = 100,
    INTERVAL_DEFAULT_MS = 1000,
    HEARTBEAT_S = 10,
    REQUEST_TIMEOUT_MS = 5000,
    FAREWELL_TIMEOUT_MS = 2000,
    NS_PER_MS = 1000000,
};
#define NUMBER_MAX (UINT64_C(1) << 48) /* of one number of a record */

struct counts {
    uint64_t alloc_objects;
    uint64_t alloc_bytes;
    uint64_t free_objects;
    uint64_t free_bytes;
};

struct group {
    char *type; /* as goprofd takes them */
    char *tag;
    uint64_t hash; /* of what the caller said: that is what tells groups apart */
    struct counts fresh; /* since the last batch */
    struct counts total; /* of all batches */
};

struct bytes {
    unsigned char *at;
    size_t length;
    size_t room;
    bool failed;
};

struct goprofd_tracker {
    char *url;
    char *socket_path; /* NULL: TCP */
    char *target;
    char *authorization; /* a header, or NULL */
    unsigned interval_ms;
    uint64_t instance;
    pthread_t thread;

    pthread_mutex_t lock; /* for all below */
    pthread_cond_t wake;
    bool stopping;
    unsigned long long sent;
    unsigned long long failed;
    size_t group_count;
    size_t text_bytes; /* of all groups */
    struct group groups[GROUPS_MAX];
    uint16_t slots[SLOTS]; /* group + 1 */
};

/* ---- msgpack: https://github.com/msgpack/msgpack/blob/master/spec.md ---- */

static void put(struct bytes *out, const void *from, size_t length)
{
    if (out->room - out->length < length) {
        const size_t room = (out->length + length) * 2;
        unsigned char *grown = realloc(out->at, room);
        if (grown == NULL) {
            out->failed = true;
            return;
        }
        out->at = grown;
        out->room = room;
    }
    memcpy(out->at + out->length, from, length);
    out->length += length;
}

static void put_number(struct bytes *out, unsigned char code, uint64_t value, size_t width)
{
    unsigned char text[9] = {code};
    for (size_t i = 0; i < width; i++)
        text[width - i] = (unsigned char)(value >> (8 * i));
    put(out, text, width + 1);
}

static void put_text(struct bytes *out, const char *text)
{
    const size_t length = strlen(text);
    put_number(out, 0xda, length, 2);
    put(out, text, length);
}

/* goprofd takes no larger numbers.  What is too much was allocated and freed long ago: without it as much is held. */
static void fit(uint64_t *allocated, uint64_t *freed)
{
    if (*allocated > NUMBER_MAX) {
        const uint64_t excess = *allocated - NUMBER_MAX;
        *allocated = NUMBER_MAX;
        *freed -= *freed < excess ? *freed : excess;
    }
    if (*freed > NUMBER_MAX)
        *freed = NUMBER_MAX;
}

static void put_counts(struct bytes *out, const struct group *group, const struct counts *counts)
{
    struct counts fitting = *counts;
    fit(&fitting.alloc_objects, &fitting.free_objects);
    fit(&fitting.alloc_bytes, &fitting.free_bytes);
    put(out, "\x96", 1);
    put_text(out, group->type);
    put_text(out, group->tag);
    put_number(out, 0xcf, fitting.alloc_objects, 8);
    put_number(out, 0xcf, fitting.alloc_bytes, 8);
    put_number(out, 0xcf, fitting.free_objects, 8);
    put_number(out, 0xcf, fitting.free_bytes, 8);
}

static bool is_zero(const struct counts *counts)
{
    return (counts->alloc_objects | counts->alloc_bytes | counts->free_objects | counts->free_bytes) == 0;
}

/* What is nonsense stands still at the end of the numbers: it does not turn around. */
static void add_number(uint64_t *sum, uint64_t more)
{
    *sum = *sum > UINT64_MAX - more ? UINT64_MAX : *sum + more;
}

static void add(struct counts *sum, const struct counts *more)
{
    add_number(&sum->alloc_objects, more->alloc_objects);
    add_number(&sum->alloc_bytes, more->alloc_bytes);
    add_number(&sum->free_objects, more->free_objects);
    add_number(&sum->free_bytes, more->free_bytes);
}

static void put_head(const struct goprofd_tracker *tracker, struct bytes *out, uint64_t sequence,
                     bool totals, size_t records)
{
    out->length = 0;
    put(out, "\x85", 1);
    put_text(out, "target");
    put_text(out, tracker->target);
    put_text(out, "instance");
    put_number(out, 0xcf, tracker->instance, 8);
    put_text(out, "sequence");
    put_number(out, 0xcf, sequence, 8);
    put_text(out, "totals");
    put(out, totals ? "\xc3" : "\xc2", 1);
    put_text(out, "records");
    put_number(out, 0xdd, records, 4);
}

/* What changed since the last batch; returns how many records there are.  Without memory nothing has happened. */
static size_t encode_fresh(struct goprofd_tracker *tracker, struct bytes *out, uint64_t sequence)
{
    size_t records = 0;
    pthread_mutex_lock(&tracker->lock);
    for (size_t i = 0; i < tracker->group_count; i++)
        records += !is_zero(&tracker->groups[i].fresh);
    put_head(tracker, out, sequence, false, records);
    for (size_t i = 0; i < tracker->group_count; i++) {
        if (!is_zero(&tracker->groups[i].fresh))
            put_counts(out, &tracker->groups[i], &tracker->groups[i].fresh);
    }
    for (size_t i = 0; i < tracker->group_count && !out->failed; i++) {
        add(&tracker->groups[i].total, &tracker->groups[i].fresh);
        tracker->groups[i].fresh = (struct counts){0};
    }
    pthread_mutex_unlock(&tracker->lock);
    return records;
}

static void encode_totals(struct goprofd_tracker *tracker, struct bytes *out, uint64_t sequence)
{
    pthread_mutex_lock(&tracker->lock);
    put_head(tracker, out, sequence, true, tracker->group_count);
    for (size_t i = 0; i < tracker->group_count; i++)
        put_counts(out, &tracker->groups[i], &tracker->groups[i].total);
    pthread_mutex_unlock(&tracker->lock);
}

/* ---- sending ---- */

static size_t ignore(char *text, size_t size, size_t count, void *context)
{
    (void)text;
    (void)context;
    return size * count;
}

static time_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static bool is_stopping(struct goprofd_tracker *tracker)
{
    pthread_mutex_lock(&tracker->lock);
    const bool stopping = tracker->stopping;
    pthread_mutex_unlock(&tracker->lock);
    return stopping;
}

struct begun {
    struct goprofd_tracker *tracker;
    time_t at_s;
};

/* Nobody who ends waits for the whole patience of a request that was under way. */
static int give_up_when_stopping(void *context, curl_off_t download, curl_off_t downloaded, curl_off_t upload,
                                 curl_off_t uploaded)
{
    const struct begun *begun = context;
    (void)download;
    (void)downloaded;
    (void)upload;
    (void)uploaded;
    return is_stopping(begun->tracker) && now_s() - begun->at_s > FAREWELL_TIMEOUT_MS / 1000;
}

/* The status, or 0 if there was no answer. */
static long post(struct goprofd_tracker *tracker, CURL *curl, const struct bytes *body)
{
    struct begun begun = {.tracker = tracker, .at_s = now_s()};
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/msgpack");
    long status = 0;
    if (headers != NULL && tracker->authorization != NULL) {
        struct curl_slist *more = curl_slist_append(headers, tracker->authorization);
        headers = more != NULL ? more : headers;
    }
    curl_easy_setopt(curl, CURLOPT_URL, tracker->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->at);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body->length);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, is_stopping(tracker) ? (long)FAREWELL_TIMEOUT_MS : (long)REQUEST_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, give_up_when_stopping);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &begun);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* goprofd is on this host */
    if (tracker->socket_path != NULL)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, tracker->socket_path);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_reset(curl);
    curl_slist_free_all(headers);
    return status;
}

/* The sending thread's alone. */
struct sender {
    struct goprofd_tracker *tracker;
    CURL *curl;
    struct bytes body;
    bool waiting; /* the body was not acknowledged yet */
    uint64_t sequence;
    time_t sent_s;
};

static void note(struct goprofd_tracker *tracker, bool ok)
{
    pthread_mutex_lock(&tracker->lock);
    if (ok)
        tracker->sent++;
    else
        tracker->failed++;
    pthread_mutex_unlock(&tracker->lock);
}

static void flush(struct sender *sender)
{
    struct goprofd_tracker *tracker = sender->tracker;
    if (!sender->waiting) {
        sender->body.failed = false;
        const size_t records = encode_fresh(tracker, &sender->body, sender->sequence + 1);
        if (sender->body.failed ||
            (records == 0 && sender->sequence > 0 && now_s() - sender->sent_s < HEARTBEAT_S))
            return;
        sender->sequence++;
        sender->waiting = true;
    }
    long status = post(tracker, sender->curl, &sender->body);
    if (status == 412) {
        sender->body.failed = false;
        encode_totals(tracker, &sender->body, sender->sequence + 1);
        if (sender->body.failed)
            return; /* what is there now is wanted no more: the next answer is 412 again */
        sender->sequence++;
        status = post(tracker, sender->curl, &sender->body);
    }
    note(tracker, status == 200);
    if (status == 200)
        sender->sent_s = now_s();
    if (status == 200 || status == 400 || status == 413 || status == 415)
        sender->waiting = false; /* what was refused would be refused again */
}

/* Waits for the next batch; false: the last one. */
static bool wait_for_interval(struct goprofd_tracker *tracker)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += tracker->interval_ms / 1000;
    until.tv_nsec += (long)(tracker->interval_ms % 1000) * NS_PER_MS;
    if (until.tv_nsec >= 1000L * NS_PER_MS) {
        until.tv_nsec -= 1000L * NS_PER_MS;
        until.tv_sec++;
    }
    pthread_mutex_lock(&tracker->lock);
    int status = 0;
    while (!tracker->stopping && status == 0)
        status = pthread_cond_timedwait(&tracker->wake, &tracker->lock, &until);
    const bool stopping = tracker->stopping;
    pthread_mutex_unlock(&tracker->lock);
    return !stopping;
}

static void *run(void *context)
{
    struct sender sender = {.tracker = context, .curl = curl_easy_init()};
    if (sender.curl == NULL)
        return NULL;
    while (wait_for_interval(sender.tracker))
        flush(&sender);
    flush(&sender);
    if (!sender.waiting)
        flush(&sender); /* what was tracked while an older batch waited */
    curl_easy_cleanup(sender.curl);
    free(sender.body.at);
    return NULL;
}

/* ---- counting ---- */

/* Length of the character at [text] if it is one that goprofd takes, else 0. */
static size_t plain_length(const unsigned char *text)
{
    const unsigned char c = text[0];
    const size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 9;
    if (c < 0x20 || c == 0x7f || more > 3)
        return 0;
    /* Forms that are too long, surrogates, and what lies above U+10FFFF: the second byte tells. */
    if ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] > 0x9f) || (c == 0xf0 && text[1] < 0x90) ||
        (c == 0xf4 && text[1] > 0x8f))
        return 0;
    for (size_t i = 1; i <= more; i++) {
        if ((text[i] & 0xc0) != 0x80) /* also at the end */
            return 0;
    }
    return more + 1;
}

/* A copy that goprofd takes: UTF-8 without control characters, 1 to 256 bytes. */
static char *plain_copy(const char *text)
{
    char *copy = calloc(1, TEXT_MAX_BYTES + 1);
    size_t length = 0;
    if (copy == NULL)
        return NULL;
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
        const size_t width = plain_length(at);
        const size_t wanted = width > 0 ? width : 1;
        if (length + wanted > TEXT_MAX_BYTES)
            break;
        memcpy(copy + length, width > 0 ? (const char *)at : "?", wanted);
        length += wanted;
        at += wanted;
    }
    if (length == 0)
        memcpy(copy, "unknown", sizeof("unknown"));
    return copy;
}

/* FNV-1a; of 2048 groups two have one hash once in 10^13 programs. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return (hash ^ 0xff) * UINT64_C(1099511628211);
}

static struct group *new_group(struct goprofd_tracker *tracker, const char *type, const char *tag,
                               uint64_t hash)
{
    struct group *group = &tracker->groups[tracker->group_count];
    *group = (struct group){.type = plain_copy(type), .tag = plain_copy(tag), .hash = hash};
    if (group->type == NULL || group->tag == NULL) {
        free(group->type);
        free(group->tag);
        return NULL;
    }
    tracker->group_count++;
    tracker->text_bytes += strlen(group->type) + strlen(group->tag);
    return group;
}

/* With the lock held; NULL without memory. */
static struct group *group_for(struct goprofd_tracker *tracker, const char *type, const char *tag)
{
    const uint64_t hash = hash_text(hash_text(UINT64_C(14695981039346656037), type), tag);
    size_t at = (hash ^ hash >> 32) & (SLOTS - 1);
    for (; tracker->slots[at] != 0; at = (at + 1) & (SLOTS - 1)) {
        if (tracker->groups[tracker->slots[at] - 1].hash == hash)
            return &tracker->groups[tracker->slots[at] - 1];
    }
    const bool is_full = tracker->group_count >= GROUPS_MAX - 1 ||
                         tracker->text_bytes > TEXTS_MAX_BYTES - 2 * TEXT_MAX_BYTES;
    if (is_full && (strcmp(type, "other") != 0 || strcmp(tag, "other") != 0))
        return group_for(tracker, "other", "other");
    if (tracker->group_count == GROUPS_MAX)
        return &tracker->groups[GROUPS_MAX - 1];
    struct group *group = new_group(tracker, type, tag, hash);
    if (group != NULL)
        tracker->slots[at] = (uint16_t)tracker->group_count;
    return group;
}

void goprofd_track_allocation(struct goprofd_tracker *tracker, const char *type, const char *tag,
                              size_t bytes)
{
    if (tracker == NULL || type == NULL || tag == NULL)
        return;
    pthread_mutex_lock(&tracker->lock);
    struct group *group = group_for(tracker, type, tag);
    if (group != NULL)
        add(&group->fresh, &(struct counts){.alloc_objects = 1, .alloc_bytes = bytes});
    pthread_mutex_unlock(&tracker->lock);
}

void goprofd_track_free(struct goprofd_tracker *tracker, const char *type, const char *tag,
                        size_t bytes)
{
    if (tracker == NULL || type == NULL || tag == NULL)
        return;
    pthread_mutex_lock(&tracker->lock);
    struct group *group = group_for(tracker, type, tag);
    if (group != NULL)
        add(&group->fresh, &(struct counts){.free_objects = 1, .free_bytes = bytes});
    pthread_mutex_unlock(&tracker->lock);
}

/* ---- life ---- */

static const char name_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

/* A header ends where a line does. */
static bool is_one_line(const char *token)
{
    for (; *token != '\0'; token++) {
        if ((unsigned char)*token < 0x20 || *token == 0x7f)
            return false;
    }
    return true;
}

static bool is_name(const char *name)
{
    const size_t length = strlen(name);
    return length > 0 && length <= TARGET_MAX_BYTES && name[0] != '.' && strcmp(name, "all") != 0 &&
           strspn(name, name_letters) == length;
}

static char *join(const char *left, const char *right)
{
    char *joined = malloc(strlen(left) + strlen(right) + 1);
    if (joined != NULL) {
        memcpy(joined, left, strlen(left));
        memcpy(joined + strlen(left), right, strlen(right) + 1);
    }
    return joined;
}

static bool set_address(struct goprofd_tracker *tracker, const char *url)
{
    if (url == NULL)
        url = "http://127.0.0.1:8080";
    if (strncmp(url, "unix:", 5) == 0) {
        tracker->socket_path = strdup(url + 5);
        tracker->url = strdup("http://goprofd/v1/track");
        return tracker->socket_path != NULL && tracker->url != NULL && url[5] == '/';
    }
    const size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    if (scheme == 0 || url[scheme] == '\0' || url[scheme] == '/')
        return false;
    const bool slash = url[strlen(url) - 1] == '/';
    tracker->url = join(url, slash ? "v1/track" : "/v1/track");
    return tracker->url != NULL;
}

static void release(struct goprofd_tracker *tracker)
{
    for (size_t i = 0; i < tracker->group_count; i++) {
        free(tracker->groups[i].type);
        free(tracker->groups[i].tag);
    }
    free(tracker->url);
    free(tracker->socket_path);
    free(tracker->target);
    free(tracker->authorization);
    free(tracker);
}

/* What makes a name of the program's, as the client for Go does it; NULL without memory. */
static char *default_name(const char *program)
{
    char *name = calloc(1, TARGET_MAX_BYTES + 2);
    if (name == NULL)
        return NULL;
    while (*program == '.')
        program++;
    if (*program == '\0' || strcmp(program, "all") == 0)
        name[0] = 'x';
    for (size_t i = strlen(name); *program != '\0' && i < TARGET_MAX_BYTES; program++)
        name[i++] = strchr(name_letters, *program) != NULL ? *program : '_';
    return name;
}

static bool set_options(struct goprofd_tracker *tracker, const struct goprofd_options *options)
{
    tracker->target = options->target != NULL ? strdup(options->target) : default_name(program_invocation_short_name);
    tracker->interval_ms = options->interval_ms > 0 ? options->interval_ms : INTERVAL_DEFAULT_MS;
    if (options->token != NULL)
        tracker->authorization = join("Authorization: Bearer ", options->token);
    return tracker->target != NULL && is_name(tracker->target) &&
           (options->token == NULL || (tracker->authorization != NULL && is_one_line(options->token))) &&
           set_address(tracker, options->url) &&
           getrandom(&tracker->instance, sizeof(tracker->instance), 0) == sizeof(tracker->instance);
}

static bool start(struct goprofd_tracker *tracker)
{
    pthread_condattr_t monotonic;
    if (pthread_condattr_init(&monotonic) != 0)
        return false;
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&tracker->lock, NULL);
    pthread_cond_init(&tracker->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    /* The program's signals are not for its guest: a thread that takes none takes none away from sigwait(). */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&tracker->thread, NULL, run, tracker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0)
        return true;
    pthread_cond_destroy(&tracker->wake);
    pthread_mutex_destroy(&tracker->lock);
    return false;
}

struct goprofd_tracker *goprofd_tracker_new(const struct goprofd_options *options)
{
    static const struct goprofd_options defaults = {.url = NULL};
    struct goprofd_tracker *tracker = calloc(1, sizeof(*tracker));
    if (tracker == NULL)
        return NULL;
    if (set_options(tracker, options != NULL ? options : &defaults) &&
        curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && start(tracker))
        return tracker;
    release(tracker);
    return NULL;
}

static unsigned long long locked(struct goprofd_tracker *tracker, const unsigned long long *number)
{
    pthread_mutex_lock(&tracker->lock);
    const unsigned long long value = *number;
    pthread_mutex_unlock(&tracker->lock);
    return value;
}

unsigned long long goprofd_tracker_sent(struct goprofd_tracker *tracker)
{
    return tracker != NULL ? locked(tracker, &tracker->sent) : 0;
}

unsigned long long goprofd_tracker_failed(struct goprofd_tracker *tracker)
{
    return tracker != NULL ? locked(tracker, &tracker->failed) : 0;
}

void goprofd_tracker_free(struct goprofd_tracker *tracker)
{
    if (tracker == NULL)
        return;
    pthread_mutex_lock(&tracker->lock);
    tracker->stopping = true;
    pthread_cond_signal(&tracker->wake);
    pthread_mutex_unlock(&tracker->lock);
    pthread_join(tracker->thread, NULL);
    pthread_cond_destroy(&tracker->wake);
    pthread_mutex_destroy(&tracker->lock);
    release(tracker);
}
