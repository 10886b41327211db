/* query.c - parameters from a hostile client. */
#include <criterion/criterion.h>

#include "http/query.h"

static const struct query_rules everything = {
    .allowed = (1U << PARAM_COUNT) - 1, .limit_default = 10, .limit_max = 1000};

static bool parse(struct query *query, const char *text, struct error *err)
{
    *err = (struct error){0};
    return query_parse(query, &everything, text, strlen(text), err);
}

static void refuses(const char *text, const char *named)
{
    struct query query;
    struct error err;
    cr_assert_not(parse(&query, text, &err), "%s was accepted", text);
    cr_assert_not_null(strstr(err.message, named), "\"%s\" gave \"%s\"", text, err.message);
}

Test(query, without_parameters_gives_the_defaults)
{
    struct query query;
    struct error err;
    cr_assert(parse(&query, "", &err));
    cr_assert_eq(query.limit, 10);
    cr_assert_eq(query.since_realtime_ns, 0);
    cr_assert_eq(query.until_realtime_ns, UINT64_MAX);
    cr_assert_null(query.target);
    cr_assert_eq(query.by, GROUP_TYPE_TAG);
    cr_assert_eq(query.severities & (1U << SEVERITY_CRITICAL), 1U << SEVERITY_CRITICAL);
}

Test(query, decodes_percent_and_plus)
{
    struct query query;
    struct error err;
    cr_assert(parse(&query, "target=a%20b+c%2Fd%3d%26", &err), "%s", err.message);
    cr_assert_str_eq(query.target, "a b c/d=&");
}

Test(query, keeps_two_texts_apart)
{
    struct query query;
    struct error err;
    cr_assert(parse(&query, "target=demo&rule=heap_high&limit=5", &err), "%s", err.message);
    cr_assert_str_eq(query.target, "demo");
    cr_assert_str_eq(query.rule, "heap_high");
    cr_assert_eq(query.limit, 5);
}

Test(query, refuses_broken_percent_encoding)
{
    refuses("target=%", "target");
    refuses("target=%2", "target");
    refuses("target=%zz", "target");
    refuses("target=a%00b", "target");
    refuses("%zz=1", "percent-encoding");
}

Test(query, checks_the_range_of_limit_at_its_edges)
{
    struct query query;
    struct error err;
    cr_assert(parse(&query, "limit=0", &err));
    cr_assert_eq(query.limit, 0);
    cr_assert(parse(&query, "limit=1000", &err));
    cr_assert_eq(query.limit, 1000);
    refuses("limit=1001", "0 to 1000");
    refuses("limit=-1", "\"-1\"");
    refuses("limit=99999999999999999999999999", "limit");
    refuses("limit=5x", "\"5x\"");
    refuses("limit=", "limit");
    refuses("limit", "limit");
}

Test(query, takes_both_forms_of_time)
{
    struct query query;
    struct error err;
    cr_assert(parse(&query, "since=2026-11-23T00:47:32Z&until=1795394853.5", &err), "%s",
              err.message);
    cr_assert_eq(query.since_realtime_ns, UINT64_C(1795394852000000000));
    cr_assert_eq(query.until_realtime_ns, UINT64_C(1795394853500000000));
    refuses("since=yesterday", "\"yesterday\"");
    refuses("until=2026-13-45T00:00:00Z", "until");
    refuses("since=20&until=10", "since");
}

Test(query, names_parameter_finding_and_what_is_allowed)
{
    struct query query;
    struct error err;
    cr_assert_not(parse(&query, "by=colour", &err));
    cr_assert_eq(err.code, ERROR_USAGE);
    cr_assert_str_eq(
        err.message,
        "parameter by: found \"colour\", allowed: type_tag, site, type, tag or package");
}

Test(query, refuses_what_it_does_not_know_and_lists_what_it_does)
{
    struct query query;
    struct error err = {0};
    const struct query_rules some = {.allowed = PARAM_BIT(TARGET) | PARAM_BIT(LIMIT)};
    cr_assert_not(query_parse(&query, &some, "limt=5", 6, &err));
    cr_assert_str_eq(err.message, "parameter limt: not known here; allowed: target, limit");
    cr_assert_not(query_parse(&query, &some, "by=site", 7, &err), "known elsewhere, not here");
    const struct query_rules none = {0};
    cr_assert_not(query_parse(&query, &none, "a=1", 3, &err));
    cr_assert_str_eq(err.message, "parameter a: not known here; allowed: none");
}

Test(query, lets_cache_busters_through)
{
    struct query query;
    struct error err;
    cr_assert(parse(&query, "_=1795394852&limit=3&_x=%20", &err), "%s", err.message);
    cr_assert_eq(query.limit, 3);
}

Test(query, refuses_a_parameter_given_twice)
{
    refuses("limit=1&limit=2", "more than once");
    refuses("target=a&target=a", "more than once");
}

Test(query, reads_lists_of_severities_and_states)
{
    struct query query;
    struct error err;
    cr_assert(parse(&query, "severity=warning,critical&state=firing", &err), "%s", err.message);
    cr_assert_eq(query.severities, (1U << SEVERITY_WARNING) | (1U << SEVERITY_CRITICAL));
    cr_assert_eq(query.states, 1U << FINDING_FIRING);
    refuses("severity=warning,", "severity");
    refuses("severity=urgent", "\"urgent\"");
    refuses("state=open", "\"open\"");
}

Test(query, reads_the_fields_that_are_wanted)
{
    struct query query;
    struct error err;
    cr_assert(parse(&query, "fields=heap_alloc_bytes,cpu_ns", &err), "%s", err.message);
    unsigned wanted = 0;
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
        wanted += (unsigned)((query.fields[i / 64] >> (i % 64)) & 1);
    cr_assert_eq(wanted, 2);
    cr_assert_eq(query.fields[0] & 1, 1);
    refuses("fields=heap_alloc_bytes,nonsense", "\"nonsense\"");
}

Test(query, knows_two_formats)
{
    struct query query;
    struct error err;
    cr_assert(parse(&query, "format=msgpack", &err));
    cr_assert(parse(&query, "format=json", &err));
    refuses("format=xml", "\"xml\"");
}

Test(query, refuses_more_text_than_it_keeps)
{
    static char text[QUERY_MAX_BYTES + 2];
    struct query query;
    struct error err = {0};
    memset(text, 'a', sizeof(text));
    memcpy(text, "target=", 7);
    cr_assert(query_parse(&query, &everything, text, QUERY_MAX_BYTES, &err), "%s", err.message);
    cr_assert_not(query_parse(&query, &everything, text, QUERY_MAX_BYTES + 1, &err));
    cr_assert_not_null(strstr(err.message, "2048"));
}

Test(query, survives_every_short_string_of_difficult_bytes)
{
    static const char bytes[] = {'%', '&', '=', '+', '0', ',', '_', 'l', '\0', (char)0xFF};
    char text[4];
    for (size_t i = 0; i < 10 * 10 * 10 * 10; i++) {
        size_t n = i;
        for (size_t k = 0; k < sizeof(text); k++, n /= 10)
            text[k] = bytes[n % 10];
        struct query query;
        struct error err = {0};
        if (!query_parse(&query, &everything, text, sizeof(text), &err))
            cr_assert(err.message[0] != '\0');
    }
}
