/* alloc_type.c - the Go type that a call of an allocating runtime function allocates.
 *
 * Called by call_stacks.c for each new site.  The functions and their parameters: the compiler's list
 * (src/cmd/compile/internal/typecheck/_builtin/runtime.go) and src/runtime/{malloc,slice,chan,map,iface}.go,
 * Go 1.19 to 1.27. */
#include "core/goproc/alloc_type.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/goproc/call_argument.h"
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

enum { FROM_ENTRY_MAX_BYTES = 32 << 10, WINDOW_BYTES = 4 << 10 };
enum {
    NEAR_BACK_BYTES = 32,
    WIDER_BACK_BYTES = 256,
    WIDER_AFTER_BYTES = 136, /* as far as short jumps reach back */
    NEAR_MAX_BYTES = 2 << 10,
    NEAR_WHOLE_BYTES = 8 << 10,
    AROUND_BYTES = 4 << 10,
};
enum { AFTER_CALL_BYTES = 16 << 10, CACHE_FIRST_SLOTS = 256, CACHE_MAX = 1 << 18 };

struct known_call {
    uint64_t return_pc; /* 0: free slot */
    unsigned argument;
    struct call_value value;
};

enum { TYPES_KEPT = 128 };
struct known_type {
    uint64_t address; /* 0: none */
    struct go_type type;
};

struct alloc_types {
    struct alloc_types_source source;
    struct call_tracer *tracer;
    struct known_call *slots;
    size_t slot_count; /* a power of two */
    size_t used;
    unsigned char *code;
    struct known_type *read; /* types read of late, by address */
};

struct alloc_types *alloc_types_new(const struct alloc_types_source *source)
{
    struct alloc_types *types = calloc(1, sizeof(*types));
    if (types == NULL)
        return NULL;
    types->source = *source;
    types->tracer = call_tracer_new();
    types->code = malloc(CALL_CODE_MAX_BYTES);
    types->slots = calloc(CACHE_FIRST_SLOTS, sizeof(*types->slots));
    types->slot_count = CACHE_FIRST_SLOTS;
    types->read = calloc(TYPES_KEPT, sizeof(*types->read));
    if (types->tracer == NULL || types->read == NULL || types->code == NULL || types->slots == NULL) {
        alloc_types_free(types);
        return NULL;
    }
    return types;
}

