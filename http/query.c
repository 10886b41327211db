/* query.c - parses and checks the query string.  Called by the dispatcher on a loop thread. */
#include "http/query.h"

#include "core/base/clock.h"
#include "core/base/config.h"
#include "http/stream_hub.h"

const struct param_info query_params[PARAM_COUNT] = {
    [PARAM_TARGET] =
        {"target", "id or name of a target",
         "Which target; without it the only one, else the configured default, else the "
         "first. Lists then span all targets"},
    [PARAM_LIMIT] = {"limit", "a whole number from 0 to the path's maximum",
                     "Most entries returned"},
    [PARAM_SINCE] = {"since", "RFC 3339 time or Unix seconds, 1970 to 2554", "Only from this instant on"},
    [PARAM_UNTIL] = {"until", "RFC 3339 time or Unix seconds, 1970 to 2554", "Only up to this instant"},
    [PARAM_FIELDS] = {"fields", "comma-separated names of snapshot fields",
                      "Only these numbers; the top lists are then left out"},
    [PARAM_BY] = {"by", "type_tag, site, type, tag or package", "How allocation sites are grouped"},
    [PARAM_SEVERITY] = {"severity", "info, warning, critical, or several with commas",
                        "Only findings of these severities"},
    [PARAM_STATE] = {"state", "pending, firing, resolved, or several with commas",
                     "Only findings in these states"},
    [PARAM_RULE] = {"rule", "name of a rule", "Only findings of this rule"},
    [PARAM_FORMAT] = {"format", "json or msgpack; of differences pprof, flamegraph or text",
                      "Form of the answer, whatever Accept says"},
    [PARAM_DEBUG] = {"debug", "0, 1 or 2",
                     "1: the text form of net/http/pprof instead of gzipped protobuf; 2: of "
                     "goroutines one by one"},
    [PARAM_AT] = {"at", "RFC 3339 time, Unix seconds, or -DURATION such as -5m",
                  "The profile as it was then: the newest taken until that instant"},
    [PARAM_FROM] = {"from", "RFC 3339 time, Unix seconds, or -DURATION such as -5m",
                    "The earlier of two instants"},
    [PARAM_TO] = {"to", "RFC 3339 time, Unix seconds, or -DURATION such as -5m",
                  "The later one; without it now"},
    [PARAM_STEP] = {"step", "a duration from 1s to 30d, such as 10s or 5m",
                    "One object for so long a time, with min, max and avg of each number"},
    [PARAM_WINDOW] = {"window", "a duration from 1s to 30d, such as 10s or 5m",
                      "Only what was allocated, or is held more, since so long ago"},
    [PARAM_EVENTS] = {"events", "snapshot, alert, suggestion, capture, or several with commas",
                      "Only events of these kinds"},
};

enum { SHOWN_MAX_BYTES = 64, STEP_MAX_S = 30 * 86400 }; /* of a client's text in an error message */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool query_decode(const char *text, size_t length, bool plus_is_space, char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '+' && plus_is_space) {
            c = ' ';
        } else if (c == '%') {
            const int high = length - i > 2 ? hex_digit(text[i + 1]) : -1;
            const int low = high != -1 ? hex_digit(text[i + 2]) : -1;
            if (low == -1)
                return false;
            c = (char)(unsigned char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0' || used + 1 >= size)
            return false;
        out[used++] = c;
    }
    if (used >= size)
        return false;
    out[used] = '\0';
    return true;
}

static bool fail_value(const struct param_info *param, const char *found, struct error *err)
{
    return error_set(err, ERROR_USAGE, "parameter %s: found \"%.*s\", allowed: %s", param->name,
                     SHOWN_MAX_BYTES, found, param->allowed);
}

static bool parse_limit(const char *text, size_t max, size_t *limit, struct error *err)
{
    size_t value = 0;
    const char *digit = text;
    for (; *digit >= '0' && *digit <= '9' && value <= max; digit++)
        value = value * 10 + (size_t)(*digit - '0');
    if (*digit != '\0' || digit == text || value > max)
        return error_set(err, ERROR_USAGE,
                         "parameter limit: found \"%.*s\", allowed: a whole number from 0 to %zu",
                         SHOWN_MAX_BYTES, text, max);
    *limit = value;
    return true;
}

/* Walks a comma-separated list in place.  Returns the next item, or NULL at the end. */
static char *next_item(char **cursor)
{
    char *item = *cursor;
    if (item == NULL)
        return NULL;
    char *comma = strchr(item, ',');
    if (comma != NULL)
        *comma++ = '\0';
    *cursor = comma;
    return item;
}

static bool parse_severities(char *text, unsigned *severities, struct error *err)
{
    *severities = 0;
    for (char *item = next_item(&text); item != NULL; item = next_item(&text)) {
        enum severity severity;
        if (!severity_parse(item, &severity))
            return fail_value(&query_params[PARAM_SEVERITY], item, err);
        *severities |= 1U << severity;
    }
    return true;
}

