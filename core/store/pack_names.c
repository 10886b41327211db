/* pack_names.c - numbers for what a history stream names once.
 *
 * Open addressing over the hashes; a text is kept as its own copy. */
#include "core/store/pack_names.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS_FIRST = 64 };

struct pack_name {
    uint64_t number; /* 0: free */
    uint64_t first;  /* of a text: its length */
    uint64_t second; /* of a text: its hash */
    char *text;      /* or NULL */
};

void pack_names_release(struct pack_names *names)
{
    for (size_t i = 0; i < names->slot_count_; i++)
        free(names->slots_[i].text);
    free(names->slots_);
    *names = (struct pack_names){.failed = false};
}

size_t pack_names_count(const struct pack_names *names)
{
    return names->count_;
}

static uint64_t mix(uint64_t first, uint64_t second)
{
    uint64_t hash = (first ^ second * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ hash >> 32;
}

static uint64_t hash_text(const char *text, size_t length)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    return hash;
}

static bool grow(struct pack_names *names)
{
    const size_t count = names->slot_count_ == 0 ? SLOTS_FIRST : 2 * names->slot_count_;
    struct pack_name *slots = calloc(count, sizeof(*slots));
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < names->slot_count_; i++) {
        const struct pack_name *name = &names->slots_[i];
        if (name->number == 0)
            continue;
        size_t at = (size_t)mix(name->first, name->second) & (count - 1);
        while (slots[at].number != 0)
            at = (at + 1) & (count - 1);
        slots[at] = *name;
    }
    free(names->slots_);
    names->slots_ = slots;
    names->slot_count_ = count;
    return true;
}

/* The slot of that name, or the free one where it belongs; NULL without memory. */
static struct pack_name *find(struct pack_names *names, uint64_t first, uint64_t second,
                              const char *text)
{
    if ((names->count_ + 1) * 2 > names->slot_count_ && !grow(names)) {
        names->failed = true;
        return NULL;
    }
    size_t at = (size_t)mix(first, second) & (names->slot_count_ - 1);
    for (;; at = (at + 1) & (names->slot_count_ - 1)) {
        struct pack_name *name = &names->slots_[at];
        if (name->number == 0 || (name->first == first && name->second == second &&
                                  (text == NULL || memcmp(name->text, text, (size_t)first) == 0)))
            return name;
    }
}

uint64_t pack_names_pair(struct pack_names *names, uint64_t first, uint64_t second, bool *is_new)
{
    struct pack_name *name = find(names, first, second, NULL);
    *is_new = name != NULL && name->number == 0;
    if (*is_new)
        *name = (struct pack_name){.number = ++names->count_, .first = first, .second = second};
    return name != NULL ? name->number : 1;
}

uint64_t pack_names_text(struct pack_names *names, const char *text, size_t length, bool *is_new)
{
    const uint64_t hash = hash_text(text, length);
    struct pack_name *name = find(names, length, hash, text);
    *is_new = name != NULL && name->number == 0;
    if (!*is_new)
        return name != NULL ? name->number : 1;
    char *copy = malloc(length + 1);
    if (copy == NULL) {
        names->failed = true;
        *is_new = false;
        return 1;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    *name = (struct pack_name){
        .number = ++names->count_, .first = length, .second = hash, .text = copy};
    return name->number;
}
