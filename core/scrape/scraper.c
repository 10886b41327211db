/* scraper.c - the thread that fetches net/http/pprof of programs elsewhere.
 *
 *   waiting --due--> heap --> heap?debug=1 --> cmdline --> result posted --> waiting
 *                      \-- no answer at all: failed ----------^
 *
 * Everything but a program's mailbox is the scraping thread's own once it runs. */
#include "core/scrape/scraper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/pprof/profile_reader.h"
#include "core/scrape/scrape_result.h"
#include "core/transport/transport.h"

enum {
    LOOK_EVERY_MS = 500, /* the thread sleeps no longer than this */
    CMDLINE_MAX_BYTES = 64 << 10,
    URL_ROOM = 2304, /* of a config's URL, and what is put behind it */
};
#define PAUSE_FIRST_NS (1 * CLOCK_NS_PER_S)
#define PAUSE_LAST_NS (60 * CLOCK_NS_PER_S)

/* What is asked for, in this order. */
enum part { PART_HEAP, PART_STATS, PART_CMDLINE, PART_COUNT };

struct scrape {
    struct scrape *next;
    struct scraper *scraper;
    char *url; /* of the profiles, without '/' at its end */
    struct transport_access access;
    uint64_t interval_ns;
    struct mailbox *results; /* of one message: the newest replaces one not taken */
    uint64_t due_ns;
    uint64_t pause_ns; /* after the last failure; 0: it did not fail */
    uint64_t began_ns;
    bool busy;
    enum part part;               /* that is under way */
    struct scrape_result *result; /* of the scrape under way */
};

struct scraper {
    struct transport *transport;
    struct scrape *scrapes;
    size_t active;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
};

void scrape_result_free(struct scrape_result *result)
{
    if (result == NULL)
        return;
    profile_reader_free(result->profile);
    free(result->cmdline);
    free(result);
}

static void release_result(struct message *message)
{
    scrape_result_free((struct scrape_result *)(void *)message);
}

uint64_t scrape_pause_ns(uint64_t last_pause_ns)
{
    if (last_pause_ns == 0)
        return PAUSE_FIRST_NS;
    return last_pause_ns >= PAUSE_LAST_NS / 2 ? PAUSE_LAST_NS : last_pause_ns * 2;
}

/* ---- what came ---- */

static void end_scrape(struct scrape *scrape)
{
    struct scrape_result *result = scrape->result;
    const uint64_t now_ns = clock_monotonic_ns();
    const bool ok = result->profile != NULL || result->has_stats;
    if (result->monotonic_ns == 0) {
        result->monotonic_ns = now_ns;
        result->realtime_ns = clock_realtime_ns();
    }
    result->duration_ns = now_ns - scrape->began_ns;
    scrape->pause_ns = ok ? 0 : scrape_pause_ns(scrape->pause_ns);
    /* A program that is slow to answer is left alone for as long as it took. */
    const uint64_t next_ns = scrape->began_ns + scrape->interval_ns;
    const uint64_t rested_ns = now_ns + result->duration_ns;
    scrape->due_ns = !ok ? now_ns + scrape->pause_ns : next_ns > rested_ns ? next_ns : rested_ns;
    scrape->busy = false;
    scrape->result = NULL;
    scrape->scraper->active--;
    (void)mailbox_post(scrape->results, &result->message);
}

/* Why an answer is none, named with what was asked. */
static void explain(const struct scrape *scrape, const char *what,
                    const struct transfer_result *transfer, struct error *err)
{
    enum { UNAUTHORIZED = 401, FORBIDDEN = 403, NOT_FOUND = 404 };
    const long status = transfer->status;
    if (status == 0)
        (void)error_set(err, ERROR_SYSTEM, "GET %.100s: %s", scrape->url, transfer->detail);
    else if (status == UNAUTHORIZED || status == FORBIDDEN)
        (void)error_set(err, ERROR_DENIED,
                        "GET %.100s%s: status %ld; set bearer_token_file or basic_auth_file of the target",
                        scrape->url, what, status);
    else if (status == NOT_FOUND)
        (void)error_set(err, ERROR_UNSUPPORTED,
                        "GET %.100s%s: status 404; does the program import net/http/pprof?",
                        scrape->url, what);
    else if (status >= 300 && status < 400)
        (void)error_set(err, ERROR_UNSUPPORTED,
                        "GET %.100s%s: status %ld, and redirects are not followed; put its URL into the config",
                        scrape->url, what, status);
    else
        (void)error_set(err, ERROR_SYSTEM, "GET %.100s%s: status %ld: %.100s", scrape->url, what,
                        status, transfer->detail);
}

