/* stripped_symbols.c - compares what is found in a stripped program with its unstripped twin.
 *
 *   stripped_symbols TWIN PROGRAM                   PROGRAM is read as a file
 *   stripped_symbols TWIN PROGRAM COMMAND [ARG...]  COMMAND is run, and PROGRAM, which must be
 *                                                   among its mappings, read in its memory;
 *                                                   "-": it is in anonymous memory, without a file
 *
 * TWIN has the symbol table of the same build.  Compared are the address of every variable, of
 * every single rule, runtime.firstmoduledata, the Go version, and what debug information tells of
 * the layout with the table; in a running process what was found must also pass the checks that
 * goprofd makes.  Names each difference and ends with 1 if there was one.  Run by
 * tests/integration/stripped_symbols.sh. */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/goproc/buildinfo.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/heap_stats.h"
#include "core/goproc/image_copy.h"
#include "core/goproc/layout_dwarf.h"
#include "core/goproc/memory.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/pclntab.h"
#include "core/goproc/procfs.h"
#include "core/goproc/stripped.h"
#include "core/goproc/symbol_checks.h"
#include "core/goproc/symbol_rules.h"
#include "core/goproc/symbols.h"

#define START_TIMEOUT_NS UINT64_C(10000000000)
#define TRY_AGAIN_US 20000

struct comparison {
    const char *path;
    struct elf_file *twin;
    struct elf_file *elf;
    uint64_t bias;
    struct memory memory;
    char version[STRIPPED_VERSION_MAX_BYTES + 1];
    const struct go_layout *layout;
    struct moduledata module;
    struct pclntab *functions;
    double find_module_ms;
    double load_functions_ms;
    double find_symbols_ms;
    unsigned wrong;
    unsigned compared;
};

/* What we compute counts, not what others do on the machine meanwhile. */
static double cpu_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static struct elf_file *open_elf(const char *path)
{
    struct error err;
    struct elf_file *elf = elf_file_open(open(path, O_RDONLY | O_CLOEXEC), &err);

    if (elf == NULL) {
        fprintf(stderr, "%s: %s\n", path, err.message);
        exit(2);
    }
    return elf;
}

/* The bytes of the file, at the addresses for which it was linked. */
static size_t file_source(void *context, const struct memory_part *parts, size_t count,
                          struct error *err)
{
    size_t copied = 0;

    for (size_t i = 0; i < count; i++) {
        if (!elf_file_read_address(context, parts[i].address, parts[i].into, parts[i].length, err))
            return copied;
        copied += parts[i].length;
    }
    return copied;
}

/* Where [path] is mapped in process [pid]. */
static bool find_mapping(pid_t pid, const char *path, uint64_t *start, uint64_t *offset)
{
    char maps_path[64], line[PATH_MAX + 128], real[PATH_MAX];
    bool found = false;

    snprintf(maps_path, sizeof(maps_path), "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(maps_path, "re");
    if (maps == NULL || realpath(path, real) == NULL) {
        if (maps != NULL)
            fclose(maps);
        return false;
    }
    while (!found && fgets(line, sizeof(line), maps) != NULL) {
        char *name = strchr(line, '/');
        line[strcspn(line, "\n")] = '\0';
        found = name != NULL && strcmp(name, real) == 0 &&
                sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64, start, offset) == 2;
    }
    fclose(maps);
    return found;
}

/* The program that [pid] unpacked in its memory, once it is there. */
static bool find_unpacked(struct comparison *with, pid_t pid, struct error *err)
{
    const struct procfs fs = {.root = "/"};
    struct procfs_maps maps = {0};
    uint64_t start;

    if (with->elf != NULL)
        return true;
    if (!procfs_maps_read(&fs, pid, &maps, err))
        return false;
    int fd = image_copy_open(&with->memory, &maps, &start, err);
    procfs_maps_release(&maps);
    if (fd != -1)
        with->elf = elf_file_open(fd, err);
    with->bias = with->elf != NULL ? elf_file_load_bias(with->elf, start, 0) : 0;
    return with->elf != NULL;
}

/* Finding, the way goprofd does without a symbol table. */

static bool find_all(struct comparison *with, struct error *err)
{
    struct moduledata front;

    double start_ms = cpu_ms();
    if (!moduledata_find(with->elf, &with->memory, with->bias, NULL, &front, err) ||
        !stripped_find_version(with->elf, with->bias, &with->memory, &front, with->version, err) ||
        (with->layout = go_layout_find(with->version, err)) == NULL ||
        (elf_file_machine(with->elf) == ELF_MACHINE_AARCH64 &&
         (with->layout = go_layout_arm64(with->layout)) == NULL) ||
        !moduledata_read(&with->memory, front.address, with->layout, &with->module, err))
        return false;
    with->find_module_ms = cpu_ms() - start_ms;
    start_ms = cpu_ms();
    with->functions = pclntab_load(with->elf, with->bias, &with->module, with->layout, err);
    with->load_functions_ms = cpu_ms() - start_ms;
    return with->functions != NULL;
}

