/* scenario.c - reads and plays tests/rules/NAME.test: see scenario.h. */
#include "scenario.h"

#include <criterion/criterion.h>
#include <math.h>

#include "lua/quantity.h"
#include "stage.h"

enum { SERIES_MAX = 40, LINE_MAX_BYTES = 512, BEATS_MAX = 2000, EXPECTATIONS_MAX = 12, PARAMS_MAX = 8 };

struct series {
    char name[64];                /* of the field; "" for a site's */
    struct stage_site *site;
    bool is_alloc;
    double *values;               /* BEATS_MAX; NAN: not known */
};

struct expectation {
    char line[LINE_MAX_BYTES];
    enum { EXPECT_FINDING, EXPECT_MESSAGE, EXPECT_CLOSED, EXPECT_QUIET } what;
    enum finding_kind kind;
    enum severity severity;
    char part[256];
    size_t beat; /* by, or until */
    bool met;
};

struct scenario {
    const char *file;
    char title[LINE_MAX_BYTES];
    bool open;
    struct stage stage;
    struct stage_target *target;
    size_t beats;
    size_t gc_every;
    size_t series_count;
    struct series series[SERIES_MAX];
    size_t expectation_count;
    struct expectation expectations[EXPECTATIONS_MAX];
    size_t param_count;
    char param_texts[PARAMS_MAX][3][64]; /* rule, key, value */
    struct config_node nodes[PARAMS_MAX];
    struct config_node tables[PARAMS_MAX];
    struct config_rule rules[PARAMS_MAX];
};

#define CHECK(scenario, condition, ...)                                                            \
    cr_assert(condition, "%s: case %s\n%s", (scenario)->file, (scenario)->title,                   \
              scenario_text(__VA_ARGS__))

static const char *scenario_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *scenario_text(const char *fmt, ...)
{
    static char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return text;
}

static double read_number(const struct scenario *scenario, const char *text)
{
    struct quantity quantity;
    CHECK(scenario, quantity_parse(text, &quantity), "not a number: %s", text);
    return quantity.value;
}

/* ---- series ---- */

static void append_run(const struct scenario *scenario, struct series *series, size_t *count,
                       const char *word)
{
    char copy[64];
    (void)snprintf(copy, sizeof(copy), "%s", word);
    size_t times = 0;
    char *x = strrchr(copy, 'x');
    if (x != NULL) {
        times = (size_t)strtoul(x + 1, NULL, 10);
        *x = '\0';
    }
    char *step = strpbrk(copy + 1, "+-");
    if (copy[0] == '+' || copy[0] == '-')
        step = copy;
    double value = *count > 0 ? series->values[*count - 1] : 0;
    double change = 0;
    if (step != NULL) {
        change = read_number(scenario, step + 1) * (*step == '-' ? -1 : 1);
        *step = '\0';
    }
    if (copy[0] == '_')
        value = NAN;
    else if (copy[0] != '\0')
        value = read_number(scenario, copy);
    if (copy[0] != '\0' && step != NULL)
        times++; /* the start itself */
    for (size_t i = 0; i < (times > 0 ? times : 1) && *count < BEATS_MAX; i++) {
        if (change < 0 || change > 0)
            value += i > 0 || copy[0] == '\0' ? change : 0;
        series->values[(*count)++] = value;
    }
}

static void read_series(struct scenario *scenario, struct series *series, char *words)
{
    size_t count = 0;
    char *rest = NULL;
    series->values = calloc(BEATS_MAX, sizeof(double));
    for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        append_run(scenario, series, &count, word);
    CHECK(scenario, count > 0, "an empty series");
    for (; count < BEATS_MAX; count++)
        series->values[count] = series->values[count - 1];
}

static struct series *add_series(struct scenario *scenario)
{
    CHECK(scenario, scenario->series_count < SERIES_MAX, "too many series");
    return &scenario->series[scenario->series_count++];
}

/* ---- lines ---- */

static void read_field(struct scenario *scenario, char *words)
{
    struct series *series = add_series(scenario);
    char *space = strchr(words, ' ');
    CHECK(scenario, space != NULL, "field NAME SERIES: %s", words);
    *space = '\0';
    CHECK(scenario, snapshot_field_find(words) != NULL, "no such field: %s", words);
    (void)snprintf(series->name, sizeof(series->name), "%s", words);
    read_series(scenario, series, space + 1);
}

