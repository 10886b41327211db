/* view_prometheus.c - the page of numbers a scraper reads. */
#include "http/view_prometheus.h"

#include "core/base/buffer.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/profile.h"
#include "core/store/rss_parts.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "http/latency.h"
#include "http/prometheus_text.h"
#include "http/self_stats.h"

enum family {
    FAMILY_ALLOC_BYTES,
    FAMILY_GC_DURATION,
    FAMILY_GO_INFO,
    FAMILY_TARGET_INFO,
    FAMILY_RSS_PART,
    FAMILY_TOP_INUSE,
    FAMILY_CAPTURES,
    FAMILY_TARGET_UP,
    FAMILY_TARGET_STATE,
    FAMILY_SNAPSHOT_TIME,
    FAMILY_PROFILE_TIME,
    FAMILY_ALERTS,
    FAMILY_RULE_RUNS,
    FAMILY_RULE_FAILURES,
    FAMILY_RULE_SECONDS,
    FAMILY_RULE_MEMORY,
    FAMILY_RULE_SUSPENDED,
    FAMILY_HTTP_LATENCY,
    FAMILY_BUILD_INFO,
    FAMILY_CPU,
    FAMILY_RESIDENT,
    FAMILY_VIRTUAL,
    FAMILY_OPEN_FDS,
    FAMILY_MAX_FDS,
    FAMILY_THREADS,
    FAMILY_START,
    FAMILY_COUNT
};

/* clang-format off */
const struct prometheus_family prometheus_families[] = {
    [FAMILY_ALLOC_BYTES]   = {"go_memstats_alloc_bytes",               "gauge",   "target", "The same as go_memstats_heap_alloc_bytes, as client_golang has it (MemStats.Alloc)"},
    [FAMILY_GC_DURATION]   = {"go_gc_duration_seconds",                "summary", "target", "Stop-the-world pauses of GCs: their sum and number, without quantiles"},
    [FAMILY_GO_INFO]       = {"go_info",                               "gauge",   "target, version", "Go version the target was built with; always 1"},
    [FAMILY_TARGET_INFO]   = {"goprof_target_info",                    "gauge",   "target, source, exe, container_id, pod, pod_uid, pod_namespace", "Where the target runs, for joining on the label target; always 1"},
    [FAMILY_RSS_PART]      = {"goprof_rss_part_bytes",                 "gauge",   "target, part", "What the resident memory consists of; the parts of a target add up to goprof_rss_bytes"},
    [FAMILY_TOP_INUSE]     = {"goprof_top_inuse_bytes",                "gauge",   "target, type_name, tag", "Live bytes of the largest groups of allocation sites, at most 10 for each target"},
    [FAMILY_CAPTURES]      = {"goprof_profile_captures_total",         "counter", "target", "Profiles kept as files"},
    [FAMILY_TARGET_UP]     = {"goprofd_target_up",                     "gauge",   "target, source", "1 if the target was read at the last beat, fully or in part"},
    [FAMILY_TARGET_STATE]  = {"goprofd_target_state",                  "gauge",   "target, state", "1 for the state the target is in, 0 for the others"},
    [FAMILY_SNAPSHOT_TIME] = {"goprofd_snapshot_timestamp_seconds",    "gauge",   "target", "When the newest snapshot was taken, Unix seconds"},
    [FAMILY_PROFILE_TIME]  = {"goprofd_profile_timestamp_seconds",     "gauge",   "target", "When the newest heap profile was read, Unix seconds; it changes with each GC"},
    [FAMILY_ALERTS]        = {"goprofd_alerts",                        "gauge",   "target, rule, severity", "Alerts that fire"},
    [FAMILY_RULE_RUNS]     = {"goprofd_rule_runs_total",               "counter", "rule", "Evaluations of the rule, on whatever target"},
    [FAMILY_RULE_FAILURES] = {"goprofd_rule_failures_total",           "counter", "rule", "Evaluations of the rule that ended in an error or ran past a budget"},
    [FAMILY_RULE_SECONDS]  = {"goprofd_rule_run_seconds_total",        "counter", "rule", "Time spent in the rule"},
    [FAMILY_RULE_MEMORY]   = {"goprofd_rule_memory_bytes",             "gauge",   "rule", "Memory of the rule's Lua state"},
    [FAMILY_RULE_SUSPENDED] = {"goprofd_rule_suspended",               "gauge",   "rule", "1 if the rule is suspended for some target after failures"},
    [FAMILY_HTTP_LATENCY]  = {"goprofd_http_request_duration_seconds", "histogram", "", "From the first byte of a request to the last of its answer"},
    [FAMILY_BUILD_INFO]    = {"goprofd_build_info",                    "gauge",   "version", "Version of goprofd; always 1"},
    [FAMILY_CPU]           = {"process_cpu_seconds_total",             "counter", "", "CPU time of goprofd, user and system"},
    [FAMILY_RESIDENT]      = {"process_resident_memory_bytes",         "gauge",   "", "Resident memory of goprofd"},
    [FAMILY_VIRTUAL]       = {"process_virtual_memory_bytes",          "gauge",   "", "Virtual memory of goprofd"},
    [FAMILY_OPEN_FDS]      = {"process_open_fds",                      "gauge",   "", "File descriptors goprofd has open"},
    [FAMILY_MAX_FDS]       = {"process_max_fds",                       "gauge",   "", "File descriptors goprofd may open"},
    [FAMILY_THREADS]       = {"process_threads",                       "gauge",   "", "Threads of goprofd"},
    [FAMILY_START]         = {"process_start_time_seconds",            "gauge",   "", "When goprofd started, Unix seconds"},
};
/* clang-format on */
const size_t prometheus_family_count = FAMILY_COUNT;
_Static_assert(sizeof(prometheus_families) / sizeof(prometheus_families[0]) == FAMILY_COUNT,
               "each family has its row");