static bool parse_states(char *text, unsigned *states, struct error *err)
{
    *states = 0;
    for (char *item = next_item(&text); item != NULL; item = next_item(&text)) {
        enum finding_state state;
        if (!finding_state_parse(item, &state))
            return fail_value(&query_params[PARAM_STATE], item, err);
        *states |= 1U << state;
    }
    return true;
}

static bool parse_events(char *text, unsigned *kinds, struct error *err)
{
    *kinds = 0;
    for (char *item = next_item(&text); item != NULL; item = next_item(&text)) {
        enum stream_kind kind;
        if (!stream_kind_parse(item, &kind))
            return fail_value(&query_params[PARAM_EVENTS], item, err);
        *kinds |= 1U << kind;
    }
    return true;
}

static bool parse_fields(char *text, uint64_t *wanted, struct error *err)
{
    memset(wanted, 0, sizeof(*wanted) * SNAPSHOT_PRESENT_WORDS);
    for (char *item = next_item(&text); item != NULL; item = next_item(&text)) {
        const struct field *field = snapshot_field_find(item);
        if (field == NULL)
            return error_set(err, ERROR_USAGE,
                             "parameter fields: found \"%.*s\", allowed: names of snapshot fields, "
                             "as GET /v1/metrics/latest shows them",
                             SHOWN_MAX_BYTES, item);
        const size_t index = (size_t)(field - snapshot_fields);
        wanted[index / 64] |= UINT64_C(1) << (index % 64);
    }
    return true;
}

static bool parse_time(const struct param_info *param, const char *text, uint64_t *realtime_ns,
                       struct error *err)
{
    return clock_parse_time(text, realtime_ns) ? true : fail_value(param, text, err);
}

static bool parse_instant(const struct param_info *param, const char *text, struct query_time *time,
                          struct error *err)
{
    time->before_now = text[0] == '-';
    const bool ok = time->before_now ? config_parse_duration(text + 1, &time->ns)
                                     : clock_parse_time(text, &time->ns);
    return ok ? true : fail_value(param, text, err);
}

uint64_t query_time_ns(const struct query_time *time, uint64_t now_realtime_ns)
{
    if (!time->before_now)
        return time->ns;
    return time->ns < now_realtime_ns ? now_realtime_ns - time->ns : 0;
}

static bool parse_step(const struct param_info *param, const char *text, uint64_t *step_ns,
                       struct error *err)
{
    const bool ok = config_parse_duration(text, step_ns) && *step_ns >= CLOCK_NS_PER_S &&
                    *step_ns <= STEP_MAX_S * CLOCK_NS_PER_S;
    return ok ? true : fail_value(param, text, err);
}

unsigned query_formats(const struct query_rules *rules)
{
    return rules->formats != 0 ? rules->formats : FORMAT_BIT(JSON) | FORMAT_BIT(MSGPACK);
}

const char *query_format_name(enum format format)
{
    static const char *const names[FORMAT_COUNT] = {[FORMAT_JSON] = "json",
                                                    [FORMAT_MSGPACK] = "msgpack",
                                                    [FORMAT_PPROF] = "pprof",
                                                    [FORMAT_FLAMEGRAPH] = "flamegraph",
                                                    [FORMAT_TEXT] = "text"};
    return names[format];
}

static bool parse_format(const char *text, const struct query_rules *rules, enum format *format,
                         struct error *err)
{
    const unsigned allowed = query_formats(rules);
    for (unsigned i = 0; i < FORMAT_COUNT; i++) {
        if ((allowed >> i & 1) != 0 && strcmp(query_format_name((enum format)i), text) == 0) {
            *format = (enum format)i;
            return true;
        }
    }
    return fail_value(&query_params[PARAM_FORMAT], text, err);
}

static bool apply(struct query *query, enum param param, char *value,
                  const struct query_rules *rules, struct error *err)
{
    const struct param_info *info = &query_params[param];
    if (value[0] == '\0')
        return fail_value(info, value, err);
    switch (param) {
    case PARAM_TARGET:
        query->target = value;
        return true;
    case PARAM_RULE:
        query->rule = value;
        return true;
    case PARAM_LIMIT:
        return parse_limit(value, rules->limit_max, &query->limit, err);
    case PARAM_SINCE:
        return parse_time(info, value, &query->since_realtime_ns, err);
    case PARAM_UNTIL:
        return parse_time(info, value, &query->until_realtime_ns, err);
    case PARAM_FIELDS:
        return parse_fields(value, query->fields, err);
    case PARAM_BY:
        return group_by_parse(value, &query->by) ? true : fail_value(info, value, err);
    case PARAM_SEVERITY:
        return parse_severities(value, &query->severities, err);
    case PARAM_STATE:
        return parse_states(value, &query->states, err);
    case PARAM_FORMAT:
        return parse_format(value, rules, &query->format, err);
    case PARAM_AT:
        return parse_instant(info, value, &query->at, err);
    case PARAM_FROM:
        return parse_instant(info, value, &query->from, err);
    case PARAM_TO:
        return parse_instant(info, value, &query->to, err);
    case PARAM_STEP:
        return parse_step(info, value, &query->step_ns, err);
    case PARAM_WINDOW:
        return parse_step(info, value, &query->window_ns, err);
    case PARAM_DEBUG:
        if (strlen(value) != 1 || value[0] < '0' || value[0] > '2')
            return fail_value(info, value, err);
        query->debug = (unsigned)(value[0] - '0');
        return true;
    case PARAM_EVENTS:
        return parse_events(value, &query->events, err);
    case PARAM_COUNT:
        break;
    }
    return error_set(err, ERROR_USAGE, "parameter %s: not known", info->name);
}

