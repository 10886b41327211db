/* pclntab.c - looks up program counters in a copy of Go's function tables.
 *
 * Called by call_stacks.c for each new pc.  Follows src/runtime/symtab.go (findfunc, pcvalue,
 * funcline1, CallersFrames, FuncForPC) and symtabinl.go, Go 1.19 to 1.27.  The tables come from the
 * target: every offset is checked against the table it points into. */
#include "core/goproc/pclntab.h"

#include <stdlib.h>
#include <string.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/pclntab_parts.h"
#include "core/goproc/pclntab_tables.h"
#include "core/goproc/table_copies.h"

enum {
    /* runtime._func: offsets that are the same in all versions */
    FUNC_NAME = 4,
    FUNC_PCFILE = 20,
    FUNC_PCLN = 24,
    FUNC_NPCDATA = 28,
    FUNC_CU_OFFSET = 32,
    PCDATA_INLINE_INDEX = 2,
    FUNCDATA_INLINE_TREE = 3,
};

static uint32_t u32_at(const unsigned char *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static int32_t i32_at(const unsigned char *bytes)
{
    int32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

const struct go_layout *pclntab_layout(const struct pclntab *table)
{
    return table->layout;
}

unsigned pclntab_quantum(const struct pclntab *table)
{
    return table->quantum;
}

/* Functions. */

static uint32_t ftab_entry(const struct pclntab *table, size_t index)
{
    return u32_at(table->ftab.bytes + index * 8);
}

static bool function_at_index(const struct pclntab *table, size_t index,
                              struct pclntab_function *function)
{
    const struct go_layout *layout = table->layout;
    uint32_t offset = u32_at(table->ftab.bytes + index * 8 + 4);

    if (offset > table->pclntable.length ||
        table->pclntable.length - offset < layout->func_fixed_bytes)
        return false;
    function->module = table;
    function->record = table->pclntable.bytes + offset;
    function->room_bytes = table->pclntable.length - offset;
    function->entry = table->text + ftab_entry(table, index);
    function->npcdata = u32_at(function->record + FUNC_NPCDATA);
    function->nfuncdata = function->record[layout->func_id + 3];
    size_t arrays = (function->room_bytes - layout->func_fixed_bytes) / 4;
    return function->npcdata <= arrays && function->nfuncdata <= arrays - function->npcdata;
}

/* Padding belongs to the function before it. */
bool pclntab_find_function(const struct pclntab *table, uint64_t pc,
                           struct pclntab_function *function)
{
    while (table != NULL && (pc < table->minpc || pc >= table->maxpc))
        table = table->next;
    if (table == NULL)
        return false;
    uint64_t wanted = pc - table->text;
    size_t low = 0, high = table->function_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ftab_entry(table, middle) <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && function_at_index(table, low - 1, function);
}

static struct pclntab_text text_at(const struct span *span, uint32_t offset)
{
    if (offset >= span->length)
        return (struct pclntab_text){"", 0};
    const char *text = (const char *)span->bytes + offset;
    const char *end = memchr(text, '\0', span->length - offset);
    /* An unterminated name is cut at its table's end: not a name, so it is not shown. */
    return end == NULL ? (struct pclntab_text){"", 0}
                       : (struct pclntab_text){text, (size_t)(end - text)};
}

bool pclntab_physical_name(const struct pclntab_function *function, struct pclntab_text *name)
{
    *name = text_at(&function->module->funcnames, u32_at(function->record + FUNC_NAME));
    return name->length > 0;
}

/* How many bytes all of [wanted] begin with: a filter that spares most names a closer look. */
static size_t common_prefix(const struct pclntab_named *wanted, size_t count)
{
    size_t length = strlen(wanted[0].name);

    for (size_t i = 1; i < count; i++) {
        size_t at = 0;
        while (at < length && wanted[i].name[at] == wanted[0].name[at])
            at++;
        length = at;
    }
    return length;
}

void pclntab_find_functions(const struct pclntab *table, struct pclntab_named *wanted, size_t count)
{
    size_t prefix = count > 0 ? common_prefix(wanted, count) : 0, left = count;

    for (size_t i = 0; i < count; i++)
        wanted[i].start = wanted[i].end = 0;
    for (size_t i = 0; i < table->function_count && left > 0; i++) {
        uint32_t record = u32_at(table->ftab.bytes + i * 8 + 4);
        if (record > table->pclntable.length || table->pclntable.length - record < FUNC_NAME + 4)
            continue;
        uint32_t offset = u32_at(table->pclntable.bytes + record + FUNC_NAME);
        if (offset >= table->funcnames.length || table->funcnames.length - offset < prefix ||
            memcmp(table->funcnames.bytes + offset, wanted[0].name, prefix) != 0)
            continue;
        struct pclntab_text text = text_at(&table->funcnames, offset);
        for (size_t k = 0; k < count; k++)
            if (wanted[k].end == 0 && strncmp(wanted[k].name, text.text, text.length + 1) == 0) {
                wanted[k].start = table->text + ftab_entry(table, i);
                wanted[k].end = table->text + ftab_entry(table, i + 1);
                left--;
                break;
            }
    }
}

/* Values by pc. */

static bool take_uvarint(const unsigned char **cursor, const unsigned char *end, uint32_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (*cursor == end)
            return false;
        unsigned char byte = *(*cursor)++;
        *value |= (uint32_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}

int32_t pclntab_value_at(const struct pclntab_function *function, uint32_t offset, uint64_t pc)
{
    const struct pclntab *table = function->module;
    if (offset == 0 || offset >= table->pctab.length)
        return -1;
    const unsigned char *cursor = table->pctab.bytes + offset;
    const unsigned char *end = table->pctab.bytes + table->pctab.length;
    uint64_t at = function->entry;
    uint32_t value = UINT32_MAX; /* -1; wraps on purpose */
    for (bool first = true;; first = false) {
        uint32_t value_delta, pc_delta;
        if (!take_uvarint(&cursor, end, &value_delta) || (value_delta == 0 && !first) ||
            !take_uvarint(&cursor, end, &pc_delta))
            return -1;
        value += (value_delta & 1) != 0 ? ~(value_delta >> 1) : value_delta >> 1;
        at += (uint64_t)pc_delta * table->quantum;
        if (pc < at) {
            int32_t result;
            memcpy(&result, &value, sizeof(result));
            return result;
        }
    }
}

/* Moves [*start] to the last run of the table at [offset] that begins by [before], if that is later, and
 * [*end] to where the table ends, or far enough behind [before]. */
static void last_run(const struct pclntab_function *function, uint32_t offset, uint64_t before,
                     uint64_t *start, uint64_t *end)
{
    const struct pclntab *table = function->module;
    if (offset == 0 || offset >= table->pctab.length)
        return;
    const unsigned char *cursor = table->pctab.bytes + offset;
    const unsigned char *stop = table->pctab.bytes + table->pctab.length;
    uint64_t at = function->entry;
    uint32_t value_delta, pc_delta;
    while ((at <= before || at - before < PCLNTAB_CODE_BYTES) &&
           take_uvarint(&cursor, stop, &value_delta) &&
           (value_delta != 0 || at == function->entry) &&
           take_uvarint(&cursor, stop, &pc_delta) && pc_delta != 0) {
        if (at <= before && at > *start)
            *start = at;
        at += (uint64_t)pc_delta * table->quantum;
    }
    *end = at;
}

bool pclntab_code_at(const struct pclntab *table, uint64_t pc, uint64_t before, uint64_t *start,
                     uint64_t *end)
{
    enum { NEAR_BYTES = 128, PCDATA_UNSAFE_POINT = 0, PCDATA_STACK_MAP = 1 };
    struct pclntab_function function;
    uint64_t ignored;

    if (!pclntab_find_function(table, pc, &function))
        return false;
    *start = *end = function.entry;
    last_run(&function, u32_at(function.record + FUNC_PCLN), before, start, end);
    /* Long initialisers are one line of source. */
    for (uint32_t i = PCDATA_UNSAFE_POINT; i <= PCDATA_STACK_MAP && i < function.npcdata; i++)
        if (before > *start && before - *start > NEAR_BYTES)
            last_run(&function,
                     u32_at(function.record + table->layout->func_fixed_bytes + i * 4), before,
                     start, &ignored);
    return *end > function.entry;
}

static int32_t pcdata_at(const struct pclntab_function *function, uint32_t index, uint64_t pc)
{
    const struct go_layout *layout = function->module->layout;
    if (index >= function->npcdata)
        return -1;
    uint32_t offset = u32_at(function->record + layout->func_fixed_bytes + index * 4);
    return pclntab_value_at(function, offset, pc);
}

static void file_and_line(const struct pclntab_function *function, uint64_t pc,
                          struct pclntab_frame *frame)
{
    const struct pclntab *table = function->module;
    int32_t file = pclntab_value_at(function, u32_at(function->record + FUNC_PCFILE), pc);
    int32_t line = pclntab_value_at(function, u32_at(function->record + FUNC_PCLN), pc);

    frame->file = (struct pclntab_text){"?", 1};
    frame->line = 0;
    if (file < 0 || line < 0)
        return;
    frame->line = (uint32_t)line;
    uint64_t index = (uint64_t)u32_at(function->record + FUNC_CU_OFFSET) + (uint32_t)file;
    if (index >= table->cutab.length / 4)
        return;
    uint32_t offset = u32_at(table->cutab.bytes + index * 4);
    if (offset != UINT32_MAX && offset < table->files.length)
        frame->file = text_at(&table->files, offset);
}

/* Inline trees. */

/* Copies [length] bytes (at most a node) at [offset] of the function data. */
static bool read_tree(const struct pclntab *table, uint64_t offset, unsigned char *into, size_t length)
{
    while (length > 0) {
        uint64_t page = offset / TREE_PAGE_BYTES;
        size_t within = (size_t)(offset % TREE_PAGE_BYTES);
        if (page >= TREE_PAGES_MAX)
            return false;
        if (table->trees->pages[page] == NULL) {
            unsigned char *fresh = calloc(1, TREE_PAGE_BYTES);
            uint64_t address = table->gofunc - table->bias + page * TREE_PAGE_BYTES;
            uint64_t room = elf_file_room(table->elf, address);
            size_t bytes = room < TREE_PAGE_BYTES ? (size_t)room : TREE_PAGE_BYTES;
            if (fresh == NULL || bytes == 0 ||
                !elf_file_read_address(table->elf, address, fresh, bytes, NULL)) {
                free(fresh);
                return false;
            }
            table->trees->pages[page] = fresh;
            table->trees->bytes += TREE_PAGE_BYTES;
        }
        size_t here = TREE_PAGE_BYTES - within < length ? TREE_PAGE_BYTES - within : length;
        memcpy(into, table->trees->pages[page] + within, here);
        into += here;
        offset += here;
        length -= here;
    }
    return true;
}

bool pclntab_inlined_at(const struct pclntab_function *function, uint64_t pc,
                        struct pclntab_inlining *inlining)
{
    const struct pclntab *table = function->module;
    const struct go_layout *layout = table->layout;
    unsigned char node[20];

    if (function->nfuncdata <= FUNCDATA_INLINE_TREE)
        return false;
    uint32_t tree = u32_at(function->record + layout->func_fixed_bytes +
                           (function->npcdata + FUNCDATA_INLINE_TREE) * 4);
    if (tree == UINT32_MAX)
        return false;
    int32_t index = pcdata_at(function, PCDATA_INLINE_INDEX, pc);
    if (index < 0 || !read_tree(table, tree + (uint64_t)index * layout->inline_node_bytes, node,
                                layout->inline_node_bytes))
        return false;
    inlining->name = text_at(&table->funcnames, u32_at(node + layout->inline_name));
    inlining->func_id = node[layout->inline_func_id];
    inlining->parent_pc =
        function->entry + (uint64_t)(int64_t)i32_at(node + layout->inline_parent_pc);
    inlining->start_line =
        layout->inline_start_line == GO_LAYOUT_ABSENT ? 0 : u32_at(node + layout->inline_start_line);
    return true;
}

/* Lookups. */

bool pclntab_frame_at(struct pclntab *table, uint64_t pc, struct pclntab_frame *frame)
{
    struct pclntab_function function;
    struct pclntab_inlining inlining;

    if (!pclntab_find_function(table, pc, &function))
        return false;
    if (pc > function.entry)
        pc--; /* back into the call instruction */
    *frame = (struct pclntab_frame){.entry = function.entry};
    if (pclntab_inlined_at(&function, pc, &inlining)) {
        frame->inlined = true;
        frame->function = inlining.name;
        frame->start_line = inlining.start_line;
    } else {
        frame->function = text_at(&function.module->funcnames, u32_at(function.record + FUNC_NAME));
        if (table->layout->func_start_line != GO_LAYOUT_ABSENT)
            frame->start_line = u32_at(function.record + table->layout->func_start_line);
    }
    file_and_line(&function, pc, frame);
    return true;
}

bool pclntab_name_at(struct pclntab *table, uint64_t pc, struct pclntab_text *name)
{
    struct pclntab_function function;
    struct pclntab_inlining inlining;

    if (!pclntab_find_function(table, pc, &function))
        return false;
    *name = pclntab_inlined_at(&function, pc, &inlining)
                ? inlining.name
                : text_at(&function.module->funcnames, u32_at(function.record + FUNC_NAME));
    return true;
}

/* elideWrapperCalling: wrappers are left out of stacks unless what they call is a panic. */
static bool hides_wrapper(const struct go_layout *layout, uint32_t callee)
{
    return callee != layout->funcid_gopanic && callee != layout->funcid_panicwrap &&
           callee != layout->funcid_sigpanic;
}

size_t pclntab_expand_last(struct pclntab *table, uint64_t pc, uint64_t *pcs, size_t capacity)
{
    const struct go_layout *layout = table->layout;
    struct pclntab_function function;
    struct pclntab_inlining inlining;
    size_t count = 0;
    uint32_t callee = 0; /* the first is not elided, whatever called it */
    uint64_t at = pc - 1;

    if (pc == 0 || !pclntab_find_function(table, at, &function) ||
        !pclntab_inlined_at(&function, at, &inlining))
        return 0;
    for (size_t depth = 0; depth < PCLNTAB_INLINE_DEPTH_MAX && count < capacity; depth++) {
        if (inlining.func_id != layout->funcid_wrapper || !hides_wrapper(layout, callee))
            pcs[count++] = at + 1;
        callee = inlining.func_id;
        at = inlining.parent_pc;
        if (pclntab_inlined_at(&function, at, &inlining))
            continue;
        /* The physical function: the outermost one. */
        uint32_t its_id = function.record[layout->func_id];
        if (count < capacity &&
            (layout->minor <= 20 || its_id != layout->funcid_wrapper ||
             !hides_wrapper(layout, callee)))
            pcs[count++] = at + 1;
        break;
    }
    return count;
}
