/* metrics.c - GET /metrics: rendered once for each page and set of findings. */
#include "http/handlers.h"

#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/target_info.h"
#include "http/cache.h"
#include "http/loop.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/self_stats.h"
#include "http/view_openmetrics.h"
#include "http/view_prometheus.h"

/* Counters move between beats, and should no beat come at all they must not stand still. */
enum { METRICS_MAX_AGE_MS = 1000 };

static struct body *render(struct request *request, const struct finding_set *findings)
{
    const struct board_page *page = request_page(request);
    uint64_t *captures = calloc(page->target_count + 1, sizeof(*captures));
    if (captures == NULL)
        return NULL;
    for (size_t i = 0; i < page->target_count; i++)
        captures[i] = board_capture_count(request->wiring->board, page->targets[i].info->facts.id);
    struct self_stats self;
    self_stats_read(&self);

    const struct rules_report *rules = board_rules(request->wiring->board);
    struct buffer out;
    buffer_init(&out, REPLY_MAX_BYTES);
    const struct prometheus_source source = {
        .page = page,
        .findings = findings,
        .counters = board_counters(request->wiring->board),
        .self = &self,
        .latency = request->wiring->latency,
        .captures = captures,
        .rules = rules,
    };
    view_prometheus(&out, &source);
    rules_report_unref(rules);
    free(captures);
    return body_new(&out, CONTENT_TYPE_PROMETHEUS);
}

/* The OpenMetrics form of [body]. */
static struct body *convert(const struct body *body)
{
    struct buffer out;
    if (body == NULL)
        return NULL;
    buffer_init(&out, REPLY_MAX_BYTES);
    view_openmetrics(&out, body->bytes, body->length);
    return body_new(&out, CONTENT_TYPE_OPENMETRICS);
}

/* By name only, and not after Prometheus' own text: who takes anything gets what everybody reads. */
static bool wants_openmetrics(h2o_req_t *req)
{
    const h2o_iovec_t accept = reply_list_header(req, H2O_TOKEN_ACCEPT);
    return accept.base != NULL && accept_asks_openmetrics(accept.base, accept.len);
}

/* Like client_golang, an Accept that names neither form is answered with the text format; a scraper
 * reads the content type. */
void handle_metrics(struct request *request)
{
    const struct finding_set *findings = board_findings(request->wiring->board);
    const bool openmetrics = wants_openmetrics(request->req);
    const struct cache_key key = {.kind = openmetrics ? CACHE_OPENMETRICS : CACHE_METRICS,
                                  .page = request_page(request),
                                  .findings = findings};
    const uint64_t now_ms = loop_now_ms(request->loop);
    struct body *body = cache_find(request->loop->cache, &key, now_ms);
    if (body != NULL && now_ms - body->made_ms < METRICS_MAX_AGE_MS) {
        reply_body(request->req, 200, body);
        finding_set_unref(findings);
        return;
    }
    body = render(request, findings);
    if (openmetrics) {
        struct body *text = body;
        body = convert(text);
        body_unref(text);
    }
    if (body == NULL) {
        reply_error(request->req, 500, "out of memory");
    } else {
        body->made_ms = now_ms;
        cache_put(request->loop->cache, &key, body, now_ms);
        reply_body(request->req, 200, body);
        body_unref(body);
    }
    finding_set_unref(findings);
}
