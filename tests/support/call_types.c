/* call_types.c - the types at all calls that allocate in Go executables, found in more than one way.
 *
 *   call_types FILE          what is found from the code near a call is what is found from its function's entry
 *   call_types FILE OTHER    the program built for two processors: each function of package main that allocates
 *                            in both allocates the same types
 *
 * Names each difference and ends with 1 if there was one.  Run by tests/integration/call_types.sh. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/go_file.h"

enum { CALLS_MAX = 1 << 17, FUNCTIONS_MIN = 25 };

struct found {
    const struct go_file_call *call;
    char name[ALLOC_TYPE_NAME_BYTES]; /* "" if unknown */
};

struct program {
    struct go_file file;
    struct go_file_call *calls;
    size_t count;
    struct found *found; /* as many, in the order of the calls */
};

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "call_types: %s: %s\n", what, why);
    exit(2);
}

static struct found *find_all(const struct program *program, const struct alloc_types_source *source)
{
    struct alloc_types *types = alloc_types_new(source);
    struct found *found = calloc(program->count + 1, sizeof(*found));
    if (types == NULL || found == NULL)
        fail("types", "no memory");
    for (size_t i = 0; i < program->count; i++) {
        found[i].call = &program->calls[i];
        if (!alloc_types_find(types, program->calls[i].callee, &program->calls[i].frame, 1, 0,
                              found[i].name, &(bool){false}))
            found[i].name[0] = '\0';
    }
    alloc_types_free(types);
    return found;
}

static void open_program(struct program *program, const char *path)
{
    struct error err = {0};
    if (!go_file_open(&program->file, path, &err))
        fail("open", err.message);
    program->calls = go_file_calls(&program->file, CALLS_MAX, &program->count);
    if (program->calls == NULL || program->count == 0)
        fail(path, "no calls that allocate");
    const struct alloc_types_source source = go_file_types(&program->file);
    program->found = find_all(program, &source);
}

static void close_program(struct program *program)
{
    free(program->found);
    free(program->calls);
    go_file_close(&program->file);
}

/* From the entry of each function, as if its tables told nothing of its lines. */
static unsigned compare_ways(struct program *program, const char *path)
{
    struct alloc_types_source source = go_file_types(&program->file);
    unsigned differences = 0;
    size_t typed = 0, entry_only = 0, near_only = 0;

    source.functions = NULL;
    struct found *whole = find_all(program, &source);
    for (size_t i = 0; i < program->count; i++) {
        const char *near_name = program->found[i].name, *whole_name = whole[i].name;
        typed += near_name[0] != '\0';
        near_only += whole_name[0] == '\0' && near_name[0] != '\0';
        entry_only += whole_name[0] != '\0' && near_name[0] == '\0';
        if (whole_name[0] == '\0' || strcmp(near_name, whole_name) == 0)
            continue;
        printf("%s: %s calls %s at 0x%llx: %s near the call, %s from the entry\n", path,
               program->calls[i].caller, program->calls[i].callee,
               (unsigned long long)program->calls[i].frame.return_pc, near_name, whole_name);
        differences++;
    }
    printf("%s: %zu calls, %zu with a type; %zu only near the call, %zu only from the entry, %u "
           "differences\n",
           path, program->count, typed, near_only, entry_only, differences);
    free(whole);
    return differences;
}

static int by_function(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    const int order = strcmp(x->call->caller, y->call->caller);
    return order != 0 ? order : strcmp(x->name, y->name);
}

/* The next function of package main from found[*at] on: [*from, *at) afterwards. */
static bool next_function(const struct program *program, size_t *from, size_t *at)
{
    for (*from = *at; *from < program->count; *from = *at) {
        const char *caller = program->found[*from].call->caller;
        for (*at = *from; *at < program->count &&
                          strcmp(program->found[*at].call->caller, caller) == 0;)
            ++*at;
        if (strncmp(caller, "main.", 5) == 0)
            return true;
    }
    return false;
}

/* Whether [name] is among the types of found[from..to), or one of them is unknown. */
static bool has(const struct program *program, size_t from, size_t to, const char *name)
{
    for (size_t i = from; i < to; i++)
        if (program->found[i].name[0] == '\0' || strcmp(program->found[i].name, name) == 0)
            return true;
    return false;
}

static unsigned compare_function(const struct program *one, size_t from, size_t to,
                                 const struct program *two, const char *path)
{
    const char *caller = one->found[from].call->caller;
    size_t other_from = 0, other_to;
    unsigned differences = 0;

    while (other_from < two->count && strcmp(two->found[other_from].call->caller, caller) != 0)
        other_from++;
    for (other_to = other_from;
         other_to < two->count && strcmp(two->found[other_to].call->caller, caller) == 0;)
        other_to++;
    for (size_t i = from; i < to && other_from < two->count; i++)
        if (one->found[i].name[0] != '\0' && !has(two, other_from, other_to, one->found[i].name)) {
            printf("%s: %s allocates %s there alone\n", path, caller, one->found[i].name);
            differences++;
        }
    return differences;
}

static unsigned compare_programs(struct program *one, const char *path, struct program *two,
                                 const char *other)
{
    unsigned differences = 0, functions = 0;
    size_t from, at = 0, typed[2] = {0}, calls[2] = {0};
    struct program *programs[] = {one, two};

    for (size_t k = 0; k < 2; k++)
        qsort(programs[k]->found, programs[k]->count, sizeof(struct found), by_function);
    for (size_t k = 0; k < 2; k++) {
        for (at = 0; next_function(programs[k], &from, &at);) {
            functions++;
            differences += compare_function(programs[k], from, at, programs[1 - k],
                                            k == 0 ? path : other);
            for (size_t i = from; i < at; i++)
                typed[k] += programs[k]->found[i].name[0] != '\0';
            calls[k] += at - from;
        }
    }
    printf("%s: %zu of %zu calls of main have a type, of %s: %zu of %zu; %u differences\n", path,
           typed[0], calls[0], other, typed[1], calls[1], differences);
    for (size_t k = 0; k < 2; k++)
        if (typed[k] * 100 < calls[k] * 80) {
            printf("%s: less than 80 %% have a type\n", k == 0 ? path : other);
            differences++;
        }
    if (functions < 2 * FUNCTIONS_MIN) {
        printf("%s: only %u functions that allocate\n", path, functions);
        differences++;
    }
    return differences;
}

int main(int argc, char **argv)
{
    static struct program one, two;
    unsigned differences;

    if (argc != 2 && argc != 3)
        fail("usage", "call_types FILE [OTHER]");
    open_program(&one, argv[1]);
    if (argc == 3) {
        open_program(&two, argv[2]);
        differences = compare_programs(&one, argv[1], &two, argv[2]);
        close_program(&two);
    } else {
        differences = compare_ways(&one, argv[1]);
    }
    close_program(&one);
    return differences == 0 ? 0 : 1;
}
