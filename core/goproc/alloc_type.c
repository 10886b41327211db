/* alloc_type.c - the Go type that a call of an allocating runtime function allocates.
 *
 * Called by call_stacks.c for each new site.  The functions and their parameters: the compiler's list
 * (src/cmd/compile/internal/typecheck/_builtin/runtime.go) and src/runtime/{malloc,slice,chan,map,iface}.go,
 * Go 1.19 to 1.27. */
#include "core/goproc/alloc_type.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/goproc/call_target.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/memory.h"
#include "core/goproc/pclntab.h"

enum form {
    FORM_SELF,  /* one object of the type */
    FORM_SLICE, /* an array of elements of the type, behind a slice */
    FORM_MAP,
    FORM_CHAN,
};

/* Functions of the package runtime.  A pattern that ends in '*' matches every longer name; the first match
 * counts. */
static const struct allocator {
    const char *pattern;
    unsigned argument;    /* that is the *type */
    unsigned argument_19; /* the same in Go 1.19 */
    enum form form;
} allocators[] = {
    {"newobject", 0, 0, FORM_SELF},
    {"mallocgcSmall*", 1, 1, FORM_SELF}, /* specialised by size, 1.26 and later */
    {"mallocgcTiny*", 1, 1, FORM_SELF},
    {"convT", 0, 0, FORM_SELF},
    {"convTnoptr", 0, 0, FORM_SELF},
    {"newarray", 0, 0, FORM_SLICE},
    {"makeslice", 0, 0, FORM_SLICE},
    {"makeslice64", 0, 0, FORM_SLICE},
    {"makeslicecopy", 0, 0, FORM_SLICE},
    {"growslice*", 4, 0, FORM_SLICE},
    {"moveSlice", 0, 0, FORM_SLICE},
    {"moveSliceNoCap", 0, 0, FORM_SLICE},
    {"makechan", 0, 0, FORM_CHAN},
    {"makechan64", 0, 0, FORM_CHAN},
    {"makemap", 0, 0, FORM_MAP},
    {"makemap64", 0, 0, FORM_MAP},
    {"mapassign*", 0, 0, FORM_MAP},
};

enum { TYPES_KEPT = 128 };
struct known_type {
    uint64_t address; /* 0: none */
    struct go_type type;
};

struct alloc_types {
    struct alloc_types_source source;
    struct call_values *values;
    struct known_type *read; /* types read of late, by address */
};

struct alloc_types *alloc_types_new(const struct alloc_types_source *source)
{
    struct alloc_types *types = calloc(1, sizeof(*types));
    if (types == NULL)
        return NULL;
    types->source = *source;
    types->values = call_values_new(source->elf, source->bias, source->functions);
    types->read = calloc(TYPES_KEPT, sizeof(*types->read));
    if (types->values == NULL || types->read == NULL) {
        alloc_types_free(types);
        return NULL;
    }
    return types;
}

void alloc_types_free(struct alloc_types *types)
{
    if (types == NULL)
        return;
    call_values_free(types->values);
    free(types->read);
    free(types);
}

static const struct allocator *find_allocator(const char *function)
{
    static const char package[] = "runtime.";

    if (strncmp(function, package, sizeof(package) - 1) != 0)
        return NULL;
    function += sizeof(package) - 1;
    for (size_t i = 0; i < sizeof(allocators) / sizeof(allocators[0]); i++) {
        const char *pattern = allocators[i].pattern;
        if (pattern[0] != function[0] || pattern[1] != function[1] || pattern[2] != function[2])
            continue; /* all are longer; this is asked for each site */
        const size_t length = strlen(pattern);
        if (pattern[length - 1] == '*' ? strncmp(pattern, function, length - 1) == 0
                                       : strcmp(pattern, function) == 0)
            return &allocators[i];
    }
    return NULL;
}

bool alloc_types_knows(const char *function)
{
    return find_allocator(function) != NULL;
}

/* Addresses. */

/* Whether the program itself cannot change what is at [address]: only there are dictionaries. */
static bool is_constant(const struct alloc_types *types, uint64_t address)
{
    const uint64_t linked = address - types->source.bias;
    const struct elf_section *relocated =
        elf_file_section(types->source.elf, ".data.rel.ro");
    size_t count;
    const struct elf_segment *segments = elf_file_segments(types->source.elf, &count);

    if (address < types->source.bias || address % 8 != 0)
        return false;
    if (relocated != NULL && linked >= relocated->address &&
        linked - relocated->address < relocated->bytes)
        return true;
    for (size_t i = 0; i < count; i++)
        if (!segments[i].writable && linked >= segments[i].address &&
            linked - segments[i].address < segments[i].file_bytes)
            return true;
    return false;
}