static bool fail_unknown(const char *name, unsigned allowed, struct error *err)
{
    char list[128] = "none";
    size_t used = 0;
    for (unsigned i = 0; i < PARAM_COUNT; i++) {
        if ((allowed & (1U << i)) == 0)
            continue;
        const int n = snprintf(list + used, sizeof(list) - used, "%s%s", used > 0 ? ", " : "",
                               query_params[i].name);
        if (n < 0 || (size_t)n >= sizeof(list) - used)
            break;
        used += (size_t)n;
    }
    return error_set(err, ERROR_USAGE, "parameter %.*s: not known here; allowed: %s",
                     SHOWN_MAX_BYTES, name, list);
}

/* Decodes [text] into the query's own storage.  NULL when malformed. */
static char *keep_decoded(struct query *query, const char *text, size_t length)
{
    char *out = query->text_ + query->text_used_;
    if (!query_decode(text, length, true, out, sizeof(query->text_) - query->text_used_))
        return NULL;
    query->text_used_ += strlen(out) + 1;
    return out;
}

static bool parse_pair(struct query *query, const struct query_rules *rules, const char *text,
                       size_t length, struct error *err)
{
    const char *equals = memchr(text, '=', length);
    const size_t name_length = equals == NULL ? length : (size_t)(equals - text);
    const size_t value_length = equals == NULL ? 0 : length - name_length - 1;

    const size_t before = query->text_used_;
    const char *name = keep_decoded(query, text, name_length);
    if (name == NULL)
        return error_set(err, ERROR_USAGE,
                         "query string: a parameter's name is not valid percent-encoding");
    if (name[0] == '_') {
        query->text_used_ = before;
        return true;
    }
    enum param param = 0;
    while (param < PARAM_COUNT && strcmp(query_params[param].name, name) != 0)
        param++;
    if (param == PARAM_COUNT || (rules->allowed & (1U << param)) == 0)
        return fail_unknown(name, rules->allowed, err);
    if (query->given & (1U << param))
        return error_set(err, ERROR_USAGE, "parameter %s: given more than once", name);
    query->given |= 1U << param;
    query->text_used_ = before; /* the table's name serves from here on */

    char *value = keep_decoded(query, equals == NULL ? text + length : equals + 1, value_length);
    if (value == NULL)
        return error_set(err, ERROR_USAGE, "parameter %s: not valid percent-encoding, allowed: %s",
                         query_params[param].name, query_params[param].allowed);
    return apply(query, param, value, rules, err);
}

static bool check_required(const struct query *query, const struct query_rules *rules,
                           struct error *err)
{
    for (unsigned i = 0; i < PARAM_COUNT; i++) {
        if ((rules->required & ~query->given & (1U << i)) != 0)
            return error_set(err, ERROR_USAGE, "parameter %s: missing; allowed: %s",
                             query_params[i].name, query_params[i].allowed);
    }
    return true;
}

bool query_parse(struct query *query, const struct query_rules *rules, const char *text,
                 size_t length, struct error *err)
{
    query->given = 0;
    query->target = NULL;
    query->rule = NULL;
    query->limit = rules->limit_default;
    query->since_realtime_ns = 0;
    query->until_realtime_ns = UINT64_MAX;
    memset(query->fields, 0xFF, sizeof(query->fields));
    query->by = GROUP_TYPE_TAG;
    query->severities = ~0U;
    query->states = ~0U;
    query->events = STREAM_KINDS_ALL;
    query->format = FORMAT_JSON;
    query->step_ns = 0;
    query->window_ns = 0;
    query->at = query->from = query->to = (struct query_time){.ns = 0};
    query->debug = 0;
    query->text_used_ = 0;
    if (rules->allowed & QUERY_ANY_PARAM)
        return true;
    if (length > QUERY_MAX_BYTES)
        return error_set(err, ERROR_USAGE, "query string: found %zu bytes, allowed: %d", length,
                         QUERY_MAX_BYTES);

    for (size_t at = 0; at < length;) {
        const char *end = memchr(text + at, '&', length - at);
        const size_t pair_length = end == NULL ? length - at : (size_t)(end - text) - at;
        if (pair_length > 0 && !parse_pair(query, rules, text + at, pair_length, err))
            return false;
        at += pair_length + 1;
    }
    if (query->since_realtime_ns > query->until_realtime_ns)
        return error_set(err, ERROR_USAGE, "parameter since: lies after until");
    return check_required(query, rules, err);
}
