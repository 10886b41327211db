/* types.c - the allocated type of each site, compared with a program that knows what its functions allocate.
 *
 * tests/fixtures/go/typed_target, built with every Go version at hand, with symbols and without, watched by
 * goprofd: nearly everything has a type, and no type is wrong. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { WAIT_MS = 60000, FUNCTIONS_MIN = 25 };
static const double TYPED_SHARE_MIN = 0.98;

static void free_versions(struct criterion_test_params *params)
{
    cr_free(params->params);
}

static struct criterion_test_params every_go_version(void)
{
    size_t count = 0;
    struct go_version *versions = go_versions(&count);
    return cr_make_param_array(struct go_version, versions, count, free_versions);
}

/* Whether [function] is the one of [fact], or an instance of it. */
static bool is_function(const char *function, const json_t *fact)
{
    const char *name = answer_text(fact, "function");
    const size_t length = strlen(name);
    return strncmp(function, name, length) == 0 &&
           (function[length] == '\0' || function[length] == '[');
}

/* An allocation may have to wait for a GC, for which the runtime may need an object of its own. */
static bool is_true(const char *type_name, const json_t *fact)
{
    return strcmp(type_name, "runtime.sudog") == 0 || strcmp(type_name, answer_text(fact, "type")) == 0 ||
           strcmp(type_name, answer_text(fact, "also")) == 0;
}

static bool has_sites(const json_t *top, const void *context)
{
    (void)context;
    return json_array_size(top) > FUNCTIONS_MIN;
}

static double bytes_of(const json_t *top, bool typed_only)
{
    double bytes = 0;
    for (size_t i = 0; i < json_array_size(top); i++) {
        const json_t *entry = json_array_get(top, i);
        if (!typed_only || strcmp(answer_text(entry, "type_name"), "unknown") != 0)
            bytes += answer_number(entry, "retained_bytes");
    }
    return bytes;
}

/* Every function of the truth was seen with its type, and none with another; how it allocates is told always. */
static void assert_truth(const json_t *top, const json_t *truth, const char *what)
{
    cr_assert_geq(json_array_size(truth), FUNCTIONS_MIN);
    for (size_t k = 0; k < json_array_size(truth); k++) {
        const json_t *fact = json_array_get(truth, k);
        size_t right = 0;
        for (size_t i = 0; i < json_array_size(top); i++) {
            const json_t *entry = json_array_get(top, i);
            const char *function = answer_text(entry, "function");
            const char *type_name = answer_text(entry, "type_name");
            if (!is_function(function, fact))
                continue;
            cr_assert_neq(answer_text(entry, "primitive")[0], '\0', "%s: how does %s allocate?",
                          what, function);
            if (is_true(type_name, fact))
                right += strcmp(type_name, "runtime.sudog") != 0;
            else
                cr_assert_str_eq(type_name, "unknown", "%s: %s allocates %s, not %s", what,
                                 function, answer_text(fact, "type"), type_name);
        }
        cr_assert_gt(right, 0, "%s: %s allocates %s, which is not seen", what,
                     answer_text(fact, "function"), answer_text(fact, "type"));
    }
}

static void check_program(const struct go_version *version, const char *name)
{
    char *folder = daemon_folder_new();
    struct go_program program = go_program_start(version, name, NULL, folder, "typed.log", NULL);
    char config[256], what[96];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, targets = { { name = 't', pid = %d } } }",
                   (int)program.process.pid);
    (void)snprintf(what, sizeof(what), "%s of Go %s", name, version->name);
    struct daemon daemon = daemon_start(folder, config);
    json_t *top = daemon_wait_for(&daemon, "/v1/metrics/retentions/top?target=t&by=site&limit=1000",
                                  has_sites, NULL, WAIT_MS);
    json_t *types = http_json(daemon.port, 200,
                              "/v1/metrics/retentions/top?target=t&by=type&limit=1000");
    json_t *truth = http_json(program.port, 200, "/truth");

    assert_truth(top, truth, what);
    const double all = bytes_of(top, false), typed = bytes_of(top, true);
    cr_assert_gt(all, 1 << 20);
    cr_assert(typed >= TYPED_SHARE_MIN * all, "%s: %g of %g bytes have a type", what, typed, all);
    cr_assert_float_eq(bytes_of(types, false), all, 0.5, "%s: the types' sum is not the sites'",
                       what);
    json_decref(top);
    json_decref(types);
    json_decref(truth);
    daemon_stop(&daemon);
    go_program_release(&program);
}

ParameterizedTestParameters(types, of_sites_are_what_the_program_declares)
{
    return every_go_version();
}

ParameterizedTest(struct go_version *version, types, of_sites_are_what_the_program_declares)
{
    check_program(version, "typed_target");
}

ParameterizedTestParameters(types, need_no_symbol_table)
{
    return every_go_version();
}

ParameterizedTest(struct go_version *version, types, need_no_symbol_table)
{
    check_program(version, "typed_target_stripped");
}