static void read_site(struct scenario *scenario, char *words)
{
    char function[64];
    char file[64];
    char primitive[64];
    unsigned line;
    int end = 0;
    CHECK(scenario,
          sscanf(words, "%63s %63[^:]:%u %63s inuse %n", function, file, &line, primitive, &end) == 4 &&
              end > 0,
          "site FUNCTION FILE:LINE PRIMITIVE inuse SERIES alloc SERIES: %s", words);
    char *alloc = strstr(words + end, " alloc ");
    CHECK(scenario, alloc != NULL, "site without alloc: %s", words);
    *alloc = '\0';
    struct stage_site *site =
        stage_add_site(scenario->target, function, file, line, primitive);
    struct series *inuse_series = add_series(scenario);
    inuse_series->site = site;
    read_series(scenario, inuse_series, words + end);
    struct series *alloc_series = add_series(scenario);
    alloc_series->site = site;
    alloc_series->is_alloc = true;
    read_series(scenario, alloc_series, alloc + strlen(" alloc "));
}

static void read_target(struct scenario *scenario, char *words)
{
    char *rest = NULL;
    for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        if (strncmp(word, "age=", 4) == 0)
            scenario->target->age_s = read_number(scenario, word + 4);
        else if (strcmp(word, "go=go1.22.0") == 0)
            scenario->target->go_version = "go1.22.0";
        else if (strcmp(word, "go=go1.27.0") == 0)
            scenario->target->go_version = "go1.27.0";
        else
            CHECK(scenario, false, "unknown property of the target: %s", word);
    }
}

static void read_param(struct scenario *scenario, const char *words)
{
    CHECK(scenario, scenario->param_count < PARAMS_MAX, "too many params");
    char(*texts)[64] = scenario->param_texts[scenario->param_count++];
    CHECK(scenario, sscanf(words, "%63[^.].%63s = %63s", texts[0], texts[1], texts[2]) == 3,
          "param RULE.KEY = VALUE: %s", words);
}

static void read_expectation(struct scenario *scenario, const char *words)
{
    CHECK(scenario, scenario->expectation_count < EXPECTATIONS_MAX, "too many expectations");
    struct expectation *expectation = &scenario->expectations[scenario->expectation_count++];
    char kind[32];
    char severity[32];
    *expectation = (struct expectation){.beat = BEATS_MAX};
    (void)snprintf(expectation->line, sizeof(expectation->line), "%s", words);
    if (strcmp(words, "quiet") == 0 || sscanf(words, "quiet until %zu", &expectation->beat) == 1) {
        expectation->what = EXPECT_QUIET;
        expectation->met = true;
    } else if (sscanf(words, "closed by %zu", &expectation->beat) == 1) {
        expectation->what = EXPECT_CLOSED;
        expectation->met = true;
    } else if (strncmp(words, "message ", 8) == 0) {
        expectation->what = EXPECT_MESSAGE;
        (void)snprintf(expectation->part, sizeof(expectation->part), "%s", words + 8);
    } else {
        CHECK(scenario,
              sscanf(words, "%31s %31s %255s by %zu", kind, severity, expectation->part,
                     &expectation->beat) == 4 &&
                  severity_parse(severity, &expectation->severity) &&
                  (strcmp(kind, "alert") == 0 || strcmp(kind, "suggestion") == 0),
              "expect alert|suggestion SEVERITY ID by BEAT: %s", words);
        expectation->what = EXPECT_FINDING;
        expectation->kind = strcmp(kind, "alert") == 0 ? FINDING_ALERT : FINDING_SUGGESTION;
    }
}

/* ---- playing ---- */

static void set_params(struct scenario *scenario)
{
    for (size_t i = 0; i < scenario->param_count; i++) {
        char(*texts)[64] = scenario->param_texts[i];
        scenario->nodes[i] =
            (struct config_node){.kind = NODE_STRING, .key = texts[1], .string = texts[2]};
        scenario->tables[i] = (struct config_node){
            .kind = NODE_TABLE, .children = &scenario->nodes[i], .child_count = 1};
        scenario->rules[i] =
            (struct config_rule){.name = texts[0], .enabled = true, .params = &scenario->tables[i]};
    }
    scenario->stage.config->rules = scenario->rules;
    scenario->stage.config->rule_count = scenario->param_count;
}

static void set_values(struct scenario *scenario, size_t beat)
{
    for (size_t i = 0; i < scenario->series_count; i++) {
        const struct series *series = &scenario->series[i];
        const double value = series->values[beat];
        if (series->site != NULL && series->is_alloc)
            series->site->alloc_bytes = (int64_t)value;
        else if (series->site != NULL)
            series->site->inuse_bytes = (int64_t)value;
        else if (isnan(value))
            stage_unset(scenario->target, series->name);
        else
            stage_set(scenario->target, series->name, value);
    }
    if (scenario->gc_every > 0) {
        stage_set(scenario->target, "num_gc", (double)(10 + beat / scenario->gc_every));
        scenario->target->profile_due = beat % scenario->gc_every == 0;
    }
}