/* ---- families and samples ---- */

/* "NAME{target="ID"" without the closing brace. */
static void begin_sample(struct buffer *out, const char *name, const struct target_view *view)
{
    buffer_append_string(out, name);
    prometheus_label(out, '{', "target", view->info->facts.id);
}

static void begin_own_family(struct buffer *out, enum family family)
{
    const struct prometheus_family *row = &prometheus_families[family];
    prometheus_begin_family(out, row->name, row->type, row->help);
}

/* Whether the newest snapshot is of now, and not kept from before the target was lost. */
static bool is_current(const struct target_view *view)
{
    const enum target_state state = view->info->facts.state;
    return view->snapshot != NULL && (state == TARGET_UP || state == TARGET_DEGRADED);
}

/* ---- the fields of every target ---- */

static void append_field_value(struct buffer *out, const struct field *field,
                               union field_value value)
{
    if (field->type == FIELD_F64)
        prometheus_f64(out, field->unit == UNIT_NS ? value.f64 / 1e9 : value.f64);
    else if (field->type == FIELD_I64)
        buffer_append_i64(out, value.i64); /* no signed field is in ns; the docs test checks it */
    else if (field->unit == UNIT_NS)
        prometheus_seconds(out, value.u64);
    else
        buffer_append_u64(out, value.u64);
}

static void write_field_family(struct buffer *out, const struct board_page *page,
                               const struct field *field, const char *name, const char *type,
                               const char *help)
{
    bool begun = false;
    for (size_t i = 0; i < page->target_count; i++) {
        const struct target_view *view = &page->targets[i];
        union field_value value;
        if (!is_current(view) || !snapshot_field_get(&view->snapshot->values, field, &value))
            continue;
        if (!begun)
            prometheus_begin_family(out, name, type, help);
        begun = true;
        begin_sample(out, name, view);
        buffer_append_string(out, "} ");
        append_field_value(out, field, value);
        buffer_append_byte(out, '\n');
    }
}

