/* The vote of the rules, on a program made up here: each of its functions refers to given
 * variables, in order.  That the rules are right for Go is shown by
 * tests/integration/stripped_symbols.sh. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/goproc/symbol_rules.h"

enum { REFS_MAX = 12, FUNCTIONS_MAX = 8, LEA_BYTES = 7, DATA = 0x2000000, DATA_BYTES = 0x10000 };

struct made_function {
    const char *name;
    uint32_t variables[REFS_MAX]; /* offsets into the data, first to last; 0 ends */
    bool unreadable;
};
struct made_program {
    struct made_function functions[FUNCTIONS_MAX];
};

static uint64_t address_of(size_t index)
{
    return 0x1000000 + 0x1000 * (uint64_t)index;
}

static size_t count_of(const struct made_function *function)
{
    size_t count = 0;
    while (count < REFS_MAX && function->variables[count] != 0)
        count++;
    return count;
}

static void find_functions(void *context, struct rule_function *functions, size_t count)
{
    const struct made_program *program = context;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < FUNCTIONS_MAX && program->functions[k].name != NULL; k++)
            if (strcmp(functions[i].name, program->functions[k].name) == 0) {
                functions[i].address = address_of(k);
                functions[i].length = LEA_BYTES * count_of(&program->functions[k]);
            }
}

/* LEAQ variable(RIP), AX; LEAQ next(RIP), AX; ... */
static bool read_code(void *context, uint64_t address, void *into, size_t length, struct error *err)
{
    const struct made_program *program = context;
    const struct made_function *function = &program->functions[(address - address_of(0)) / 0x1000];
    unsigned char *code = into;

    if (function->unreadable)
        return error_set(err, ERROR_CORRUPT, "made to fail");
    for (size_t i = 0; i < length / LEA_BYTES; i++) {
        uint64_t target = DATA + function->variables[i];
        uint32_t displacement = (uint32_t)(target - (address + (i + 1) * LEA_BYTES));
        memcpy(code + i * LEA_BYTES, (const unsigned char[]){0x48, 0x8d, 0x05}, 3);
        memcpy(code + i * LEA_BYTES + 3, &displacement, 4);
    }
    return true;
}

static struct rule_source source_of(struct made_program *program)
{
    return (struct rule_source){.context = program,
                                .find_functions = find_functions,
                                .read_code = read_code,
                                .arch = CODE_ARCH_AMD64,
                                .minor = 26,
                                .ranges = {{DATA, DATA + DATA_BYTES}}};
}

static struct rule_findings resolve(struct made_program *program)
{
    struct rule_source source = source_of(program);
    struct rule_findings findings;
    struct error err = {0};
    cr_assert(symbol_rules_resolve(&source, &findings, &err), "%s", err.message);
    return findings;
}

Test(symbol_rules, takes_the_variable_at_the_place_that_the_rule_names)
{
    struct made_program program = {
        {{.name = "runtime.stkbucket", .variables = {8, 16, 24, 32, 40, 48}}}};
    struct rule_findings findings = resolve(&program);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_BUCKHASH].address, DATA + 8);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_MBUCKETS].address, DATA + 32);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_XBUCKETS].address, DATA + 40);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_BBUCKETS].address, DATA + 48);
}

Test(symbol_rules, goes_back_from_a_member_to_the_start_of_its_variable)
{
    struct made_program program = {{{.name = "runtime.wakeNetPoller", .variables = {0x108}}}};
    struct rule_findings findings = resolve(&program);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_SCHED].address, DATA + 0x100);
}

Test(symbol_rules, finds_by_the_second_function_what_the_first_does_not_tell)
{
    struct made_program program = {
        {{.name = "runtime.mProf_FlushLocked", .variables = {64}, .unreadable = true},
         {.name = "runtime.stkbucket", .variables = {8, 16, 24, 32}}}};
    struct rule_findings findings = resolve(&program);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_MBUCKETS].address, DATA + 32);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_MBUCKETS].votes, 1);
}