static bool read_constant(const struct alloc_types *types, uint64_t from, uint64_t *word)
{
    return types->source.memory != NULL && is_constant(types, from) &&
           memory_read(types->source.memory, from, word, sizeof(*word), NULL);
}

/* The address that [value] in frames[0] is; up the callers where it was handed in. */
static bool address_of(struct alloc_types *types, const struct alloc_frame *frames, size_t count,
                       struct call_value value, uint64_t *address)
{
    struct call_value passed[ALLOC_TYPE_CALLERS_MAX];
    size_t depth = 0;

    passed[0] = value;
    while (passed[depth].kind == CALL_VALUE_PARAMETER) {
        const unsigned argument = passed[depth++].parameter;
        uint64_t called;
        /* A caller that did not call the function below it (a wrapper is left out of the stack) passed
         * something else. */
        if (depth == count || depth == ALLOC_TYPE_CALLERS_MAX ||
            !call_target_before(types->source.elf, types->source.bias, frames[depth].return_pc,
                                &called) ||
            called != frames[depth - 1].entry)
            return false;
        passed[depth] = call_values_find(types->values, &frames[depth], argument);
    }
    if (passed[depth].kind != CALL_VALUE_ADDRESS)
        return false;
    *address = passed[depth].address;
    for (size_t i = depth + 1; i-- > 0;)
        for (unsigned k = 0; k < passed[i].load_count; k++)
            if (!read_constant(types, *address + (uint64_t)(int64_t)passed[i].loads[k], address))
                return false;
    return true;
}

/* The same types are allocated in many places. */
static bool read_type(struct alloc_types *types, uint64_t address, struct go_type *type)
{
    struct known_type *known = &types->read[address / 32 % TYPES_KEPT];

    if (known->address != address || address == 0) {
        known->address = 0;
        if (!go_type_read(types->source.elf, types->source.bias, &types->source.types, address,
                          &known->type))
            return false;
        known->address = address;
    }
    *type = known->type;
    return true;
}

/* Shapes in Go 1.19.
 *
 * An instance of a generic function there passes the type of its shape, such as go.shape.int_0.  The number
 * says which type argument that is, and the dictionary, its own first argument, begins with their types. */

static bool shape_of_argument(const char *name, unsigned *argument)
{
    static const char shape[] = "go.shape.";
    const char *number = strrchr(name, '_');

    if (strncmp(name, shape, sizeof(shape) - 1) != 0 || strstr(name + 1, shape) != NULL ||
        number == NULL || number[1] < '0' || number[1] > '9' || number[2] != '\0')
        return false;
    *argument = (unsigned)(number[1] - '0');
    return true;
}

/* Whether the call stands in an instance of a generic function itself, not in what was inlined into it, whose
 * type arguments are other ones. */
static bool is_in_instance(const struct alloc_types *types, const struct alloc_frame *frame)
{
    struct pclntab_frame found;

    return types->source.functions != NULL &&
           pclntab_frame_at(types->source.functions, frame->return_pc, &found) && !found.inlined &&
           found.entry == frame->entry && memchr(found.function.text, '[', found.function.length);
}

/* Puts the type that a shape stands for in its place; one that is no shape stays. */
static bool replace_shape(struct alloc_types *types, const struct alloc_frame *frames, size_t count,
                          struct go_type *type)
{
    enum { WORD_BYTES = 8 };
    struct call_value of_dictionary = {.kind = CALL_VALUE_PARAMETER, .load_count = 1};
    struct go_type real;
    uint64_t address;
    unsigned argument;

    if (!shape_of_argument(type->name, &argument))
        return strstr(type->name, "go.shape.") == NULL;
    of_dictionary.loads[0] = (int32_t)(argument * WORD_BYTES);
    if (!is_in_instance(types, &frames[0]) ||
        !address_of(types, frames, count, of_dictionary, &address) ||
        !read_type(types, address, &real) || real.size != type->size || real.kind != type->kind)
        return false;
    *type = real;
    return true;
}

