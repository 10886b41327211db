/* symbols.c - names to addresses, by the symbol table.
 *
 * Called once per process at open. */
#include "core/goproc/symbols.h"

#include <stddef.h>

#include "core/goproc/elf_file.h"

struct symbol_row {
    const char *name;
    bool required;
};

static const struct symbol_row rows[SYMBOL_COUNT] = {
#define SYMBOLS_ROW(id, name, required) [SYMBOL_##id] = {name, required},
    SYMBOLS(SYMBOLS_ROW)
#undef SYMBOLS_ROW
};

const char *symbols_name(enum symbol_id id)
{
    return rows[id].name;
}

bool symbols_required(enum symbol_id id)
{
    return rows[id].required;
}

bool symbols_from_symtab(const struct elf_file *elf, uint64_t bias, struct symbols *symbols,
                         struct error *err)
{
    struct elf_symbol wanted[SYMBOL_COUNT] = {0};

    *symbols = (struct symbols){0};
    if (!elf_file_has_symbols(elf))
        return error_set(err, ERROR_UNSUPPORTED,
                         "has no symbol table: rebuild without -ldflags=-s (and do not strip it)");
    for (size_t i = 0; i < SYMBOL_COUNT; i++)
        wanted[i].name = rows[i].name;
    if (!elf_file_find_symbols(elf, wanted, SYMBOL_COUNT, err))
        return false;
    for (size_t i = 0; i < SYMBOL_COUNT; i++) {
        if (!wanted[i].found && rows[i].required)
            return error_set(err, ERROR_UNSUPPORTED,
                             "its symbol table lacks %s: rebuild without -ldflags=-s "
                             "(and do not strip it)",
                             rows[i].name);
        if (wanted[i].found)
            symbols->address[i] = wanted[i].address + bias;
    }
    return true;
}