static void write_fields(struct buffer *out, const struct board_page *page)
{
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        const struct field *field = &snapshot_fields[i];
        if (field->metric != NULL)
            write_field_family(out, page, field, field->metric, prometheus_type(field->kind), field->help);
        if (field->legacy != NULL)
            write_field_family(out, page, field, field->legacy, prometheus_type(field->kind), field->help);
    }
    const struct prometheus_family *alloc = &prometheus_families[FAMILY_ALLOC_BYTES];
    write_field_family(out, page, &snapshot_fields[SNAPSHOT_FIELD_heap_alloc_bytes], alloc->name,
                       alloc->type, alloc->help);
}

/* One family with a label, so that the parts can be stacked. */
static void write_rss_parts(struct buffer *out, const struct board_page *page)
{
    bool begun = false;
    for (size_t i = 0; i < page->target_count; i++) {
        const struct target_view *view = &page->targets[i];
        for (size_t part = 0; part < RSS_PART_COUNT && is_current(view); part++) {
            union field_value value;
            if (!snapshot_field_get(&view->snapshot->values,
                                    &snapshot_fields[rss_parts[part].field], &value))
                continue;
            if (!begun)
                begin_own_family(out, FAMILY_RSS_PART);
            begun = true;
            begin_sample(out, prometheus_families[FAMILY_RSS_PART].name, view);
            prometheus_label(out, ',', "part", rss_parts[part].name);
            prometheus_end_u64(out, value.u64);
        }
    }
}

/* client_golang's summary, as far as MemStats carries it. */
static void write_gc_duration(struct buffer *out, const struct board_page *page)
{
    const struct prometheus_family *family = &prometheus_families[FAMILY_GC_DURATION];
    bool begun = false;
    for (size_t i = 0; i < page->target_count; i++) {
        const struct target_view *view = &page->targets[i];
        if (!is_current(view) || !SNAPSHOT_HAS(&view->snapshot->values, gc_pause_total_ns) ||
            !SNAPSHOT_HAS(&view->snapshot->values, num_gc))
            continue;
        if (!begun)
            begin_own_family(out, FAMILY_GC_DURATION);
        begun = true;
        buffer_append_string(out, family->name);
        begin_sample(out, "_sum", view);
        prometheus_end_seconds(out, view->snapshot->values.gc_pause_total_ns);
        buffer_append_string(out, family->name);
        begin_sample(out, "_count", view);
        prometheus_end_u64(out, view->snapshot->values.num_gc);
    }
}

/* ---- what else is known of targets ---- */

static void write_go_info(struct buffer *out, const struct board_page *page)
{
    bool begun = false;
    for (size_t i = 0; i < page->target_count; i++) {
        const struct target_view *view = &page->targets[i];
        if (view->info->facts.go_version[0] == '\0')
            continue;
        if (!begun)
            begin_own_family(out, FAMILY_GO_INFO);
        begun = true;
        begin_sample(out, prometheus_families[FAMILY_GO_INFO].name, view);
        prometheus_label(out, ',', "version", view->info->facts.go_version);
        prometheus_end_u64(out, 1);
    }
}

/* What changes with each restart of a container is here and nowhere else: on every series it would make
 * all of them new ones. */
static void write_target_info(struct buffer *out, const struct board_page *page)
{
    for (size_t i = 0; i < page->target_count; i++) {
        const struct target_view *view = &page->targets[i];
        const struct target_facts *facts = &view->info->facts;
        const struct {
            const char *label;
            const char *value;
        } known[] = {{"exe", facts->exe},
                     {"container_id", facts->container_id},
                     {"pod", facts->pod},
                     {"pod_uid", facts->pod_uid},
                     {"pod_namespace", facts->pod_namespace}};
        if (i == 0)
            begin_own_family(out, FAMILY_TARGET_INFO);
        begin_sample(out, prometheus_families[FAMILY_TARGET_INFO].name, view);
        prometheus_label(out, ',', "source", source_kind_name(facts->source));
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
            if (known[k].value[0] != '\0')
                prometheus_label(out, ',', known[k].label, known[k].value);
        prometheus_end_u64(out, 1);
    }
}

