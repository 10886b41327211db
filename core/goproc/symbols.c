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

static const struct {
    enum symbol_id id;
    const char *name;
} older[] = {
#define SYMBOLS_OLDER_ROW(id, name) {SYMBOL_##id, name},
    SYMBOLS_OLDER(SYMBOLS_OLDER_ROW)
#undef SYMBOLS_OLDER_ROW
};

enum { OLDER_COUNT = sizeof(older) / sizeof(older[0]) };

const char *symbols_name(enum symbol_id id)
{
    return rows[id].name;
}

const char *symbols_older_name(enum symbol_id id)
{
    for (size_t i = 0; i < OLDER_COUNT; i++)
        if (older[i].id == id)
            return older[i].name;
    return NULL;
}

bool symbols_required(enum symbol_id id)
{
    return rows[id].required;
}

bool symbols_from_symtab(const struct elf_file *elf, uint64_t bias, struct symbols *symbols,
                         struct error *err)
{
    struct elf_symbol wanted[SYMBOL_COUNT + OLDER_COUNT] = {0};

    *symbols = (struct symbols){0};
    if (!elf_file_has_symbols(elf))
        return error_set(err, ERROR_UNSUPPORTED,
                         "has no symbol table: rebuild without -ldflags=-s (and do not strip it)");
    for (size_t i = 0; i < SYMBOL_COUNT; i++)
        wanted[i].name = rows[i].name;
    for (size_t i = 0; i < OLDER_COUNT; i++)
        wanted[SYMBOL_COUNT + i].name = older[i].name;
    if (!elf_file_find_symbols(elf, wanted, SYMBOL_COUNT + OLDER_COUNT, err))
        return false;
    for (size_t i = 0; i < OLDER_COUNT; i++)
        if (!wanted[older[i].id].found)
            wanted[older[i].id] = wanted[SYMBOL_COUNT + i];
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
