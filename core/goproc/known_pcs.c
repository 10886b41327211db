/* known_pcs.c - looks return addresses up, each once.
 *
 * Called by call_stacks.c, on the sampler thread; only what is not known yet goes to the function tables. */
#include "core/goproc/known_pcs.h"

#include <stdlib.h>
#include <string.h>

#include "core/goproc/alloc_type.h"
#include "core/goproc/call_target.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/pclntab.h"
#include "core/store/site.h"

enum { FIRST_SLOTS = 1024 };

void known_pcs_rest(struct known_pcs *pcs)
{
    free(pcs->slots);
    free(pcs->known);
    pcs->slots = NULL;
    pcs->known = NULL;
    pcs->slot_count = pcs->count = 0;
}

bool known_pcs_wake(struct known_pcs *pcs, struct error *err)
{
    if (pcs->slots != NULL)
        return true;
    pcs->slots = calloc(FIRST_SLOTS, sizeof(*pcs->slots));
    pcs->known = malloc(FIRST_SLOTS / 2 * sizeof(*pcs->known));
    pcs->slot_count = FIRST_SLOTS;
    pcs->count = 1;
    if (pcs->slots != NULL && pcs->known != NULL)
        return true;
    known_pcs_rest(pcs);
    return error_set(err, ERROR_NO_MEMORY, "no memory to look stacks up");
}

/* Makes room for one more. */
static bool reserve(struct known_pcs *pcs, struct error *err)
{
    if (pcs->count < pcs->slot_count / 2)
        return true;
    size_t larger_count = pcs->slot_count * 2;
    struct known_pc *known = realloc(pcs->known, larger_count / 2 * sizeof(*known));
    if (known != NULL)
        pcs->known = known;
    struct pc_slot *larger = known == NULL ? NULL : calloc(larger_count, sizeof(*larger));
    if (larger == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for %zu return addresses", pcs->count);
    for (size_t i = 0; i < pcs->slot_count; i++)
        if (pcs->slots[i].number != 0)
            *known_pcs_slot(larger, larger_count, pcs->slots[i].pc) = pcs->slots[i];
    free(pcs->slots);
    pcs->slots = larger;
    pcs->slot_count = larger_count;
    return true;
}

static bool has_prefix(const struct pclntab_text *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text->length >= length && memcmp(text->text, prefix, length) == 0;
}

static bool is_runtime_name(const struct known_pcs *pcs, const struct pclntab_text *name)
{
    return has_prefix(name, "runtime.") ||
           (pcs->layout->internal_runtime_hidden && has_prefix(name, "internal/runtime/"));
}

static bool look_up(struct known_pcs *pcs, uint64_t pc, struct known_pc *known, struct error *err)
{
    struct pclntab_frame frame;
    struct pclntab_text name;

    *known = (struct known_pc){.pc = pc};
    /* The runtime decides what is hidden by the name at pc, and shows the one at pc - 1. */
    known->is_runtime = pclntab_name_at(pcs->table, pc, &name) && is_runtime_name(pcs, &name);
    if (pclntab_frame_at(pcs->table, pc, &frame)) {
        known->function =
            site_table_string(pcs->sites, frame.function.text, frame.function.length);
        known->file = site_table_string(pcs->sites, frame.file.text, frame.file.length);
        known->entry = frame.entry;
        known->line = frame.line;
        known->start_line = frame.start_line;
        known->inlined = frame.inlined;
        known->is_goexit = known->function != NULL && strcmp(known->function, "runtime.goexit") == 0;
    } else {
        known->function = site_table_string(pcs->sites, "", 0);
        known->file = known->function;
    }
    if (known->function == NULL || known->file == NULL)
        return error_set(err, ERROR_LIMIT, "sites: their table is full");
    return true;
}

uint32_t known_pcs_learn(struct known_pcs *pcs, uint64_t pc, struct error *err)
{
    struct known_pc known;

    if (!reserve(pcs, err) || !look_up(pcs, pc, &known, err))
        return 0;
    const uint32_t fresh = (uint32_t)pcs->count++;
    pcs->known[fresh] = known;
    *known_pcs_slot(pcs->slots, pcs->slot_count, pc) = (struct pc_slot){pc, fresh};
    return fresh;
}

/* Only a target that is the entry of a function counts: a decoded number that hits the middle of one was no
 * call. */
static const char *decode_allocator(struct known_pcs *pcs, uint64_t pc)
{
    uint64_t target;
    struct pclntab_frame called;

    if (!call_target_before(pcs->code, pcs->code_bias, pc, &target) ||
        !pclntab_frame_at(pcs->table, target, &called) || called.entry != target ||
        (!has_prefix(&called.function, "runtime.") &&
         !has_prefix(&called.function, "internal/bytealg.MakeNoZero")))
        return NULL;
    return site_table_string(pcs->sites, called.function.text, called.function.length);
}

const char *known_pcs_allocator(struct known_pcs *pcs, struct known_pc *known)
{
    if (pcs->code == NULL)
        return NULL;
    if (!known->call_decoded) {
        known->allocator = decode_allocator(pcs, known->pc);
        known->allocator_tells = known->allocator != NULL && alloc_types_knows(known->allocator);
        known->call_decoded = true;
    }
    return known->allocator;
}