static const char *const part_paths[PART_COUNT] = {"/heap", "/heap?debug=1", "/cmdline"};

static bool is_there(const struct transfer_result *transfer)
{
    return transfer->status == 200;
}

static void take_heap(struct scrape *scrape, const struct transfer_result *transfer)
{
    struct scrape_result *result = scrape->result;
    result->monotonic_ns = clock_monotonic_ns();
    result->realtime_ns = clock_realtime_ns();
    if (!is_there(transfer)) {
        explain(scrape, part_paths[PART_HEAP], transfer, &result->profile_error);
        return;
    }
    result->profile = profile_reader_parse(transfer->body->data, transfer->body->length,
                                           &result->profile_error);
    if (result->profile == NULL)
        (void)error_wrap(&result->profile_error, "GET %.100s%s", scrape->url, part_paths[PART_HEAP]);
}

static void take_stats(struct scrape *scrape, const struct transfer_result *transfer)
{
    struct scrape_result *result = scrape->result;
    if (!is_there(transfer)) {
        explain(scrape, part_paths[PART_STATS], transfer, &result->stats_error);
        return;
    }
    result->has_stats = memstats_text_parse(transfer->body->data, transfer->body->length,
                                            &result->stats, &result->stats_error);
    if (!result->has_stats)
        (void)error_wrap(&result->stats_error, "GET %.100s%s", scrape->url, part_paths[PART_STATS]);
}

/* Only shown: without it the target has no command. */
static void take_cmdline(struct scrape *scrape, const struct transfer_result *transfer)
{
    if (is_there(transfer) && transfer->body->length > 0)
        scrape->result->cmdline = buffer_detach(transfer->body, &scrape->result->cmdline_length);
}

/* ---- what is asked ---- */

static void on_done(void *context, const struct transfer_result *transfer);

/* Asks for scrape->part, or ends the scrape. */
static void ask(struct scrape *scrape)
{
    char url[URL_ROOM];
    struct scrape_result *result = scrape->result;
    if (scrape->part == PART_COUNT) {
        end_scrape(scrape);
        return;
    }
    (void)snprintf(url, sizeof(url), "%s%s", scrape->url, part_paths[scrape->part]);
    const size_t max_bytes =
        scrape->part == PART_CMDLINE ? CMDLINE_MAX_BYTES : SCRAPE_ANSWER_MAX_BYTES;
    struct error err;
    if (transport_get(scrape->scraper->transport, &scrape->access, url, max_bytes, on_done, scrape,
                      &err))
        return;
    if (scrape->part == PART_HEAP)
        result->profile_error = err;
    else if (scrape->part == PART_STATS)
        result->stats_error = err;
    end_scrape(scrape);
}

static void on_done(void *context, const struct transfer_result *transfer)
{
    struct scrape *scrape = context;
    struct scrape_result *result = scrape->result;
    result->bytes += transfer->body->length;
    switch (scrape->part) {
    case PART_HEAP:
        take_heap(scrape, transfer);
        break;
    case PART_STATS:
        take_stats(scrape, transfer);
        break;
    default:
        take_cmdline(scrape, transfer);
        break;
    }
    /* Who does not answer is not asked twice; who answers nonsense is not asked its name. */
    const bool nobody = scrape->part == PART_HEAP && transfer->status == 0 && result->bytes == 0;
    const bool nonsense = scrape->part == PART_STATS && result->profile == NULL && !result->has_stats;
    scrape->part = nobody || nonsense ? PART_COUNT : scrape->part + 1;
    if (nobody)
        result->stats_error = result->profile_error;
    ask(scrape);
}

static void begin_scrape(struct scrape *scrape, uint64_t now_ns)
{
    scrape->result = calloc(1, sizeof(*scrape->result));
    if (scrape->result == NULL) {
        log_warn(log_msg("no memory to scrape a target"), log_str("url", scrape->url));
        scrape->due_ns = now_ns + scrape->interval_ns;
        return;
    }
    scrape->busy = true;
    scrape->began_ns = now_ns;
    scrape->part = PART_HEAP;
    scrape->scraper->active++;
    ask(scrape);
}

/* ---- the thread ---- */

/* Begins what is due, those that wait longest first; returns how long nothing will be. */
static int begin_due(struct scraper *scraper)
{
    for (;;) {
        const uint64_t now_ns = clock_monotonic_ns();
        struct scrape *first = NULL;
        for (struct scrape *scrape = scraper->scrapes; scrape != NULL; scrape = scrape->next) {
            if (!scrape->busy && (first == NULL || scrape->due_ns < first->due_ns))
                first = scrape;
        }
        if (first == NULL || scraper->active >= SCRAPES_AT_ONCE)
            return LOOK_EVERY_MS;
        if (first->due_ns > now_ns) {
            const uint64_t pause_ms = (first->due_ns - now_ns) / CLOCK_NS_PER_MS + 1;
            return pause_ms < LOOK_EVERY_MS ? (int)pause_ms : LOOK_EVERY_MS;
        }
        begin_scrape(first, now_ns);
    }
}