void alloc_types_free(struct alloc_types *types)
{
    if (types == NULL)
        return;
    call_tracer_free(types->tracer);
    free(types->code);
    free(types->read);
    free(types->slots);
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

/* What calls pass. */

static struct known_call *slot_of(struct known_call *slots, size_t count, uint64_t pc,
                                  unsigned argument)
{
    size_t at =
        (size_t)(((pc + argument) * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (count - 1);
    while (slots[at].return_pc != 0 &&
           (slots[at].return_pc != pc || slots[at].argument != argument))
        at = (at + 1) & (count - 1);
    return &slots[at];
}

/* Makes room for one more.  False: nothing further is kept, which costs time and nothing else. */
static bool reserve(struct alloc_types *types)
{
    if (types->used < types->slot_count / 2)
        return true;
    if (types->used >= CACHE_MAX)
        return false;
    const size_t larger_count = types->slot_count * 2;
    struct known_call *larger = calloc(larger_count, sizeof(*larger));
    if (larger == NULL)
        return false;
    for (size_t i = 0; i < types->slot_count; i++)
        if (types->slots[i].return_pc != 0)
            *slot_of(larger, larger_count, types->slots[i].return_pc, types->slots[i].argument) =
                types->slots[i];
    free(types->slots);
    types->slots = larger;
    types->slot_count = larger_count;
    return true;
}

static struct call_value decode(struct alloc_types *types, size_t call_end, size_t length,
                                uint64_t start, unsigned argument)
{
    switch (elf_file_machine(types->source.elf)) {
    case ELF_MACHINE_X86_64:
        return call_argument_amd64(types->tracer, types->code, call_end, length, start, argument);
    case ELF_MACHINE_AARCH64:
        return call_argument_arm64(types->tracer, types->code, call_end, length, start, argument);
    case ELF_MACHINE_OTHER:
        break;
    }
    return (struct call_value){.kind = CALL_VALUE_UNKNOWN};
}

/* In functions too long to be read from their entry (initialisation of large tables): the last bytes before
 * the call.  Where an instruction begins there is not known, but decoding falls into step after a few of
 * them; begun at two places it must find the same address. */
static struct call_value trace_end(struct alloc_types *types, const struct alloc_frame *frame,
                                   unsigned argument)
{
    static const size_t windows[] = {WINDOW_BYTES, WINDOW_BYTES - 4, WINDOW_BYTES - 1};
    const bool is_arm64 = elf_file_machine(types->source.elf) == ELF_MACHINE_AARCH64;
    struct call_value first = {.kind = CALL_VALUE_UNKNOWN};

    for (size_t i = 0; i < (is_arm64 ? 2U : 3U); i++) {
        const uint64_t start = frame->return_pc - windows[i];
        if (!elf_file_read_address(types->source.elf, start - types->source.bias, types->code,
                                   windows[i], NULL))
            return (struct call_value){.kind = CALL_VALUE_UNKNOWN};
        const struct call_value value = decode(types, windows[i], windows[i], start, argument);
        if (value.kind != CALL_VALUE_ADDRESS || value.load_count != 0 ||
            (i > 0 && value.address != first.address))
            return (struct call_value){.kind = CALL_VALUE_UNKNOWN};
        first = value;
    }
    return first;
}

/* Reads [after] bytes beyond the call, too. */
static struct call_value trace(struct alloc_types *types, const struct alloc_frame *frame,
                               unsigned argument, size_t after)
{
    const struct call_value unknown = {.kind = CALL_VALUE_UNKNOWN};
    const uint64_t bias = types->source.bias;

    if (frame->entry < bias || frame->entry == 0 || frame->return_pc <= frame->entry)
        return unknown;
    if (frame->return_pc - frame->entry > FROM_ENTRY_MAX_BYTES)
        return trace_end(types, frame, argument);
    const size_t call_end = (size_t)(frame->return_pc - frame->entry);
    const uint64_t room = elf_file_room(types->source.elf, frame->entry - bias);
    size_t length = call_end + after;
    if (length > room)
        length = (size_t)room;
    if (!elf_file_read_address(types->source.elf, frame->entry - bias, types->code, length, NULL))
        return unknown;
    return decode(types, call_end, length, frame->entry, argument);
}

/* Most values are set a few instructions before the call.  Decoding begins where a line of the source does
 * [back] bytes or more before the call, and ends [after] bytes behind it.  Jumps to in between are looked for
 * in the whole function, or around the call if the function is long. */
static struct call_value trace_near(struct alloc_types *types, const struct alloc_frame *frame,
                                    unsigned argument, size_t back, size_t after)
{
    const struct call_value unknown = {.kind = CALL_VALUE_UNKNOWN};
    const uint64_t bias = types->source.bias;
    uint64_t line_start, end;

    if (types->source.functions == NULL ||
        elf_file_machine(types->source.elf) != ELF_MACHINE_X86_64 || frame->entry < bias ||
        frame->entry == 0 || frame->return_pc <= frame->entry ||
        !pclntab_code_at(types->source.functions, frame->return_pc - 1, frame->return_pc - back,
                         &line_start, &end) ||
        line_start < frame->entry || frame->return_pc - line_start > NEAR_MAX_BYTES ||
        end < frame->return_pc)
        return unknown;
    uint64_t start = frame->entry;
    if (end - start > NEAR_WHOLE_BYTES) {
        if (frame->return_pc - start > AROUND_BYTES)
            start = frame->return_pc - AROUND_BYTES;
        if (end - frame->return_pc > AROUND_BYTES)
            end = frame->return_pc + AROUND_BYTES;
        if (line_start <= start)
            return unknown;
    }
    const size_t length = (size_t)(end - start);
    const size_t call_end = (size_t)(frame->return_pc - start);
    const size_t stop = length - call_end < after ? length : call_end + after;
    if (!elf_file_read_address(types->source.elf, start - bias, types->code, length, NULL))
        return unknown;
    return call_argument_amd64_near(types->tracer, types->code, call_end, length,
                                    (size_t)(line_start - start), stop, start, argument);
}

static struct call_value value_of(struct alloc_types *types, const struct alloc_frame *frame,
                                  unsigned argument)
{
    struct known_call *slot =
        slot_of(types->slots, types->slot_count, frame->return_pc, argument);
    if (slot->return_pc == frame->return_pc && frame->return_pc != 0)
        return slot->value;
    struct call_value value = trace_near(types, frame, argument, NEAR_BACK_BYTES, 0);
    if (value.kind == CALL_VALUE_UNKNOWN)
        value = trace_near(types, frame, argument, WIDER_BACK_BYTES, WIDER_AFTER_BYTES);
    /* Only loops need what comes after the call. */
    if (value.kind == CALL_VALUE_UNKNOWN)
        value = trace(types, frame, argument, 0);
    if (value.kind == CALL_VALUE_UNKNOWN)
        value = trace(types, frame, argument, AFTER_CALL_BYTES);
    if (frame->return_pc != 0 && reserve(types)) {
        *slot_of(types->slots, types->slot_count, frame->return_pc, argument) =
            (struct known_call){frame->return_pc, argument, value};
        types->used++;
    }
    return value;
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
        passed[depth] = value_of(types, &frames[depth], argument);
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

    if (types->source.minor == 19 && strstr(type->name, "go.shape.") != NULL &&
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
                      char name[ALLOC_TYPE_NAME_BYTES])
{
    const struct allocator *allocator = find_allocator(function);
    struct go_type type;
    uint64_t address;

    if (allocator == NULL)
        return false;
    const unsigned argument =
        types->source.minor <= 19 ? allocator->argument_19 : allocator->argument;
    if (count == 0 ||
        !address_of(types, frames, count, value_of(types, &frames[0], argument), &address) ||
        !read_type(types, address, &type))
        return false;
    replace_shapes(types, frames, count, address, &type);
    if (!is_possible(&type, allocator->form, object_bytes) || !hide_shapes(type.name))
        return false;
    snprintf(name, ALLOC_TYPE_NAME_BYTES, "%s%s", allocator->form == FORM_SLICE ? "[]" : "",
             type.name);
    return true;
}
