/* findings.c - what the rules found, filtered, and how the rules themselves are doing. */
#include "http/handlers.h"

#include "core/base/json.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/server.h"
#include "http/view_json.h"

static bool is_wanted(const struct query *query, const struct finding *finding,
                      enum finding_kind kind, const struct target_view *only)
{
    if (finding->kind != kind || (query->severities & (1U << finding->severity)) == 0 ||
        (query->states & (1U << finding->state)) == 0)
        return false;
    if (query->rule != NULL && strcmp(query->rule, finding->rule) != 0)
        return false;
    return only == NULL || strcmp(only->info->facts.id, finding->target) == 0;
}

static void reply_findings(struct request *request, enum finding_kind kind,
                           void (*view)(struct json *json, const struct finding *finding))
{
    const struct target_view *only = NULL;
    if (!request_target_or_all(request, &only))
        return;
    const struct finding_set *set = board_findings(request->wiring->board);
    struct buffer out;
    struct json json;
    buffer_init(&out, REPLY_MAX_BYTES);
    json_init(&json, &out);
    json_begin_array(&json);
    for (size_t i = 0; i < set->count; i++) {
        if (is_wanted(&request->query, &set->findings[i], kind, only))
            view(&json, &set->findings[i]);
    }
    json_end_array(&json);
    finding_set_unref(set);
    reply_buffer(request->req, 200, CONTENT_TYPE_JSON, &out);
}

void handle_suggestions(struct request *request)
{
    reply_findings(request, FINDING_SUGGESTION, view_json_suggestion);
}

void handle_alerts(struct request *request)
{
    reply_findings(request, FINDING_ALERT, view_json_alert);
}

void handle_rules(struct request *request)
{
    const struct rules_report *report = board_rules(request->wiring->board);
    if (report == NULL) {
        reply_error(request->req, 503, "the rules are not loaded yet");
        return;
    }
    struct buffer out;
    struct json json;
    buffer_init(&out, REPLY_MAX_BYTES);
    json_init(&json, &out);
    view_json_rules(&json, report);
    rules_report_unref(report);
    reply_buffer(request->req, 200, CONTENT_TYPE_JSON, &out);
}
