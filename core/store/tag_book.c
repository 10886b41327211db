/* tag_book.c - the tags of one target.
 *
 * Called by site_table_add for each new site, on the sampler thread.  What does not depend on the stack is
 * worked out once for each function: a target has thousands of sites but its stacks share their frames.
 *
 *   frame -> known function: { first rule that matches | role for the defaults, kept in the frame too } */
#include "core/store/tag_book.h"

#include "core/base/config.h"
#include "core/store/board.h"
#include "core/store/primitive.h"
#include "core/store/site.h"
#include "core/store/site_tagger.h"
#include "core/store/tag_defaults.h"
#include "core/store/tag_name.h"
#include "core/store/tag_rules.h"

enum {
    KNOWN_FIRST = 64,          /* slots; a power of two, as all sizes of the two tables */
    KNOWN_SLOTS_MAX = 1 << 20, /* with more functions the rest is worked out each time */
    TAG_SLOTS_FIRST = 32,
    NAMED_KEPT = 32, /* a power of two */
};

/* Strings of one site table are equal exactly if their pointers are. */
struct known_function {
    const char *function; /* NULL: free */
    const char *file;
    uint32_t rule; /* the first that matches, or the number of rules */
    struct frame_role role;
};

/* The tag that a text gives: the names of functions are shortened, the same few over and over. */
struct named {
    const char *of; /* by address: a string of the table, or a constant; NULL: none */
    const char *tag;
};

struct tag_book {
    const struct site_tagger *tagger;
    struct known_function *known;
    size_t known_slots;
    size_t known_count;
    const char **tags; /* those given so far, by address */
    size_t tag_slots;
    size_t tag_count;
    struct named named[NAMED_KEPT];
};

struct tag_book *tag_book_new(void)
{
    struct tag_book *book = calloc(1, sizeof(*book));
    if (book == NULL)
        return NULL;
    book->known = calloc(KNOWN_FIRST, sizeof(*book->known));
    book->known_slots = KNOWN_FIRST;
    book->tags = calloc(TAG_SLOTS_FIRST, sizeof(*book->tags));
    book->tag_slots = TAG_SLOTS_FIRST;
    if (book->known == NULL || book->tags == NULL) {
        tag_book_free(book);
        return NULL;
    }
    return book;
}

void tag_book_free(struct tag_book *book)
{
    if (book == NULL)
        return;
    free(book->known);
    free(book->tags);
    free(book);
}

void tag_book_use(struct tag_book *book, const struct site_tagger *tagger)
{
    book->tagger = tagger;
    memset(book->known, 0, book->known_slots * sizeof(*book->known));
    book->known_count = 0;
}

void tag_book_rest(struct tag_book *book)
{
    if (book->known_slots == KNOWN_FIRST)
        return;
    struct known_function *first = calloc(KNOWN_FIRST, sizeof(*first));
    if (first == NULL)
        return; /* then it is kept */
    free(book->known);
    book->known = first;
    book->known_slots = KNOWN_FIRST;
    book->known_count = 0;
}

/* ---- functions ---- */

static size_t hash_pointers(const void *a, const void *b)
{
    uint64_t hash = (uint64_t)(uintptr_t)a * UINT64_C(0x9E3779B97F4A7C15);
    hash ^= (uint64_t)(uintptr_t)b * UINT64_C(0xC2B2AE3D27D4EB4F);
    return (size_t)(hash ^ hash >> 32);
}

static struct known_function *find_slot(struct known_function *known, size_t slots,
                                        const struct frame *frame)
{
    size_t at = hash_pointers(frame->function, frame->file) & (slots - 1);
    while (known[at].function != NULL &&
           (known[at].function != frame->function || known[at].file != frame->file))
        at = (at + 1) & (slots - 1);
    return &known[at];
}

/* Doubles the table.  Without memory it stays: then nothing more is remembered. */
static void grow_known(struct tag_book *book)
{
    const size_t slots = book->known_slots * 2;
    if (slots > KNOWN_SLOTS_MAX)
        return;
    struct known_function *fresh = calloc(slots, sizeof(*fresh));
    if (fresh == NULL)
        return;
    for (size_t i = 0; i < book->known_slots; i++) {
        const struct known_function *old = &book->known[i];
        if (old->function == NULL)
            continue;
        const struct frame key = {.function = old->function, .file = old->file};
        *find_slot(fresh, slots, &key) = *old;
    }
    free(book->known);
    book->known = fresh;
    book->known_slots = slots;
}

