/* symbol_rules.c - the table of rules, and the vote on what they say.
 *
 * Called by symbols.c.  The rules hold for programs of Go 1.18 to 1.27 in every build mode; each
 * was compared with the symbol tables of unstripped twins (tests/integration/stripped_symbols.sh).
 */
#include "core/goproc/symbol_rules.h"

#include <stdlib.h>
#include <string.h>

enum {
    FUNCTION_MAX_BYTES = 64 << 10, /* the largest in the table has some 6000 */
    ARCH_AMD64 = 1 << CODE_ARCH_AMD64,
    ARCH_ARM64 = 1 << CODE_ARCH_ARM64,
    ARCH_ANY = ARCH_AMD64 | ARCH_ARM64,
    /* Instead of a place in the list: the variable whose address alone is taken, twice. */
    LOCKED_AND_UNLOCKED = 255,
};

/* In [function], the [place]-th distinct variable referred to lies [member] bytes into the symbol.
 */
struct symbol_rule {
    uint8_t symbol;
    uint8_t place;
    uint16_t member;
    uint8_t archs;
    uint8_t first_minor; /* 0: no limit */
    uint8_t last_minor;  /* 0: no limit */
    const char *function;
};

/* clang-format off */
#define RULE_AT(arch, first, last, symbol, function, place, member) \
    {RULE_SYMBOL_##symbol, place, member, ARCH_##arch, first, last, "runtime." function}
#define RULE(symbol, function, place, member) RULE_AT(ANY, 0, 0, symbol, function, place, member)
#define RULE_ON(arch, symbol, function, place, member) \
    RULE_AT(arch, 0, 0, symbol, function, place, member)
#define RULE_IN(first, last, symbol, function, place, member) \
    RULE_AT(ANY, first, last, symbol, function, place, member)

/* Functions that a program which imports nothing but "time" has too, unless there is no other.
 * Source: src/runtime/{mprof,mcache,mheap,mgc,mgcpacer,mgcsweep,mgcwork,proc,stack,sema,symtab}.go. */
static const struct symbol_rule rules[] = {
    RULE_IN(18, 18, MBUCKETS, "mProf_FlushLocked",         1, 0),
    RULE_IN(19, 0, MBUCKETS,  "mProf_FlushLocked",         0, 0),
    RULE(MBUCKETS,            "stkbucket",                 3, 0),
    RULE(BBUCKETS,            "stkbucket",                 5, 0),
    RULE(XBUCKETS,            "stkbucket",                 4, 0),
    RULE(BUCKHASH,            "stkbucket",                 0, 0),
    RULE_IN(18, 18, MPROF_CYCLE, "mProf_Flush",            1, 4),
    RULE_IN(18, 18, MPROF_CYCLE, "mProf_Free",             1, 0),
    RULE_IN(18, 18, MPROF_CYCLE, "mProf_PostSweep",        1, 0),
    RULE_IN(19, 0, MPROF_CYCLE, "mProf_Flush",             0, 0),
    RULE_IN(19, 0, MPROF_CYCLE, "mProf_Free",              0, 0),
    RULE_IN(19, 0, MPROF_CYCLE, "mProf_PostSweep",         0, 0),
    /* The one lock of 1.18, which also guards the records of the future. */
    RULE_IN(18, 18, MPROF_ACTIVE_LOCK, "mProf_Free",       0, 0),
    RULE_IN(18, 18, MPROF_ACTIVE_LOCK, "saveblockevent",   0, 0),
    RULE(MPROF_ACTIVE_LOCK,   "mProf_Flush",               LOCKED_AND_UNLOCKED, 0),
    RULE(MPROF_ACTIVE_LOCK,   "mProf_PostSweep",           LOCKED_AND_UNLOCKED, 0),
    RULE_IN(23, 0, MPROF_ACTIVE_LOCK, "memProfileInternal", LOCKED_AND_UNLOCKED, 0),
    RULE_IN(18, 22, MPROF_ACTIVE_LOCK, "MemProfile",       LOCKED_AND_UNLOCKED, 0),
    RULE_IN(22, 0, PROF_BLOCK_LOCK, "saveBlockEventStack", 0, 0),
    RULE_IN(19, 21, PROF_BLOCK_LOCK, "saveblockevent",     0, 0),
    RULE(MEM_PROFILE_RATE,    "profilealloc",              1, 0),
    RULE(MEM_PROFILE_RATE,    "allocmcache",               1, 0),
    RULE(BLOCK_PROFILE_RATE,  "chanrecv",                  0, 0),
    RULE(BLOCK_PROFILE_RATE,  "chansend",                  0, 0),
    RULE(BLOCK_PROFILE_RATE,  "blockevent",                0, 0),
    RULE_AT(AMD64, 18, 20, MUTEX_PROFILE_RATE, "semacquire1", 1, 0),
    RULE_AT(AMD64, 21, 0, MUTEX_PROFILE_RATE, "semacquire1", 2, 0),
    RULE_AT(ARM64, 18, 20, MUTEX_PROFILE_RATE, "semacquire1", 2, 0),
    RULE_AT(ARM64, 21, 0, MUTEX_PROFILE_RATE, "semacquire1", 3, 0),
    RULE_IN(23, 24, MUTEX_PROFILE_RATE, "(*mLockProfile).store", 1, 0),
    RULE_IN(25, 0, MUTEX_PROFILE_RATE, "(*mLockProfile).storeSlow", 1, 0),
    /* Up to 1.18 heapStats is not the first member. */
    RULE_IN(18, 18, MEMSTATS, "(*mcache).releaseAll",      2, 5960),
    RULE_IN(18, 18, MEMSTATS, "(*mheap).grow",             1, 48),
    RULE_IN(18, 18, MEMSTATS, "(*mcache).allocLarge",      1, 5960),
    RULE_IN(18, 18, MEMSTATS, "(*mcache).refill",          3, 5960),
    RULE_IN(19, 0, MEMSTATS,  "(*mcache).releaseAll",      2, 0),
    RULE_IN(19, 0, MEMSTATS,  "(*mheap).grow",             2, 0),
    RULE_IN(19, 0, MEMSTATS,  "(*mcache).allocLarge",      1, 0),
    RULE_IN(19, 0, MEMSTATS,  "(*mcache).refill",          3, 0),
    RULE(GC_CONTROLLER,       "gcControllerCommit",        1, 0),
    RULE_IN(18, 18, GC_CONTROLLER, "gcinit",               1, 8),
    RULE_AT(AMD64, 18, 18, GC_CONTROLLER, "(*mcache).refill", 4, 0),
    RULE_IN(18, 18, GC_CONTROLLER, "(*gcWork).balance",    1, 0),
    RULE_IN(19, 0, GC_CONTROLLER, "gcinit",                1, 0),
    RULE(GC_CONTROLLER,       "gcTrigger.test",            3, 0),
    RULE(MHEAP,               "(*mcache).allocLarge",      0, 0),
    RULE(MHEAP,               "allocmcache.func1",         0, 0),
    RULE(MHEAP,               "gcResetMarkState",          0, 0),
    RULE(MHEAP,               "stackpoolalloc",            1, 0),
    RULE(ALLGS,               "forEachG",                  1, 0),
    RULE_IN(22, 0, ALLGS,     "gcMarkRootPrepare",        11, 0),
    RULE(ALLGLEN,             "forEachGRace",              0, 0),
    RULE(ALLGLEN,             "allgadd",                   6, 0),
    RULE(ALLGPTR,             "forEachGRace",              1, 0),
    RULE(ALLGPTR,             "allgadd",                   5, 0),
    RULE(ALLP,                "gcMarkTinyAllocs",          0, 0),
    RULE(ALLP,                "preemptall",                0, 0),
    RULE(ALLP,                "timeSleepUntil",            1, 0),
    RULE(ALLM,                "mexit",                     3, 0),
    RULE_ON(AMD64, SCHED,     "oneNewExtraM",              1, 0),
    RULE_ON(ARM64, SCHED,     "oneNewExtraM",              2, 0),
    RULE(SCHED,               "wakeNetPoller",             0, 8),
    RULE(SCHED,               "pollWork",                  3, 8),
    RULE(GOMAXPROCS,          "procresize",                0, 0),
    RULE(GOMAXPROCS,          "sysmon",                    6, 0),
    RULE(GOMAXPROCS,          "(*scavengerState).init.func4", 0, 0),
    RULE(WORK,                "putfull",                   0, 0),
    RULE(WORK,                "trygetfull",                0, 0),
    RULE(WORK,                "prepareFreeWorkbufs",       1, 0),
    RULE(GCPHASE,             "gcMarkTermination",         0, 0),
    RULE(GCPHASE,             "(*gcWork).balance",         0, 0),
    RULE(GCPHASE,             "gcSweep",                   0, 0),
    RULE(WAIT_REASON_STRINGS, "waitReason.String",         0, 0),
    RULE(WAIT_REASON_STRINGS, "(*waitReason).String",      0, 0),
    RULE(WAIT_REASON_STRINGS, "schedtrace.func1",          0, 0),
    RULE(MODULES_SLICE,       "itabsinit",                 1, 0),
    RULE(MODULES_SLICE,       "bulkBarrierPreWrite",       2, 0),
    RULE_ON(AMD64, DEBUG,     "(*sweepLocked).sweep",      5, 4),
    RULE_ON(ARM64, DEBUG,     "(*sweepLocked).sweep",      6, 4),
    RULE_IN(19, 0, SCAVENGE,  "gcPaceScavenger",           6, 0),
    RULE(SCAVENGE,            "(*scavengerState).init.func3", 2, 0),
    RULE(SWEEP,               "bgsweep",                   2, 0),
    RULE_IN(18, 21, SWEEP,    "gcinit",                    0, 28),
    RULE_IN(22, 0, SWEEP,     "gcinit",                    0, 20),
    RULE_IN(18, 21, SWEEP,    "sweepone",                  0, 28),
    RULE_IN(22, 0, SWEEP,     "sweepone",                  0, 20),
    RULE_IN(18, 21, TICKS,    "tickspersecond",            1, 0),
    RULE_IN(22, 0, TICKS,     "ticksPerSecond",            1, 0),
    RULE_IN(22, 0, TICKS,     "(*ticksType).init",         0, 0),
};
/* clang-format on */

enum { RULE_COUNT = sizeof(rules) / sizeof(rules[0]) };
_Static_assert(RULE_SYMBOL_COUNT <= UINT8_MAX, "a rule keeps its symbol in a byte");

static const char *const names[RULE_SYMBOL_COUNT] = {
#define RULE_SYMBOLS_NAME(id, name) [RULE_SYMBOL_##id] = name,
    RULE_SYMBOLS(RULE_SYMBOLS_NAME)
#undef RULE_SYMBOLS_NAME
};

const char *symbol_rules_name(enum rule_symbol symbol)
{
    return names[symbol];
}

bool symbol_rules_find(const char *name, enum rule_symbol *symbol)
{
    for (unsigned i = 0; i < RULE_SYMBOL_COUNT; i++)
        if (strcmp(names[i], name) == 0) {
            *symbol = (enum rule_symbol)i;
            return true;
        }
    return false;
}

/* Applying a rule. */

static bool applies(const struct symbol_rule *rule, const struct rule_source *source)
{
    /* A version that is not known is taken for a new one. */
    unsigned minor = source->minor != 0 ? source->minor : UINT8_MAX;

    return (rule->archs & 1U << source->arch) != 0 && minor >= rule->first_minor &&
           (rule->last_minor == 0 || minor <= rule->last_minor);
}

static const struct code_ref *pick(const struct symbol_rule *rule, const struct code_refs *refs)
{
    if (rule->place != LOCKED_AND_UNLOCKED)
        return rule->place < refs->count ? &refs->refs[rule->place] : NULL;

    const struct code_ref *picked = NULL;
    for (size_t i = 0; i < refs->count; i++) {
        const struct code_ref *ref = &refs->refs[i];
        if (ref->address_taken < 2 || ref->count != ref->address_taken)
            continue;
        if (picked != NULL)
            return NULL; /* two locks: which one is ours is not known */
        picked = ref;
    }
    return picked;
}

/* What one function says on the symbols that have a rule for it. */
static bool read_refs(const struct rule_source *source, const struct rule_function *function,
                      unsigned char *code, struct code_refs *refs)
{
    return function->length > 0 && function->length <= FUNCTION_MAX_BYTES &&
           source->read_code(source->context, function->address, code, (size_t)function->length,
                             NULL) &&
           code_refs_collect(source->arch, code, (size_t)function->length, function->address,
                             source->ranges, sizeof(source->ranges) / sizeof(source->ranges[0]),
                             refs, NULL);
}

static bool address_from(const struct symbol_rule *rule, const struct code_refs *refs,
                         uint64_t *address)
{
    const struct code_ref *ref = pick(rule, refs);

    if (ref == NULL || ref->target < rule->member)
        return false;
    *address = ref->target - rule->member;
    return true;
}

/* The vote. */

struct ballot {
    uint64_t address[RULE_COUNT]; /* 0: the rule says nothing */
};

static void count_votes(const struct ballot *ballot, struct rule_findings *findings)
{
    for (size_t i = 0; i < RULE_COUNT; i++) {
        struct rule_finding finding = {.address = ballot->address[i], .rule = &rules[i]};
        if (finding.address == 0)
            continue;
        for (size_t other = 0; other < RULE_COUNT; other++) {
            if (rules[other].symbol != rules[i].symbol || ballot->address[other] == 0)
                continue;
            if (ballot->address[other] == finding.address)
                finding.votes++;
            else
                finding.votes_against++;
        }
        struct rule_finding *best = &findings->symbols[rules[i].symbol];
        if (finding.votes > best->votes)
            *best = finding;
    }
    for (size_t i = 0; i < RULE_SYMBOL_COUNT; i++) {
        struct rule_finding *finding = &findings->symbols[i];
        if (finding->votes <= finding->votes_against)
            finding->address = 0;
    }
}

/* One entry for each function that a rule of this program names. */
static size_t list_functions(const struct rule_source *source, struct rule_function *functions)
{
    size_t count = 0;

    for (size_t i = 0; i < RULE_COUNT; i++) {
        size_t at = 0;
        if (!applies(&rules[i], source))
            continue;
        while (at < count && strcmp(functions[at].name, rules[i].function) != 0)
            at++;
        if (at == count)
            functions[count++] = (struct rule_function){.name = rules[i].function};
    }
    return count;
}

bool symbol_rules_resolve(const struct rule_source *source, struct rule_findings *findings,
                          struct error *err)
{
    struct rule_function functions[RULE_COUNT];
    struct ballot ballot = {.address = {0}};
    struct code_refs refs;
    size_t count = list_functions(source, functions);
    unsigned char *code = malloc(FUNCTION_MAX_BYTES);

    *findings = (struct rule_findings){.functions_wanted = count};
    if (code == NULL)
        return error_set(err, ERROR_NO_MEMORY, "symbols: no memory");
    source->find_functions(source->context, functions, count);
    for (size_t f = 0; f < count; f++) {
        findings->functions_found += functions[f].length != 0;
        if (!read_refs(source, &functions[f], code, &refs))
            continue;
        for (size_t i = 0; i < RULE_COUNT; i++)
            if (applies(&rules[i], source) && strcmp(rules[i].function, functions[f].name) == 0 &&
                !address_from(&rules[i], &refs, &ballot.address[i]))
                ballot.address[i] = 0;
    }
    free(code);
    if (findings->functions_found == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "stripped, and its functions do not have the names of Go's runtime "
                         "(obfuscated?): its variables cannot be found");
    count_votes(&ballot, findings);
    return true;
}

/* For tests and messages. */

size_t symbol_rules_count(void)
{
    return RULE_COUNT;
}

const struct symbol_rule *symbol_rules_at(size_t index, enum rule_symbol *symbol)
{
    *symbol = (enum rule_symbol)rules[index].symbol;
    return &rules[index];
}

void symbol_rule_describe(const struct symbol_rule *rule, char *text, size_t capacity)
{
    const char *function = rule->function + strlen("runtime.");
    int length = rule->place == LOCKED_AND_UNLOCKED
                     ? snprintf(text, capacity, "%s, lock", function)
                     : snprintf(text, capacity, "%s, %u-%u", function, rule->place, rule->member);

    if (length < 0 && capacity > 0)
        text[0] = '\0';
}

bool symbol_rule_apply(const struct symbol_rule *rule, const struct rule_source *source,
                       uint64_t *address)
{
    struct rule_function function = {.name = rule->function};
    struct code_refs refs;
    bool found = false;

    if (!applies(rule, source))
        return false;
    source->find_functions(source->context, &function, 1);
    unsigned char *code = malloc(FUNCTION_MAX_BYTES);
    if (code != NULL)
        found = read_refs(source, &function, code, &refs) && address_from(rule, &refs, address);
    free(code);
    return found;
}