Test(symbol_rules, knows_nothing_when_two_functions_contradict_each_other)
{
    struct made_program program = {{{.name = "runtime.mProf_FlushLocked", .variables = {64}},
                                    {.name = "runtime.stkbucket", .variables = {8, 16, 24, 32}}}};
    struct rule_findings findings = resolve(&program);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_MBUCKETS].address, 0);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_MBUCKETS].votes_against, 1);
}

Test(symbol_rules, lets_the_majority_decide_and_counts_the_others)
{
    struct made_program program = {
        {{.name = "runtime.gcControllerCommit", .variables = {8, 80}},
         {.name = "runtime.gcinit", .variables = {16, 160}},
         {.name = "runtime.gcTrigger.test", .variables = {8, 16, 24, 160}}}};
    struct rule_findings findings = resolve(&program);
    const struct rule_finding *controller = &findings.symbols[RULE_SYMBOL_GC_CONTROLLER];
    cr_assert_eq(controller->address, DATA + 160);
    cr_assert_eq(controller->votes, 2);
    cr_assert_eq(controller->votes_against, 1);
}

Test(symbol_rules, finds_the_lock_by_its_address_being_taken_twice)
{
    struct made_program program = {
        {{.name = "runtime.mProf_Flush", .variables = {8, 24, 32, 40, 32, 48}}}};
    struct rule_findings findings = resolve(&program);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_MPROF_ACTIVE_LOCK].address, DATA + 32);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_MPROF_CYCLE].address, DATA + 8);
}

Test(symbol_rules, does_not_choose_between_two_locks)
{
    struct made_program program = {
        {{.name = "runtime.mProf_Flush", .variables = {8, 24, 32, 24, 32}}}};
    cr_assert_eq(resolve(&program).symbols[RULE_SYMBOL_MPROF_ACTIVE_LOCK].address, 0);
}

Test(symbol_rules, keeps_to_the_versions_of_a_rule)
{
    struct made_program program = {{{.name = "runtime.tickspersecond", .variables = {8, 16}},
                                    {.name = "runtime.putfull", .variables = {24}}}};
    cr_assert_eq(resolve(&program).symbols[RULE_SYMBOL_TICKS].address, 0);

    struct rule_source source = source_of(&program);
    struct rule_findings findings;
    source.minor = 21;
    cr_assert(symbol_rules_resolve(&source, &findings, NULL));
    cr_assert_eq(findings.symbols[RULE_SYMBOL_TICKS].address, DATA + 16);
}

Test(symbol_rules, ignores_a_place_that_the_function_does_not_have)
{
    struct made_program program = {{{.name = "runtime.stkbucket", .variables = {8, 16}}}};
    struct rule_findings findings = resolve(&program);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_BUCKHASH].address, DATA + 8);
    cr_assert_eq(findings.symbols[RULE_SYMBOL_MBUCKETS].address, 0);
    cr_assert_null(findings.symbols[RULE_SYMBOL_MBUCKETS].rule);
}

Test(symbol_rules, refuses_a_program_whose_functions_have_other_names)
{
    struct made_program program = {{{.name = "a1b2c3.d4e5f6", .variables = {8}}}};
    struct rule_source source = source_of(&program);
    struct rule_findings findings;
    struct error err = {0};
    cr_assert_not(symbol_rules_resolve(&source, &findings, &err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED);
    cr_assert_not_null(strstr(err.message, "obfuscated"), "%s", err.message);
}

Test(symbol_rules, has_a_rule_for_every_variable)
{
    for (unsigned i = 0; i < RULE_SYMBOL_COUNT; i++) {
        enum rule_symbol symbol;
        cr_assert(symbol_rules_find(symbol_rules_name((enum rule_symbol)i), &symbol));
        cr_assert_eq(symbol, i);
        bool has_rule = false;
        for (size_t k = 0; k < symbol_rules_count(); k++) {
            (void)symbol_rules_at(k, &symbol);
            has_rule |= symbol == i;
        }
        cr_assert(has_rule, "%s", symbol_rules_name((enum rule_symbol)i));
    }
}