static void check_finding(const struct scenario *scenario, struct expectation *expectation,
                          const struct finding *finding, size_t beat)
{
    switch (expectation->what) {
    case EXPECT_FINDING:
        if (finding->kind == expectation->kind && finding->state == FINDING_FIRING &&
            finding->severity == expectation->severity && beat <= expectation->beat &&
            strstr(finding->id, expectation->part) != NULL)
            expectation->met = true;
        break;
    case EXPECT_MESSAGE:
        if (strstr(finding->message, expectation->part) != NULL)
            expectation->met = true;
        break;
    case EXPECT_CLOSED:
        CHECK(scenario, beat < expectation->beat, "expect %s\nat beat %zu there is still %s: %s",
              expectation->line, beat, finding->id, finding->message);
        break;
    case EXPECT_QUIET:
        CHECK(scenario, beat > expectation->beat, "expect %s\nat beat %zu there is %s: %s",
              expectation->line, beat, finding->id, finding->message);
        break;
    }
}

static void check_beat(struct scenario *scenario, size_t beat)
{
    const struct finding_set *set = board_findings(scenario->stage.board);
    for (size_t f = 0; f < set->count; f++) {
        if (set->findings[f].state == FINDING_RESOLVED)
            continue;
        for (size_t i = 0; i < scenario->expectation_count; i++)
            check_finding(scenario, &scenario->expectations[i], &set->findings[f], beat);
    }
    finding_set_unref(set);
    const struct rules_report *report = stage_report(&scenario->stage);
    for (size_t i = 0; i < report->count; i++)
        CHECK(scenario, report->rules[i].errors == 0, "rule %s failed: %s", report->rules[i].name,
              report->rules[i].last_error);
}

static void play(struct scenario *scenario)
{
    CHECK(scenario, scenario->beats > 0 && scenario->beats <= BEATS_MAX, "beats 1 to %d", BEATS_MAX);
    CHECK(scenario, scenario->expectation_count > 0, "nothing is expected");
    set_params(scenario);
    stage_load(&scenario->stage);
    for (size_t beat = 1; beat <= scenario->beats; beat++) {
        set_values(scenario, beat - 1);
        stage_beat(&scenario->stage);
        check_beat(scenario, beat);
    }
    for (size_t i = 0; i < scenario->expectation_count; i++)
        CHECK(scenario, scenario->expectations[i].met, "not met: expect %s",
              scenario->expectations[i].line);
}

static void end_case(struct scenario *scenario)
{
    if (!scenario->open)
        return;
    play(scenario);
    for (size_t i = 0; i < scenario->series_count; i++)
        free(scenario->series[i].values);
    stage_close(&scenario->stage);
}

static void begin_case(struct scenario *scenario, const char *file, const char *title)
{
    end_case(scenario);
    *scenario = (struct scenario){.file = file, .open = true};
    (void)snprintf(scenario->title, sizeof(scenario->title), "%s", title);
    stage_open(&scenario->stage);
    scenario->stage.config->rules_dir = GOPROFD_SOURCE_DIR "/rules";
    scenario->target = stage_add_target(&scenario->stage, "demo");
}

static void read_line(struct scenario *scenario, const char *file, char *line)
{
    char *space = strchr(line, ' ');
    char *words = space != NULL ? space + 1 : line + strlen(line);
    if (space != NULL)
        *space = '\0';
    if (strcmp(line, "case") == 0) {
        begin_case(scenario, file, words);
        return;
    }
    cr_assert(scenario->open, "%s: a line before the first case: %s", file, line);
    if (strcmp(line, "beats") == 0)
        scenario->beats = (size_t)read_number(scenario, words);
    else if (strcmp(line, "gc") == 0)
        scenario->gc_every = (size_t)read_number(scenario, words);
    else if (strcmp(line, "target") == 0)
        read_target(scenario, words);
    else if (strcmp(line, "param") == 0)
        read_param(scenario, words);
    else if (strcmp(line, "field") == 0)
        read_field(scenario, words);
    else if (strcmp(line, "site") == 0)
        read_site(scenario, words);
    else if (strcmp(line, "expect") == 0)
        read_expectation(scenario, words);
    else
        CHECK(scenario, false, "unknown line: %s %s", line, words);
}

void scenario_run_file(const char *name)
{
    char path[512];
    char line[LINE_MAX_BYTES];
    (void)snprintf(path, sizeof(path), "%s/tests/rules/%s.test", GOPROFD_SOURCE_DIR, name);
    FILE *in = fopen(path, "r");
    cr_assert_not_null(in, "there is no %s", path);
    struct scenario *scenario = calloc(1, sizeof(*scenario));
    cr_assert_not_null(scenario);
    size_t cases = 0;
    while (fgets(line, sizeof(line), in) != NULL) {
        line[strcspn(line, "#\n")] = '\0';
        size_t length = strlen(line);
        while (length > 0 && line[length - 1] == ' ')
            line[--length] = '\0';
        cases += strncmp(line, "case ", 5) == 0;
        if (length > 0)
            read_line(scenario, path, line);
    }
    end_case(scenario);
    cr_assert_gt(cases, 0);
    (void)fclose(in);
    free(scenario);
}