/* The same for a map of shapes, whose key and element are told behind what all types have. */
static bool replace_shapes_of_map(struct alloc_types *types, const struct alloc_frame *frames,
                                  size_t count, uint64_t address, struct go_type *type)
{
    enum { AT_KEY = 48, AT_ELEMENT = 56 };
    struct go_type key, element;
    uint64_t key_address, element_address;

    if (!read_constant(types, address + AT_KEY, &key_address) ||
        !read_constant(types, address + AT_ELEMENT, &element_address) ||
        !read_type(types, key_address, &key) || !replace_shape(types, frames, count, &key) ||
        !read_type(types, element_address, &element) ||
        !replace_shape(types, frames, count, &element))
        return false;
    const int length =
        snprintf(type->name, sizeof(type->name), "map[%s]%s", key.name, element.name);
    return length > 0 && (size_t)length < sizeof(type->name);
}

/* Where nothing replaces a shape, its name stays, and hide_shapes() decides. */
static void replace_shapes(struct alloc_types *types, const struct alloc_frame *frames, size_t count,
                           uint64_t address, struct go_type *type)
{
    struct go_type real = *type;

    if (types->source.minor <= 19 && strstr(type->name, "go.shape.") != NULL &&
        (type->kind == GO_KIND_MAP ? replace_shapes_of_map(types, frames, count, address, &real)
                                   : replace_shape(types, frames, count, &real)))
        *type = real;
}

/* Whether an allocation of [bytes], rounded up to a size class or to pages, can hold one [type]. */
static bool fits(const struct go_type *type, uint64_t bytes)
{
    enum { LARGEST_CLASS = 32768, PAGE = 8192, SMALL_SLACK = 32 };

    if (type->size == 0 || type->size > bytes)
        return false;
    return bytes - type->size <= (type->size < LARGEST_CLASS ? type->size / 3 + SMALL_SLACK : PAGE);
}

static bool is_possible(const struct go_type *type, enum form form, uint64_t object_bytes)
{
    const bool any_size = object_bytes == 0;

    switch (form) {
    case FORM_SELF: return type->size > 0 && (any_size || fits(type, object_bytes));
    case FORM_SLICE: return type->size > 0 && (any_size || type->size <= object_bytes);
    case FORM_MAP: return type->kind == GO_KIND_MAP;
    case FORM_CHAN: return type->kind == GO_KIND_CHAN;
    }
    return false;
}

/* Instances of a generic function share code, which may pass the type of its shape where only the layout
 * matters: node[go.shape.*uint8] stands for any node of pointers.  Says node[...] then.  False where
 * nothing but a shape is known. */
static bool hide_shapes(char *name)
{
    static const char shape[] = "go.shape.";
    char *found = strstr(name, shape);

    if (found == NULL)
        return true;
    /* The bracket of type arguments follows a name; those of slices, arrays and maps do not. */
    char *open = strchr(name, '[');
    while (open != NULL && open < found &&
           (open == name || strchr("*]( ", open[-1]) != NULL ||
            (open - name >= 3 && memcmp(open - 3, "map", 3) == 0)))
        open = strchr(open + 1, '[');
    if (open == NULL || open > found)
        return false;
    int depth = 0;
    char *close = open;
    for (; *close != '\0'; close++) {
        depth += *close == '[' ? 1 : *close == ']' ? -1 : 0;
        if (depth == 0)
            break;
    }
    if (*close == '\0' || close - open < (ptrdiff_t)sizeof("[...") - 1 ||
        strstr(close, shape) != NULL)
        return false;
    memcpy(open + 1, "...", 3);
    memmove(open + 4, close, strlen(close) + 1);
    return true;
}

bool alloc_types_find(struct alloc_types *types, const char *function,
                      const struct alloc_frame *frames, size_t count, uint64_t object_bytes,
                      char name[ALLOC_TYPE_NAME_BYTES], bool *callers_matter)
{
    const struct allocator *allocator = find_allocator(function);
    struct go_type type;
    uint64_t address;

    *callers_matter = false;
    if (allocator == NULL || count == 0)
        return false;
    const unsigned argument =
        types->source.minor <= 19 ? allocator->argument_19 : allocator->argument;
    const struct call_value value = call_values_find(types->values, &frames[0], argument);
    /* Parameters, and in Go 1.19 shapes, are what the callers make of them. */
    *callers_matter = types->source.minor <= 19 || value.kind == CALL_VALUE_PARAMETER;
    if (!address_of(types, frames, count, value, &address) || !read_type(types, address, &type))
        return false;
    replace_shapes(types, frames, count, address, &type);
    if (!is_possible(&type, allocator->form, object_bytes) || !hide_shapes(type.name))
        return false;
    snprintf(name, ALLOC_TYPE_NAME_BYTES, "%s%s", allocator->form == FORM_SLICE ? "[]" : "",
             type.name);
    return true;
}