static struct known_function learn(const struct tag_book *book, const struct frame *frame)
{
    const struct site_tagger *tagger = book->tagger;
    struct known_function known = {
        .function = frame->function,
        .file = frame->file,
        .rule = tagger == NULL
                    ? 0
                    : (uint32_t)tag_rules_find(tagger->rules, tagger->rule_count, frame),
        .role = tag_role_of(frame),
    };
    known.role.primitive = primitive_of_function(frame->function);
    return known;
}

static struct known_function know(struct tag_book *book, const struct frame *frame)
{
    struct known_function *slot = find_slot(book->known, book->known_slots, frame);
    if (slot->function != NULL)
        return *slot;
    const struct known_function fresh = learn(book, frame);
    if ((book->known_count + 1) * 4 > book->known_slots * 3)
        grow_known(book);
    if ((book->known_count + 1) * 4 <= book->known_slots * 3) {
        *find_slot(book->known, book->known_slots, frame) = fresh;
        book->known_count++;
    }
    return fresh;
}

/* ---- tags ---- */

struct frame_role tag_book_role(struct tag_book *book, const struct frame *frame)
{
    return know(book, frame).role;
}

/* What the user says: the first rule of the config that matches a frame, else the function's answer. */
static bool ask_user(struct tag_book *book, const struct frame *const *frames, size_t count,
                     char tag[TAG_ROOM])
{
    const struct site_tagger *tagger = book->tagger;
    if (tagger == NULL)
        return false;
    size_t rule = tagger->rule_count;
    for (size_t i = 0; i < count && rule > 0; i++) {
        const struct known_function known = know(book, frames[i]);
        if (known.rule < rule)
            rule = known.rule;
    }
    if (rule < tagger->rule_count) {
        tag_name_copy(tagger->rules[rule].tag, tag);
        return true;
    }
    return tagger->function != NULL && tagger->function(tagger->context, frames, count, tag);
}

static size_t tag_slot(const char *const *tags, size_t slots, const char *tag)
{
    size_t at = hash_pointers(tag, NULL) & (slots - 1);
    while (tags[at] != NULL && tags[at] != tag)
        at = (at + 1) & (slots - 1);
    return at;
}

static bool grow_tags(struct tag_book *book)
{
    const size_t slots = book->tag_slots * 2;
    const char **fresh = calloc(slots, sizeof(*fresh));
    if (fresh == NULL)
        return false;
    for (size_t i = 0; i < book->tag_slots; i++) {
        if (book->tags[i] != NULL)
            fresh[tag_slot(fresh, slots, book->tags[i])] = book->tags[i];
    }
    free(book->tags);
    book->tags = fresh;
    book->tag_slots = slots;
    return true;
}

/* Whether [tag] may be given: it was before, or there is room for one more. */
static bool admit(struct tag_book *book, const char *tag)
{
    if (book->tags[tag_slot(book->tags, book->tag_slots, tag)] != NULL)
        return true;
    if (book->tag_count == TAGS_MAX ||
        ((book->tag_count + 1) * 2 > book->tag_slots && !grow_tags(book)))
        return false;
    book->tags[tag_slot(book->tags, book->tag_slots, tag)] = tag;
    book->tag_count++;
    return true;
}

/* [text] as a string of [table], or "other" where there are too many. */
static const char *give(struct tag_book *book, struct site_table *table, const char *text,
                        bool *admitted)
{
    const char *tag = site_table_string(table, text, strlen(text));
    *admitted = tag == NULL || admit(book, tag);
    if (*admitted)
        return tag;
    if (book->tagger != NULL && book->tagger->counters != NULL)
        atomic_fetch_add_explicit(&book->tagger->counters->tags_dropped, 1, memory_order_relaxed);
    return site_table_string(table, "other", strlen("other"));
}

static const char *give_default(struct tag_book *book, struct site_table *table,
                                const struct frame *const *frames, size_t count)
{
    char text[TAG_ROOM];
    bool is_function, admitted;
    const char *of = tag_default(frames, count, &is_function);
    struct named *named = &book->named[hash_pointers(of, NULL) % NAMED_KEPT];
    if (named->of == of)
        return named->tag;
    if (is_function)
        tag_name_shorten(of, text);
    else
        tag_name_copy(of, text);
    const char *tag = give(book, table, text, &admitted);
    if (tag != NULL && admitted)
        *named = (struct named){of, tag};
    return tag;
}

const char *tag_book_tag(struct tag_book *book, struct site_table *table,
                         const struct frame *const *frames, size_t count)
{
    char text[TAG_ROOM] = "";
    bool admitted;
    return ask_user(book, frames, count, text) ? give(book, table, text, &admitted)
                                               : give_default(book, table, frames, count);
}
