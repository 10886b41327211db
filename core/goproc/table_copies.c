/* table_copies.c - one copy of a program's function tables for all processes that run it. */
#include "core/goproc/table_copies.h"

#include <stdlib.h>
#include <string.h>

#include "core/goproc/elf_file.h"

struct shared_table {
    struct table_copy copy; /* first: what users hold */
    struct table_copies *owner; /* NULL: not shared */
    struct shared_table *next;
    unsigned users;
    struct elf_identity identity; /* of the file that it was read from */
    char build_ids[2 * ELF_BUILD_ID_MAX_BYTES + ELF_GO_BUILD_ID_MAX_BYTES + 2];
    uint64_t address;
};

struct shared_pages {
    struct tree_pages pages; /* first: what users hold */
    struct table_copies *owner; /* NULL: not shared */
    struct shared_pages *next;
    unsigned users;
    struct elf_identity identity;
};

struct table_copies {
    struct shared_table *tables;
    struct shared_pages *pages;
};

struct table_copies *table_copies_new(void)
{
    return calloc(1, sizeof(struct table_copies));
}

void table_copies_free(struct table_copies *copies)
{
    free(copies);
}

static bool same_file(const struct elf_identity *a, const struct elf_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->file_bytes == b->file_bytes &&
           a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

/* ---- tables ---- */

static void read_build_ids(const struct elf_file *elf, char *out, size_t size)
{
    char gnu[2 * ELF_BUILD_ID_MAX_BYTES + 1];
    char go[ELF_GO_BUILD_ID_MAX_BYTES];
    elf_file_gnu_build_id(elf, gnu);
    elf_file_go_build_id(elf, go);
    (void)snprintf(out, size, "%s %s", gnu, go);
}

static void table_free(struct shared_table *table)
{
    if (table == NULL)
        return;
    free((void *)(uintptr_t)table->copy.bytes);
    free(table);
}

static struct shared_table *table_read(const struct elf_file *elf, uint64_t address, size_t length,
                                       struct error *err)
{
    struct shared_table *table = calloc(1, sizeof(*table));
    unsigned char *bytes = malloc(length + 1);
    if (table == NULL || bytes == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "pclntab: no memory for %zu bytes", length);
        free(table);
        free(bytes);
        return NULL;
    }
    bytes[length] = '\0'; /* so that every text ends somewhere */
    table->copy = (struct table_copy){.bytes = bytes, .length = length};
    table->users = 1;
    table->address = address;
    elf_file_identity(elf, &table->identity);
    read_build_ids(elf, table->build_ids, sizeof(table->build_ids));
    if (elf_file_read_address(elf, address, bytes, length, err))
        return table;
    (void)error_wrap(err, "pclntab");
    table_free(table);
    return NULL;
}

static struct shared_table *find_table(const struct table_copies *copies,
                                       const struct elf_identity *identity, uint64_t address,
                                       size_t length)
{
    for (struct shared_table *table = copies->tables; table != NULL; table = table->next) {
        if (table->address == address && table->copy.length == length &&
            same_file(&table->identity, identity))
            return table;
    }
    return NULL;
}

/* One with the very bytes of [fresh], from another file: the same program in another container. */
static struct shared_table *find_equal(const struct table_copies *copies,
                                       const struct shared_table *fresh)
{
    for (struct shared_table *table = copies->tables; table != NULL; table = table->next) {
        if (table->address == fresh->address && table->copy.length == fresh->copy.length &&
            strcmp(table->build_ids, fresh->build_ids) == 0 &&
            memcmp(table->copy.bytes, fresh->copy.bytes, fresh->copy.length) == 0)
            return table;
    }
    return NULL;
}

const struct table_copy *table_copies_take(struct table_copies *copies, const struct elf_file *elf,
                                           uint64_t address, size_t length, struct error *err)
{
    struct elf_identity identity;
    elf_file_identity(elf, &identity);
    struct shared_table *known =
        copies != NULL ? find_table(copies, &identity, address, length) : NULL;
    if (known == NULL) {
        struct shared_table *fresh = table_read(elf, address, length, err);
        if (fresh == NULL || copies == NULL)
            return fresh != NULL ? &fresh->copy : NULL;
        known = find_equal(copies, fresh);
        if (known == NULL) {
            fresh->owner = copies;
            fresh->next = copies->tables;
            copies->tables = fresh;
            return &fresh->copy;
        }
        table_free(fresh);
    }
    known->users++;
    return &known->copy;
}

void table_copy_release(const struct table_copy *copy)
{
    struct shared_table *table = (struct shared_table *)(uintptr_t)copy;
    if (table == NULL || --table->users > 0)
        return;
    for (struct shared_table **at = table->owner != NULL ? &table->owner->tables : NULL;
         at != NULL && *at != NULL; at = &(*at)->next) {
        if (*at == table) {
            *at = table->next;
            break;
        }
    }
    table_free(table);
}

size_t table_copies_count(const struct table_copies *copies)
{
    size_t count = 0;
    for (const struct shared_table *table = copies->tables; table != NULL; table = table->next)
        count++;
    return count;
}

/* ---- inline trees ---- */

struct tree_pages *tree_pages_take(struct table_copies *copies, const struct elf_file *elf,
                                   struct error *err)
{
    struct elf_identity identity;
    elf_file_identity(elf, &identity);
    for (struct shared_pages *pages = copies != NULL ? copies->pages : NULL; pages != NULL;
         pages = pages->next) {
        if (same_file(&pages->identity, &identity)) {
            pages->users++;
            return &pages->pages;
        }
    }
    struct shared_pages *pages = calloc(1, sizeof(*pages));
    if (pages != NULL)
        pages->pages.pages = calloc(TREE_PAGES_MAX, sizeof(pages->pages.pages[0]));
    if (pages == NULL || pages->pages.pages == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "pclntab: no memory for inline trees");
        free(pages);
        return NULL;
    }
    pages->users = 1;
    pages->identity = identity;
    pages->owner = copies;
    if (copies != NULL) {
        pages->next = copies->pages;
        copies->pages = pages;
    }
    return &pages->pages;
}

void tree_pages_release(struct tree_pages *tree)
{
    struct shared_pages *pages = (struct shared_pages *)(void *)tree;
    if (pages == NULL || --pages->users > 0)
        return;
    for (struct shared_pages **at = pages->owner != NULL ? &pages->owner->pages : NULL;
         at != NULL && *at != NULL; at = &(*at)->next) {
        if (*at == pages) {
            *at = pages->next;
            break;
        }
    }
    for (size_t i = 0; i < TREE_PAGES_MAX; i++)
        free(tree->pages[i]);
    free(tree->pages);
    free(pages);
}