static bool is_repeated(const struct tops *tops, size_t index)
{
    struct buffer one;
    struct buffer other;
    bool repeated = false;
    buffer_init(&one, 16 * PROMETHEUS_LABEL_MAX_BYTES);
    buffer_init(&other, 16 * PROMETHEUS_LABEL_MAX_BYTES);
    prometheus_label(&one, '{', "type_name", tops->retentions[index].type_name);
    prometheus_label(&one, ',', "tag", tops->retentions[index].tag);
    for (size_t i = 0; i < index && !repeated; i++) {
        buffer_clear(&other);
        prometheus_label(&other, '{', "type_name", tops->retentions[i].type_name);
        prometheus_label(&other, ',', "tag", tops->retentions[i].tag);
        repeated = one.length == other.length && memcmp(one.data, other.data, one.length) == 0;
    }
    buffer_release(&one);
    buffer_release(&other);
    return repeated;
}

static void write_tops(struct buffer *out, const struct board_page *page)
{
    bool begun = false;
    for (size_t i = 0; i < page->target_count; i++) {
        const struct target_view *view = &page->targets[i];
        const struct tops *tops = is_current(view) ? view->snapshot->tops : NULL;
        for (size_t k = 0; tops != NULL && k < tops->retention_count && k < SNAPSHOT_TOP_MAX; k++) {
            const struct top_entry *entry = &tops->retentions[k];
            /* Two names that only differ beyond the cut would be one series twice, and the
             * scraper would refuse the whole page. */
            if (entry->inuse_bytes < 0 || is_repeated(tops, k))
                continue;
            if (!begun)
                begin_own_family(out, FAMILY_TOP_INUSE);
            begun = true;
            begin_sample(out, prometheus_families[FAMILY_TOP_INUSE].name, view);
            prometheus_label(out, ',', "type_name", entry->type_name);
            prometheus_label(out, ',', "tag", entry->tag);
            prometheus_end_u64(out, (uint64_t)entry->inuse_bytes);
        }
    }
}

static void write_captures(struct buffer *out, const struct prometheus_source *source)
{
    if (source->page->target_count > 0)
        begin_own_family(out, FAMILY_CAPTURES);
    for (size_t i = 0; i < source->page->target_count; i++) {
        begin_sample(out, prometheus_families[FAMILY_CAPTURES].name, &source->page->targets[i]);
        prometheus_end_u64(out, source->captures[i]);
    }
}

static void write_states(struct buffer *out, const struct board_page *page)
{
    static const enum target_state states[] = {
        TARGET_WAITING,     TARGET_UP,      TARGET_DEGRADED, TARGET_DENIED,
        TARGET_UNSUPPORTED, TARGET_FAILING, TARGET_GONE,
    };
    if (page->target_count > 0)
        begin_own_family(out, FAMILY_TARGET_UP);
    for (size_t i = 0; i < page->target_count; i++) {
        const struct target_facts *facts = &page->targets[i].info->facts;
        begin_sample(out, prometheus_families[FAMILY_TARGET_UP].name, &page->targets[i]);
        prometheus_label(out, ',', "source", source_kind_name(facts->source));
        prometheus_end_u64(out, facts->state == TARGET_UP || facts->state == TARGET_DEGRADED);
    }
    if (page->target_count > 0)
        begin_own_family(out, FAMILY_TARGET_STATE);
    for (size_t i = 0; i < page->target_count; i++) {
        for (size_t s = 0; s < sizeof(states) / sizeof(states[0]); s++) {
            begin_sample(out, prometheus_families[FAMILY_TARGET_STATE].name, &page->targets[i]);
            prometheus_label(out, ',', "state", target_state_name(states[s]));
            prometheus_end_u64(out, page->targets[i].info->facts.state == states[s]);
        }
    }
}