static bool prove_live(struct comparison *with, const struct symbols *symbols, struct error *err)
{
    struct heap_stats *stats = heap_stats_new(&with->memory, with->layout, symbols);
    bool proven = stats != NULL &&
                  symbol_checks_run(&with->memory, with->layout, &with->module, symbols, err) &&
                  heap_stats_check(stats, err);

    heap_stats_free(stats);
    return proven;
}

/* Comparing. */

static void complain(struct comparison *with, const char *what, uint64_t got, uint64_t expected)
{
    fprintf(stderr, "%s: %s is at 0x%" PRIx64 ", not at 0x%" PRIx64 "\n", with->path, what,
            expected, got);
    with->wrong++;
}

/* What the twin calls [name]: up to Go 1.18 some variables had other names. */
static const char *its_name(const struct comparison *with, const char *name)
{
    const bool is_old = with->layout != NULL && with->layout->minor <= 18;
    for (unsigned i = 0; i < SYMBOL_COUNT && is_old; i++) {
        const char *older = symbols_older_name((enum symbol_id)i);
        if (older != NULL && strcmp(symbols_name((enum symbol_id)i), name) == 0)
            return older;
    }
    return name;
}

/* The live address of [name] according to the twin; 0 if it has none. */
static uint64_t true_address(const struct comparison *with, const char *name)
{
    struct elf_symbol symbol = {.name = its_name(with, name)};

    return elf_file_find_symbols(with->twin, &symbol, 1, NULL) && symbol.found
               ? symbol.address + with->bias
               : 0;
}

static void compare_version(struct comparison *with)
{
    struct arena *arena = arena_new(8 << 20, 4096);
    struct buildinfo info;
    struct error err;

    if (arena == NULL || !buildinfo_read(with->twin, arena, &info, &err)) {
        fprintf(stderr, "%s: the twin's build information cannot be read\n", with->path);
        with->wrong++;
    } else if (strcmp(info.go_version, with->version) != 0) {
        fprintf(stderr, "%s: version \"%s\", not \"%s\"\n", with->path, info.go_version,
                with->version);
        with->wrong++;
    }
    arena_free(arena);
}

/* What the twin's debug information tells must be what the table says; it is told nothing but the
 * oldest column to start from. */
static void compare_layout(struct comparison *with)
{
    struct go_layout told = *go_layout_find("go1.18.10", NULL);
    told.minor = with->layout->minor;
    struct error err;
    static const struct {
        const char *name;
        size_t at;
    } members[] = {
#define MEMBER(member, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27)                           \
    {#member, offsetof(struct go_layout, member)},
        GO_LAYOUT_MEMBERS(MEMBER) GO_LAYOUT_MEMBERS_AMD64(MEMBER)
#undef MEMBER
    };

    if (!layout_dwarf_apply(with->twin, &told, &err)) {
        if (err.code == ERROR_NOT_FOUND) /* built with -w */
            return;
        fprintf(stderr, "%s: debug information: %s\n", with->path, err.message);
        with->wrong++;
        return;
    }
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        uint32_t is, table;
        memcpy(&is, (const char *)&told + members[i].at, sizeof(is));
        memcpy(&table, (const char *)with->layout + members[i].at, sizeof(table));
        /* A struct that the program does not use is not in it. */
        if (is == table || (is == GO_LAYOUT_ABSENT && strncmp(members[i].name, "ticks_", 6) == 0))
            continue;
        fprintf(stderr, "%s: debug information says %u for %s, the table %u\n", with->path, is,
                members[i].name, table);
        with->wrong++;
    }
    if (told.size_exact != with->layout->size_exact) {
        fprintf(stderr, "%s: whether records hold bytes was not told\n", with->path);
        with->wrong++;
    }
}

static void compare_rules(struct comparison *with, const struct stripped_program *program)
{
    for (size_t i = 0; i < symbol_rules_count(); i++) {
        enum rule_symbol symbol;
        uint64_t address, expected;
        char text[96];
        const struct symbol_rule *rule = symbol_rules_at(i, &symbol);
        if (!stripped_apply_rule(program, rule, &address))
            continue;
        expected = true_address(with, symbol_rules_name(symbol));
        with->compared++;
        if (address == expected)
            continue;
        symbol_rule_describe(rule, text, sizeof(text));
        fprintf(stderr, "%s: rule %s: ", with->path, text);
        complain(with, symbol_rules_name(symbol), address, expected);
    }
}