static void *scraper_main(void *argument)
{
    struct scraper *scraper = argument;
    while (!atomic_load_explicit(&scraper->stopping, memory_order_acquire))
        transport_run(scraper->transport, begin_due(scraper));
    return NULL;
}

/* ---- life ---- */

struct scraper *scraper_new(struct error *err)
{
    struct scraper *scraper = calloc(1, sizeof(*scraper));
    if (scraper == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory to scrape targets");
        return NULL;
    }
    scraper->transport = transport_new(err);
    if (scraper->transport == NULL) {
        free(scraper);
        return NULL;
    }
    return scraper;
}

static void scrape_free(struct scrape *scrape)
{
    if (scrape == NULL)
        return;
    scrape_result_free(scrape->result);
    if (scrape->results != NULL)
        mailbox_free(scrape->results);
    free(scrape->url);
    free(scrape);
}

/* [length] without [suffix], if it ends so. */
static size_t cut(const char *url, size_t length, const char *suffix)
{
    const size_t cut_length = strlen(suffix);
    return length > cut_length && memcmp(url + length - cut_length, suffix, cut_length) == 0
               ? length - cut_length
               : length;
}

/* The folder of the profiles: as given if it says so itself, else where net/http/pprof puts it.  The URL of the
 * heap profile, as one has it from a browser, is meant for its folder, too. */
static char *profiles_url(const char *url)
{
    static const char folder[] = "/debug/pprof";
    size_t length = strlen(url);
    while (length > 0 && url[length - 1] == '/')
        length--;
    length = cut(url, length, "/debug/pprof/heap");
    length = cut(url, length, folder);
    char *copy = malloc(length + sizeof(folder));
    if (copy != NULL)
        (void)snprintf(copy, length + sizeof(folder), "%.*s%s", (int)length, url, folder);
    return copy;
}

struct scrape *scraper_add(struct scraper *scraper, const struct config_target *target,
                           uint64_t interval_ns, struct error *err)
{
    const struct config_scrape *settings = &target->scrape;
    struct scrape *scrape = calloc(1, sizeof(*scrape));
    if (scrape != NULL) {
        scrape->url = profiles_url(target->url);
        scrape->results = mailbox_new(1, release_result);
    }
    if (scrape == NULL || scrape->url == NULL || scrape->results == NULL) {
        scrape_free(scrape);
        (void)error_set(err, ERROR_NO_MEMORY, "no memory to scrape %s", target->url);
        return NULL;
    }
    scrape->scraper = scraper;
    scrape->interval_ns = settings->interval_ns != 0 ? settings->interval_ns : interval_ns;
    scrape->access = (struct transport_access){.timeout_ns = settings->timeout_ns,
                                               .bearer_token_file = settings->bearer_token_file,
                                               .basic_auth_file = settings->basic_auth_file,
                                               .ca_file = settings->ca_file,
                                               .cert_file = settings->cert_file,
                                               .key_file = settings->key_file};
    scrape->next = scraper->scrapes;
    scraper->scrapes = scrape;
    return scrape;
}

bool scraper_start(struct scraper *scraper, struct error *err)
{
    const int failed = pthread_create(&scraper->thread, NULL, scraper_main, scraper);
    if (failed != 0)
        return error_set(err, ERROR_SYSTEM, "start the scraping thread: %s",
                         error_errno_text(failed));
    (void)pthread_setname_np(scraper->thread, "scraper");
    scraper->started = true;
    return true;
}

void scraper_stop(struct scraper *scraper)
{
    if (!scraper->started)
        return;
    atomic_store_explicit(&scraper->stopping, true, memory_order_release);
    transport_wake(scraper->transport);
    pthread_join(scraper->thread, NULL);
    scraper->started = false;
}

void scraper_free(struct scraper *scraper)
{
    if (scraper == NULL)
        return;
    scraper_stop(scraper);
    transport_free(scraper->transport);
    while (scraper->scrapes != NULL) {
        struct scrape *scrape = scraper->scrapes;
        scraper->scrapes = scrape->next;
        scrape_free(scrape);
    }
    free(scraper);
}

struct scrape_result *scrape_take(struct scrape *scrape)
{
    return (struct scrape_result *)(void *)mailbox_take(scrape->results, 0);
}

const char *scrape_url(const struct scrape *scrape)
{
    return scrape->url;
}