static void write_times(struct buffer *out, const struct board_page *page)
{
    bool begun = false;
    for (size_t i = 0; i < page->target_count; i++) {
        if (page->targets[i].snapshot == NULL)
            continue;
        if (!begun)
            begin_own_family(out, FAMILY_SNAPSHOT_TIME);
        begun = true;
        begin_sample(out, prometheus_families[FAMILY_SNAPSHOT_TIME].name, &page->targets[i]);
        prometheus_end_seconds(out, page->targets[i].snapshot->realtime_ns);
    }
    begun = false;
    for (size_t i = 0; i < page->target_count; i++) {
        if (page->targets[i].profile == NULL)
            continue;
        if (!begun)
            begin_own_family(out, FAMILY_PROFILE_TIME);
        begun = true;
        begin_sample(out, prometheus_families[FAMILY_PROFILE_TIME].name, &page->targets[i]);
        prometheus_end_seconds(out, page->targets[i].profile->taken_realtime_ns);
    }
}

/* ---- alerts ---- */

static int compare_alerts(const void *a, const void *b)
{
    const struct finding *left = *(const struct finding *const *)a;
    const struct finding *right = *(const struct finding *const *)b;
    int order = strcmp(left->target, right->target);
    if (order == 0)
        order = strcmp(left->rule, right->rule);
    if (order == 0)
        order = (int)left->severity - (int)right->severity;
    return order;
}

/* One series for each (target, rule, severity), counting what fires. */
static void write_alerts(struct buffer *out, const struct finding_set *set)
{
    const struct finding **firing = calloc(set->count + 1, sizeof(*firing));
    if (firing == NULL) {
        out->failed = true;
        return;
    }
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (set->findings[i].kind == FINDING_ALERT && set->findings[i].state == FINDING_FIRING)
            firing[count++] = &set->findings[i];
    }
    if (count > 0) {
        qsort(firing, count, sizeof(*firing), compare_alerts);
        begin_own_family(out, FAMILY_ALERTS);
    }
    size_t series = 0;
    for (size_t i = 0; i < count && series < PROMETHEUS_ALERT_SERIES_MAX; series++) {
        size_t end = i + 1;
        while (end < count && compare_alerts(&firing[i], &firing[end]) == 0)
            end++;
        buffer_append_string(out, prometheus_families[FAMILY_ALERTS].name);
        prometheus_label(out, '{', "target", firing[i]->target);
        prometheus_label(out, ',', "rule", firing[i]->rule);
        prometheus_label(out, ',', "severity", severity_name(firing[i]->severity));
        prometheus_end_u64(out, end - i);
        i = end;
    }
    free(firing);
}

/* ---- rules ---- */

static uint64_t rule_value(const struct rule_status *rule, enum family family)
{
    switch (family) {
    case FAMILY_RULE_RUNS:
        return rule->evaluations;
    case FAMILY_RULE_FAILURES:
        return rule->errors;
    case FAMILY_RULE_SECONDS:
        return rule->evaluate_ns;
    case FAMILY_RULE_MEMORY:
        return rule->memory_bytes;
    default:
        return rule->state == RULE_SUSPENDED;
    }
}

/* The first so many, in the order they are loaded; a disabled rule has no numbers. */
static void write_rules(struct buffer *out, const struct rules_report *report)
{
    for (enum family family = FAMILY_RULE_RUNS; family <= FAMILY_RULE_SUSPENDED; family++) {
        bool begun = false;
        for (size_t i = 0; i < report->count && i < PROMETHEUS_RULES_MAX; i++) {
            const struct rule_status *rule = &report->rules[i];
            if (rule->state == RULE_DISABLED)
                continue;
            if (!begun)
                begin_own_family(out, family);
            begun = true;
            buffer_append_string(out, prometheus_families[family].name);
            prometheus_label(out, '{', "rule", rule->name);
            buffer_append_string(out, "} ");
            if (family == FAMILY_RULE_SECONDS)
                prometheus_seconds(out, rule_value(rule, family));
            else
                buffer_append_u64(out, rule_value(rule, family));
            buffer_append_byte(out, '\n');
        }
    }
}

