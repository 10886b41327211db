/* routes.c - which path and method leads where. */
#include <criterion/criterion.h>

#include "core/base/config.h"
#include "http/routes.h"

static struct config *config;

static void set_up(void)
{
    config = config_new();
    cr_assert_not_null(config);
}

static void tear_down(void)
{
    config_free(config);
}

TestSuite(routes, .init = set_up, .fini = tear_down);

static struct route_match find(const char *method, const char *path)
{
    struct route_match match;
    routes_find(config, false, method, strlen(method), path, strlen(path), &match);
    return match;
}

static void leads_to(const char *method, const char *path, const char *route)
{
    const struct route_match match = find(method, path);
    cr_assert_not_null(match.route, "%s %s found nothing", method, path);
    cr_assert_str_eq(match.route->path, route);
}

static void leads_nowhere(const char *path)
{
    const struct route_match match = find("GET", path);
    cr_assert_null(match.route, "%s led to %s", path, match.route->path);
    cr_assert_str_eq(match.allow, "");
}

Test(routes, finds_each_path_of_the_table_by_its_own_method)
{
    for (size_t i = 0; i < route_count; i++) {
        if (strstr(routes[i].path, ":id") == NULL)
            leads_to(routes[i].method, routes[i].path, routes[i].path);
    }
    cr_assert_geq(route_count, 20);
}

Test(routes, gives_head_wherever_get_is)
{
    leads_to("HEAD", "/v1/metrics/latest", "/v1/metrics/latest");
    cr_assert_null(find("HEAD", "/v1/capture/heap").route);
}

Test(routes, tells_what_a_path_allows_when_the_method_is_wrong)
{
    cr_assert_str_eq(find("GET", "/v1/capture/heap").allow, "POST, OPTIONS");
    cr_assert_str_eq(find("GET", "/v1/rules/reload").allow, "POST, OPTIONS", "not a rule's name");
    cr_assert_str_eq(find("POST", "/v1/rules/reloaded").allow, "GET, HEAD, OPTIONS");
    cr_assert_str_eq(find("DELETE", "/v1/targets").allow, "GET, HEAD, OPTIONS");
    cr_assert_str_eq(find("get", "/v1/targets").allow, "GET, HEAD, OPTIONS", "methods have a case");
}

Test(routes, decodes_the_id_of_a_target)
{
    const struct route_match match = find("GET", "/v1/targets/a%2Fb%20c");
    cr_assert_not_null(match.route);
    cr_assert_str_eq(match.id, "a/b c");
}

Test(routes, does_not_mind_a_slash_at_the_end)
{
    leads_to("GET", "/v1/targets/", "/v1/targets");
    leads_to("GET", "/debug/pprof", "/debug/pprof/");
    leads_to("GET", "/v1/", "/v1");
}

Test(routes, refuses_hostile_paths)
{
    leads_nowhere("");
    leads_nowhere("*");
    leads_nowhere("v1");
    leads_nowhere("/v1/../metrics");
    leads_nowhere("/v1/./targets");
    leads_nowhere("//metrics");
    leads_nowhere("/metrics//x");
    leads_nowhere("/metrics%00");
    leads_nowhere("/metric%");
    leads_nowhere("/METRICS");
    leads_nowhere("/v1/targets/%zz");
    leads_nowhere("/v1/targets/a/b");
    leads_nowhere("/v1/targets/..%2f..%2fetc/passwd");
    leads_nowhere("/debug/pprof/../../etc/passwd");
}

Test(routes, refuses_an_id_that_is_too_long)
{
    char path[ROUTE_ID_MAX_BYTES + 32] = "/v1/targets/";
    memset(path + 12, 'a', ROUTE_ID_MAX_BYTES);
    leads_nowhere(path);
    path[12 + ROUTE_ID_MAX_BYTES - 1] = '\0';
    leads_to("GET", path, "/v1/targets/:id");
}

Test(routes, does_not_have_what_is_switched_off)
{
    config->prometheus_enabled = false;
    config->pprof_enabled = false;
    leads_nowhere("/metrics");
    leads_nowhere("/debug/pprof/");
    leads_nowhere("/debug/pprof/heap");
    leads_to("GET", "/v1/targets", "/v1/targets");
}

Test(routes, moves_pprof_to_its_own_listener)
{
    struct route_match match;
    config->pprof_listen_addr = "127.0.0.1:0";
    leads_nowhere("/debug/pprof/heap");
    routes_find(config, true, "GET", 3, "/debug/pprof/heap", 17, &match);
    cr_assert_not_null(match.route);
    routes_find(config, true, "GET", 3, "/v1/targets", 11, &match);
    cr_assert_null(match.route);
    routes_find(config, true, "GET", 3, "/metrics", 8, &match);
    cr_assert_null(match.route);
}

Test(routes, helps_with_each_row)
{
    for (size_t i = 0; i < route_count; i++) {
        cr_assert_not_null(routes[i].handle);
        cr_assert_gt(strlen(routes[i].help), 5, "%s", routes[i].path);
    }
}