static unsigned compare_symbols(struct comparison *with, const struct rule_findings *findings)
{
    unsigned found = 0;

    for (unsigned i = 0; i < RULE_SYMBOL_COUNT; i++) {
        const char *name = symbol_rules_name((enum rule_symbol)i);
        const struct rule_finding *finding = &findings->symbols[i];
        uint64_t expected = true_address(with, name);
        if (finding->address == 0) {
            if (expected != 0 && (finding->rule != NULL || getenv("STRIPPED_VERBOSE") != NULL))
                fprintf(stderr, "%s: %s was not found (%u votes, %u against)\n", with->path, name,
                        finding->votes, finding->votes_against);
            continue;
        }
        found++;
        if (finding->address != expected)
            complain(with, name, finding->address, expected);
        if (finding->votes_against > 0) {
            fprintf(stderr, "%s: %u rules disagree on %s\n", with->path, finding->votes_against,
                    name);
            with->wrong++;
        }
    }
    return found;
}

static void compare(struct comparison *with, bool live)
{
    struct error err = {0};
    struct rule_findings findings;
    struct symbols symbols;
    const struct stripped_program program = {.elf = with->elf,
                                             .bias = with->bias,
                                             .module = &with->module,
                                             .functions = with->functions,
                                             .minor = with->layout->minor};

    double start_ms = cpu_ms();
    bool ok = stripped_find_symbols(&program, &symbols, &err);
    with->find_symbols_ms = cpu_ms() - start_ms;
    if (!ok || !stripped_apply_rules(&program, &findings, &err) ||
        (live && !prove_live(with, &symbols, &err))) {
        fprintf(stderr, "%s: %s\n", with->path, err.message);
        with->wrong++;
        return;
    }
    compare_version(with);
    compare_layout(with);
    uint64_t module = true_address(with, "runtime.firstmoduledata");
    if (module != with->module.address)
        complain(with, "runtime.firstmoduledata", with->module.address, module);
    unsigned found = compare_symbols(with, &findings);
    compare_rules(with, &program);
    printf(
        "%-44s %-10s %-6s %u symbols, %u rules, %zu of %zu functions, %u wrong;  module %.2f ms, "
        "tables %.2f ms, symbols %.2f ms of CPU\n",
        with->path, with->version, live ? "live" : "file", found, with->compared,
        findings.functions_found, findings.functions_wanted, with->wrong, with->find_module_ms,
        with->load_functions_ms, with->find_symbols_ms);
}

static pid_t start(char **command)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever becomes of us, none is left behind */
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execv(command[0], command);
        _exit(127);
    }
    return pid;
}

/* Tries until the process has got as far as having a heap. */
static bool find_in_process(struct comparison *with, pid_t pid, struct error *err)
{
    uint64_t deadline_ns = clock_monotonic_ns() + START_TIMEOUT_NS, address, offset;

    /* Not relocatable, and copied only when it runs: before, the packer may be at work. */
    const bool unpacked = strcmp(with->path, "-") == 0;

    if (!memory_open_process(&with->memory, pid, err))
        return false;
    do {
        uint64_t gomaxprocs = 0;
        usleep(TRY_AGAIN_US);
        if (!unpacked && !find_mapping(pid, with->path, &address, &offset)) {
            error_set(err, ERROR_NOT_FOUND, "it is not among the mappings of the command");
            continue;
        }
        if (!unpacked)
            with->bias = elf_file_load_bias(with->elf, address, offset);
        uint64_t started = true_address(with, "runtime.mheap_");
        if (!memory_read(&with->memory, true_address(with, "runtime.allp"), &gomaxprocs, 8, err) ||
            gomaxprocs == 0 || started == 0) {
            error_set(err, ERROR_BUSY, "its runtime does not start");
            continue;
        }
        usleep(5 * TRY_AGAIN_US);
        if (unpacked && !find_unpacked(with, pid, err))
            continue;
        if (find_all(with, err))
            return true;
    } while (clock_monotonic_ns() < deadline_ns && waitpid(pid, NULL, WNOHANG) == 0);
    return false;
}

int main(int argc, char **argv)
{
    struct comparison with = {0};
    struct error err = {0};
    pid_t pid = 0;
    bool found;

    if (argc < 3) {
        fprintf(stderr, "usage: stripped_symbols TWIN PROGRAM [COMMAND [ARG...]]\n");
        return 2;
    }
    with.path = argv[2];
    with.twin = open_elf(argv[1]);
    with.elf = strcmp(argv[2], "-") == 0 ? NULL : open_elf(argv[2]);
    if (with.elf == NULL && argc < 4) {
        fprintf(stderr, "stripped_symbols: \"-\" needs a command\n");
        return 2;
    }
    if (argc > 3) {
        pid = start(argv + 3);
        found = pid > 0 && find_in_process(&with, pid, &err);
    } else {
        with.memory = (struct memory){.source_ = file_source, .context_ = with.elf};
        found = find_all(&with, &err);
    }
    if (!found) {
        fprintf(stderr, "%s: %s\n", with.path, err.message);
        with.wrong++;
    } else {
        compare(&with, argc > 3);
    }
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    pclntab_free(with.functions);
    memory_close(&with.memory);
    elf_file_close(with.elf);
    elf_file_close(with.twin);
    return with.wrong == 0 ? 0 : 1;
}