/* ---- the daemon itself ---- */

static void write_counters(struct buffer *out, const struct board_counters *counters)
{
    for (size_t i = 0; i < BOARD_COUNTER_COUNT; i++) {
        const struct board_counter_field *field = &board_counter_fields[i];
        const uint64_t value = board_counter_get(counters, field);
        prometheus_begin_family(out, field->metric, prometheus_type(field->kind), field->help);
        buffer_append_string(out, field->metric);
        buffer_append_byte(out, ' ');
        if (field->unit == UNIT_NS)
            prometheus_seconds(out, value);
        else
            buffer_append_u64(out, value);
        buffer_append_byte(out, '\n');
    }
}

static void write_own(struct buffer *out, enum family family, uint64_t value, bool is_ns)
{
    if (value == SELF_STAT_UNKNOWN)
        return;
    begin_own_family(out, family);
    buffer_append_string(out, prometheus_families[family].name);
    buffer_append_byte(out, ' ');
    if (is_ns)
        prometheus_seconds(out, value);
    else
        buffer_append_u64(out, value);
    buffer_append_byte(out, '\n');
}

/* Buckets are cumulative, and the last of them is the count: read once, so that they agree. */
static void write_latency(struct buffer *out, const struct latency *latency)
{
    const char *name = prometheus_families[FAMILY_HTTP_LATENCY].name;
    uint64_t count = 0;
    begin_own_family(out, FAMILY_HTTP_LATENCY);
    for (size_t i = 0; i <= LATENCY_BUCKETS; i++) {
        count += atomic_load_explicit(&latency->counts[i], memory_order_relaxed);
        buffer_append_string(out, name);
        buffer_append_string(out, "_bucket{le=\"");
        if (i < LATENCY_BUCKETS)
            prometheus_f64(out, (double)latency_bounds_ns[i] / 1e9);
        else
            buffer_append_string(out, "+Inf");
        buffer_append_byte(out, '"');
        prometheus_end_u64(out, count);
    }
    buffer_append_string(out, name);
    buffer_append_string(out, "_sum ");
    prometheus_seconds(out, atomic_load_explicit(&latency->sum_ns, memory_order_relaxed));
    buffer_append_byte(out, '\n');
    buffer_append_string(out, name);
    buffer_append_string(out, "_count ");
    buffer_append_u64(out, count);
    buffer_append_byte(out, '\n');
}

static void write_self(struct buffer *out, const struct self_stats *self)
{
    begin_own_family(out, FAMILY_BUILD_INFO);
    buffer_append_string(out, prometheus_families[FAMILY_BUILD_INFO].name);
    prometheus_label(out, '{', "version", GOPROFD_VERSION);
    prometheus_end_u64(out, 1);
    write_own(out, FAMILY_CPU, self->cpu_ns, true);
    write_own(out, FAMILY_RESIDENT, self->resident_bytes, false);
    write_own(out, FAMILY_VIRTUAL, self->virtual_bytes, false);
    write_own(out, FAMILY_OPEN_FDS, self->open_fds, false);
    write_own(out, FAMILY_MAX_FDS, self->max_fds, false);
    write_own(out, FAMILY_THREADS, self->threads, false);
    write_own(out, FAMILY_START, self->start_realtime_ns, true);
}

void view_prometheus(struct buffer *out, const struct prometheus_source *source)
{
    write_fields(out, source->page);
    write_rss_parts(out, source->page);
    write_gc_duration(out, source->page);
    write_go_info(out, source->page);
    write_target_info(out, source->page);
    write_tops(out, source->page);
    write_captures(out, source);
    write_states(out, source->page);
    write_times(out, source->page);
    write_alerts(out, source->findings);
    if (source->rules != NULL)
        write_rules(out, source->rules);
    write_counters(out, source->counters);
    write_latency(out, source->latency);
    write_self(out, source->self);
}
