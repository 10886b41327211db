/* unpack_target.c - what a history stream says of one target: sites, groups, top lists, rows. */
#include "core/store/unpack_target.h"

#include <stdlib.h>

#include "core/base/arena.h"
#include "core/store/msgpack_bytes.h"
#include "core/store/pack.h"
#include "core/store/pack_format.h"
#include "core/store/pack_names.h"
#include "core/store/snapshot.h"
#include "core/store/unpack.h"

enum {
    STRINGS_MAX = 1 << 17,
    STRINGS_MAX_BYTES = 256 << 20,
    SITES_MAX = 1 << 16,
    GROUPS_MAX = 1 << 16,
    COLUMNS_MAX = COLUMN_FIELDS + PACK_FIELD_COLUMNS * UNPACK_FIELDS_MAX,
};

struct past_group {
    const char *type_name; /* of the site table */
    const char *tag;
    uint64_t words[UNPACK_WORDS_MAX];
};

struct past_site {
    const struct site *site;
    uint64_t words[SITE_WORDS];
};

struct unpack_target {
    const struct target_info *info;
    struct site_table *table; /* of the process of [table_*] */
    uint64_t table_generation;
    pid_t table_pid;
    uint64_t table_start_ticks;
    struct pack_names site_hashes; /* of the table's sites: a site in two streams is one */
    const struct site **table_sites; /* by number of their hash */
    size_t table_room;
    struct past_site *sites; /* of the stream */
    size_t site_count;
    size_t site_room;
    struct past_group *groups;
    size_t group_count;
    size_t group_room;
    const struct tops *tops;
    const struct profile *profile;
    struct profile *fresh; /* [profile] before anybody else has seen it; or NULL */
    const struct snapshot *snapshot;
    size_t layout_count;
    uint16_t layout[COLUMNS_MAX];
    uint64_t row[COLUMNS_MAX];
    uint64_t step[COLUMN_MONOTONIC + 1];
};

static bool corrupt(struct error *err, const char *what)
{
    return error_set(err, ERROR_CORRUPT, "%s", what);
}

static bool no_memory(struct error *err)
{
    return error_set(err, ERROR_NO_MEMORY, "no memory for recorded history");
}

/* Makes room for one more in a list of [count]; at most [max]. */
static bool make_room(void **list, size_t *room, size_t count, size_t max, size_t bytes)
{
    if (count < *room)
        return true;
    const size_t wanted = *room == 0 ? 32 : 2 * *room;
    if (count >= max)
        return false;
    void *grown = realloc(*list, wanted * bytes);
    if (grown == NULL)
        return false;
    *list = grown;
    *room = wanted;
    return true;
}

/* ---- strings ---- */

void unpack_strings_release(struct unpack_strings *strings)
{
    arena_free(strings->arena);
    free(strings->texts);
    *strings = (struct unpack_strings){.count = 0};
}

bool unpack_strings_read(struct unpack_strings *strings, struct msgpack_cursor *in, size_t count,
                         struct error *err)
{
    if (strings->arena == NULL)
        strings->arena = arena_new(STRINGS_MAX_BYTES, 16 << 10);
    if (strings->arena == NULL)
        return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        size_t length;
        const char *text = msgpack_text(in, &length);
        if (in->failed || memchr(text, '\0', length) != NULL)
            return corrupt(err, "a string that is none");
        void *list = strings->texts;
        const bool ok = make_room(&list, &strings->room, strings->count, STRINGS_MAX,
                                  sizeof(strings->texts[0]));
        strings->texts = list;
        const char *copy = ok ? arena_copy_string(strings->arena, text, length) : NULL;
        if (copy == NULL)
            return error_set(err, ERROR_LIMIT, "too many strings in one history stream");
        strings->texts[strings->count++] = copy;
    }
    return true;
}

const char *unpack_string(const struct unpack_strings *strings, uint64_t number)
{
    if (number == 0)
        return "";
    return number <= strings->count ? strings->texts[number - 1] : NULL;
}

/* ---- who ---- */

static char *copy_bytes(struct arena *arena, const char *text, size_t length)
{
    if (memchr(text, '\0', length) != NULL)
        return NULL;
    return (char *)(uintptr_t)arena_copy_string(arena, text, length);
}

/* One pair of the map.  What is not known is left out. */
static bool read_fact(struct msgpack_cursor *in, struct target_facts *facts, struct arena *arena)
{
    size_t length;
    struct msgpack_item value;
    const char *name = msgpack_text(in, &length);
    struct msgpack_cursor after = *in;
    if (in->failed || msgpack_skip(&after) != MSGPACK_DONE || msgpack_get(in, &value) != MSGPACK_DONE)
        return false;
    *in = after;
#define READ(member)                                                                               \
    if (length == strlen(#member) && memcmp(name, #member, length) == 0) {                         \
        facts->member = value.kind == MSGPACK_TEXT ? copy_bytes(arena, value.text, value.count) : NULL; \
        return facts->member != NULL;                                                              \
    }
    PACK_TARGET_TEXTS(READ)
#undef READ
#define READ(member)                                                                               \
    if (length == strlen(#member) && memcmp(name, #member, length) == 0) {                         \
        facts->member = (__typeof__(facts->member))value.word;                                     \
        return value.kind == MSGPACK_INT;                                                          \
    }
    PACK_TARGET_NUMBERS(READ)
#undef READ
    return true;
}

const struct target_info *unpack_info(struct msgpack_cursor *in)
{
    struct target_facts facts = {0};
    const struct target_info *info = NULL;
    struct arena *arena = arena_new(16 << 20, 4 << 10);
    bool ok = arena != NULL;
    for (size_t left = msgpack_map(in); ok && left > 0; left--)
        ok = read_fact(in, &facts, arena);
    /* What they are is looked up in tables by others. */
    ok = ok && !in->failed && facts.id != NULL && facts.id[0] != '\0' &&
         (unsigned)facts.source <= SOURCE_PUSH && (unsigned)facts.state <= TARGET_GONE &&
         (unsigned)facts.reason_code <= ERROR_SYSTEM && facts.pid >= 0;
    if (ok)
        info = target_info_new(&facts, NULL, 0);
    arena_free(arena);
    return info;
}

/* ---- life ---- */

struct unpack_target *unpack_target_new(void)
{
    return calloc(1, sizeof(struct unpack_target));
}

/* Forgets the sites, groups and lists of the stream. */
static void forget_process(struct unpack_target *target)
{
    target->site_count = 0;
    target->group_count = 0;
    tops_unref(target->tops);
    profile_unref(target->profile);
    target->tops = NULL;
    target->profile = NULL;
    target->fresh = NULL;
}

void unpack_target_restart(struct unpack_target *target)
{
    forget_process(target);
    snapshot_unref(target->snapshot);
    target->snapshot = NULL;
    target->layout_count = 0;
    memset(target->row, 0, sizeof(target->row));
    memset(target->step, 0, sizeof(target->step));
}

void unpack_target_free(struct unpack_target *target)
{
    if (target == NULL)
        return;
    unpack_target_restart(target);
    target_info_unref(target->info);
    site_table_unref(target->table);
    pack_names_release(&target->site_hashes);
    free(target->table_sites);
    free(target->sites);
    free(target->groups);
    free(target);
}

void unpack_target_set_info(struct unpack_target *target, const struct target_info *info)
{
    target_info_unref(target->info);
    target->info = info;
}

const struct target_info *unpack_target_info(const struct unpack_target *target)
{
    return target->info;
}

bool unpack_target_begin_process(struct unpack_target *target, struct error *err)
{
    const struct target_facts *facts = &target->info->facts;
    forget_process(target);
    if (target->table != NULL && target->table_generation == facts->generation &&
        target->table_pid == facts->pid && target->table_start_ticks == facts->start_ticks &&
        site_table_count(target->table) < SITES_MAX)
        return true;
    site_table_unref(target->table);
    pack_names_release(&target->site_hashes);
    target->table = site_table_new();
    target->table_generation = facts->generation;
    target->table_pid = facts->pid;
    target->table_start_ticks = facts->start_ticks;
    return target->table != NULL ? true : no_memory(err);
}

/* ---- sites and groups ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = mix(hash, (unsigned char)*text);
    return mix(hash, 0x100);
}

static uint64_t hash_site(const struct site *site)
{
    uint64_t hash = mix(site->object_bytes, site->frame_count);
    hash = mix_text(mix_text(mix_text(hash, site->type_name), site->tag), site->primitive);
    for (size_t i = 0; i < site->frame_count; i++)
        hash = mix(mix_text(hash, site->frames[i]->function), site->frames[i]->line);
    return hash;
}

static bool same_site(const struct site *a, const struct site *b)
{
    bool same = a->object_bytes == b->object_bytes && a->frame_count == b->frame_count &&
                a->first_seen_realtime_ns == b->first_seen_realtime_ns &&
                strcmp(a->type_name, b->type_name) == 0 && strcmp(a->tag, b->tag) == 0 &&
                strcmp(a->primitive, b->primitive) == 0 && strcmp(a->package, b->package) == 0;
    for (size_t i = 0; same && i < a->frame_count; i++)
        same = a->frames[i]->line == b->frames[i]->line &&
               strcmp(a->frames[i]->function, b->frames[i]->function) == 0 &&
               strcmp(a->frames[i]->file, b->frames[i]->file) == 0;
    return same;
}

/* That of the table which equals [past], or a new one. */
static const struct site *keep_site(struct unpack_target *target, const struct site *past,
                                    struct error *err)
{
    bool is_new = false;
    const uint64_t number =
        pack_names_pair(&target->site_hashes, hash_site(past), past->first_seen_realtime_ns, &is_new);
    if (target->site_hashes.failed) {
        (void)no_memory(err);
        return NULL;
    }
    if (!is_new && same_site(target->table_sites[number - 1], past))
        return target->table_sites[number - 1];
    const struct site *site = site_table_add_past(target->table, past, err);
    if (!is_new)
        return site;
    void *list = target->table_sites;
    const bool ok = make_room(&list, &target->table_room, (size_t)number - 1, SIZE_MAX / 64,
                              sizeof(target->table_sites[0]));
    target->table_sites = list;
    if (site == NULL || !ok) {
        /* Its number names nothing: the next stream, which goes on with this table, must not find it. */
        pack_names_release(&target->site_hashes);
        if (site != NULL)
            (void)no_memory(err);
        return NULL;
    }
    target->table_sites[number - 1] = site;
    return site;
}

static bool read_frames(struct frame *frames, size_t count, const struct unpack_strings *strings,
                        struct msgpack_cursor *in)
{
    for (size_t i = 0; i < count; i++) {
        frames[i].function = unpack_string(strings, msgpack_word(in));
        frames[i].file = unpack_string(strings, msgpack_word(in));
        frames[i].line = (uint32_t)msgpack_word(in);
        frames[i].start_line = (uint32_t)msgpack_word(in);
        frames[i].starts_location = true;
        if (in->failed || frames[i].function == NULL || frames[i].file == NULL)
            return false;
    }
    return true;
}

bool unpack_target_read_site(struct unpack_target *target, const struct unpack_strings *strings,
                             struct msgpack_cursor *in, size_t members, struct error *err)
{
    enum { BEFORE_FRAMES = 7 };
    struct frame frames[PACK_FRAMES_MAX] = {0};
    const struct frame *stack[PACK_FRAMES_MAX];
    const size_t count = members < BEFORE_FRAMES ? 0 : (members - BEFORE_FRAMES) / 4;
    if (target->table == NULL || count == 0 || count > PACK_FRAMES_MAX ||
        members != BEFORE_FRAMES + 4 * count)
        return corrupt(err, "a site without frames or process");
    for (size_t i = 0; i < count; i++)
        stack[i] = &frames[i];
    struct site past = {.frames = stack, .frame_count = (uint32_t)count};
    past.object_bytes = msgpack_word(in);
    past.first_seen_realtime_ns = msgpack_word(in);
    past.primitive = unpack_string(strings, msgpack_word(in));
    past.type_name = unpack_string(strings, msgpack_word(in));
    past.tag = unpack_string(strings, msgpack_word(in));
    past.package = unpack_string(strings, msgpack_word(in));
    const uint64_t blame = msgpack_word(in);
    if (in->failed || past.primitive == NULL || past.type_name == NULL || past.tag == NULL ||
        past.package == NULL || blame >= count || !read_frames(frames, count, strings, in))
        return corrupt(err, "a site that cannot be read");
    past.blame = &frames[blame];
    void *list = target->sites;
    const bool ok =
        make_room(&list, &target->site_room, target->site_count, SITES_MAX, sizeof(*target->sites));
    target->sites = list;
    if (!ok)
        return error_set(err, ERROR_LIMIT, "too many sites in one history stream");
    const struct site *site = keep_site(target, &past, err);
    if (site == NULL)
        return false;
    target->sites[target->site_count++] = (struct past_site){.site = site};
    return true;
}

bool unpack_target_read_group(struct unpack_target *target, const struct unpack_strings *strings,
                              struct msgpack_cursor *in, struct error *err)
{
    const char *type = unpack_string(strings, msgpack_word(in));
    const char *tag = unpack_string(strings, msgpack_word(in));
    if (in->failed || type == NULL || tag == NULL || target->table == NULL)
        return corrupt(err, "a group that cannot be read");
    void *list = target->groups;
    const bool ok = make_room(&list, &target->group_room, target->group_count, GROUPS_MAX,
                              sizeof(*target->groups));
    target->groups = list;
    if (!ok)
        return error_set(err, ERROR_LIMIT, "too many groups in one history stream");
    const struct past_group group = {
        .type_name = site_table_string(target->table, type, strlen(type)),
        .tag = site_table_string(target->table, tag, strlen(tag)),
    };
    if (group.type_name == NULL || group.tag == NULL)
        return no_memory(err);
    target->groups[target->group_count++] = group;
    return true;
}

/* ---- lists ---- */

/* The numbers of an array, each from 1 to [largest]; false if there is another or more than [max]. */
static bool read_numbers(struct msgpack_cursor *in, uint64_t *numbers, size_t max, size_t *count,
                         size_t largest)
{
    *count = msgpack_array(in);
    if (in->failed || *count > max)
        return false;
    for (size_t i = 0; i < *count; i++) {
        numbers[i] = msgpack_word(in);
        if (in->failed || numbers[i] == 0 || numbers[i] > largest)
            return false;
    }
    return true;
}

/* Masks and differences lie in two arrays behind each other. */
struct changes {
    struct msgpack_cursor masks;
    struct msgpack_cursor values;
    size_t left;
};

static bool find_changes(struct msgpack_cursor *in, size_t masks, struct changes *changes)
{
    if (msgpack_array(in) != masks || in->failed)
        return false;
    changes->masks = *in;
    for (size_t i = 0; i < masks && !in->failed; i++)
        (void)msgpack_word(in);
    changes->left = msgpack_array(in);
    changes->values = *in;
    for (size_t i = 0; i < changes->left && !in->failed; i++)
        (void)msgpack_word(in);
    return !in->failed;
}

static bool apply_changes(struct changes *changes, uint64_t *words, size_t count)
{
    const uint64_t mask = msgpack_word(&changes->masks);
    if (count < 64 && mask >> count != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if ((mask >> i & 1) == 0)
            continue;
        if (changes->left == 0)
            return false;
        changes->left--;
        words[i] += msgpack_word(&changes->values);
    }
    return true;
}

static void set_figure(struct retention_figures *out, const struct retention_field *field,
                       uint64_t word)
{
    char *member = (char *)out + field->offset;
    const double scale = field->unit == UNIT_SECONDS ? 1000 : 1;
    const double number = word == PACK_NO_FIGURE ? (double)NAN : (double)(int64_t)word / scale;
    if (field->kind == RETENTION_FLAG)
        *(bool *)member = word != 0;
    else
        memcpy(member, &number, sizeof(number));
}

struct list_reader {
    struct unpack_target *target;
    struct changes changes;
    const struct retention_field *const *figures;
    size_t figure_count;
};

static bool read_entry(struct list_reader *reader, uint64_t number, bool with_figures,
                       struct top_entry *entry)
{
    struct unpack_target *target = reader->target;
    struct past_group *group = &target->groups[number - 1];
    uint64_t *words = group->words;
    if (!apply_changes(&reader->changes, words,
                       GROUP_NUMBERS + (with_figures ? reader->figure_count : 0)) ||
        words[0] > target->site_count)
        return false;
    const struct site *site = words[0] == 0 ? NULL : target->sites[words[0] - 1].site;
    *entry = (struct top_entry){
        .type_name = group->type_name,
        .tag = group->tag,
        .package = site != NULL ? site->package : "",
        .site = site,
        .alloc_objects = (int64_t)words[1],
        .alloc_bytes = (int64_t)words[2],
        .inuse_objects = (int64_t)words[3],
        .inuse_bytes = (int64_t)words[4],
        .site_count = words[5],
    };
    for (size_t i = 0; with_figures && i < reader->figure_count; i++) {
        if (reader->figures[i] != NULL)
            set_figure(&entry->retention, reader->figures[i], words[GROUP_NUMBERS + i]);
    }
    return site != NULL;
}

bool unpack_target_read_tops(struct unpack_target *target, struct msgpack_cursor *in,
                             const struct retention_field *const *figures, size_t figure_count,
                             struct error *err)
{
    uint64_t groups[2][SNAPSHOT_TOP_MAX];
    size_t counts[2];
    struct list_reader reader = {.target = target, .figures = figures, .figure_count = figure_count};
    if (target->table == NULL ||
        !read_numbers(in, groups[0], SNAPSHOT_TOP_MAX, &counts[0], target->group_count) ||
        !read_numbers(in, groups[1], SNAPSHOT_TOP_MAX, &counts[1], target->group_count) ||
        !find_changes(in, counts[0] + counts[1], &reader.changes))
        return corrupt(err, "top lists that cannot be read");
    struct tops *tops = calloc(1, sizeof(*tops));
    if (tops == NULL)
        return no_memory(err);
    atomic_init(&tops->refs_, 1);
    tops->sites = site_table_ref(target->table);
    tops->allocations = calloc(counts[0] + 1, sizeof(*tops->allocations));
    tops->retentions = calloc(counts[1] + 1, sizeof(*tops->retentions));
    bool ok = tops->allocations != NULL && tops->retentions != NULL;
    if (!ok)
        (void)no_memory(err);
    for (size_t list = 0; ok && list < 2; list++) {
        struct top_entry *entries = list == 0 ? tops->allocations : tops->retentions;
        for (size_t i = 0; ok && i < counts[list]; i++) {
            ok = read_entry(&reader, groups[list][i], list == 1, &entries[i]) ||
                 corrupt(err, "an entry of a top list that cannot be read");
        }
    }
    tops->allocation_count = counts[0];
    tops->retention_count = counts[1];
    tops_unref(target->tops);
    target->tops = ok ? tops : NULL;
    if (!ok)
        tops_unref(tops);
    return ok;
}

bool unpack_target_read_profile(struct unpack_target *target, struct msgpack_cursor *in,
                                struct error *err)
{
    uint64_t sites[PACK_PROFILE_SITES_MAX];
    struct changes changes;
    size_t count;
    const uint64_t taken_ns = msgpack_word(in);
    const uint64_t start_ns = msgpack_word(in);
    const uint64_t cycle = msgpack_word(in);
    const uint64_t rate = msgpack_word(in);
    const uint64_t partial = msgpack_word(in);
    if (in->failed || target->table == NULL ||
        !read_numbers(in, sites, PACK_PROFILE_SITES_MAX, &count, target->site_count) ||
        !find_changes(in, count, &changes))
        return corrupt(err, "a profile that cannot be read");
    struct profile *profile = profile_begin(target->table, count);
    if (profile == NULL)
        return no_memory(err);
    profile->taken_realtime_ns = taken_ns;
    profile->start_realtime_ns = start_ns;
    profile->cycle = cycle;
    profile->rate = (int64_t)rate;
    profile->partial = partial != 0;
    profile->partial_reason = profile->partial ? "it was partial when it was recorded" : NULL;
    profile->scaled = true;
    profile->largest_only = true;
    for (size_t i = 0; i < count; i++) {
        struct past_site *past = &target->sites[sites[i] - 1];
        if (!apply_changes(&changes, past->words, SITE_WORDS)) {
            profile_discard(profile);
            return corrupt(err, "an entry of a profile that cannot be read");
        }
        profile->entries[profile->entry_count++] = (struct profile_entry){
            .site = past->site,
            .alloc_objects = (int64_t)past->words[0],
            .alloc_bytes = (int64_t)past->words[1],
            .inuse_objects = (int64_t)past->words[2],
            .inuse_bytes = (int64_t)past->words[3],
            .block_bytes = (int64_t)past->words[4],
        };
    }
    profile_unref(target->profile);
    target->profile = profile_seal_past(profile);
    target->fresh = profile;
    return true;
}

/* ---- rows ---- */

bool unpack_target_read_layout(struct unpack_target *target, struct msgpack_cursor *in, size_t count,
                               size_t columns, struct error *err)
{
    target->layout_count = 0;
    if (count > columns)
        return corrupt(err, "a layout with more columns than there are");
    for (size_t i = 0; i < count; i++) {
        const uint64_t column = msgpack_word(in);
        if (in->failed || column >= columns || (i > 0 && column <= target->layout[i - 1]))
            return corrupt(err, "a layout that cannot be read");
        target->layout[i] = (uint16_t)column;
    }
    target->layout_count = count;
    return true;
}

bool unpack_target_read_row(struct unpack_target *target, struct msgpack_cursor *in, size_t values,
                            struct error *err)
{
    if (values != target->layout_count)
        return corrupt(err, "a row that does not fit its layout");
    /* The two that are not in the layout go on as they did. */
    uint64_t steps[COLUMN_MONOTONIC + 1];
    memcpy(steps, target->step, sizeof(steps));
    for (size_t i = 0; i < values; i++) {
        const uint16_t column = target->layout[i];
        struct msgpack_item item;
        if (msgpack_get(in, &item) != MSGPACK_DONE)
            return corrupt(err, "a row that ends early");
        if (column <= COLUMN_MONOTONIC && item.kind == MSGPACK_INT)
            steps[column] += item.word;
        else if (item.kind == MSGPACK_INT)
            target->row[column] += item.word;
        else if (item.kind == MSGPACK_FLOAT)
            target->row[column] = item.word;
        else
            return corrupt(err, "a row with something else than numbers");
    }
    for (size_t i = 0; i <= COLUMN_MONOTONIC; i++) {
        target->step[i] = steps[i];
        target->row[i] += steps[i];
    }
    return true;
}

const uint64_t *unpack_target_row(const struct unpack_target *target)
{
    return target->row;
}

const struct tops *unpack_target_tops(const struct unpack_target *target)
{
    return target->tops;
}

/* Those of all sites: the entries are but the largest. */
static void set_totals(struct profile *profile, const struct snapshot_values *values)
{
    struct profile_totals *totals = &profile->totals;
    if (SNAPSHOT_HAS(values, profile_alloc_objects))
        totals->alloc_objects = (int64_t)values->profile_alloc_objects;
    if (SNAPSHOT_HAS(values, profile_alloc_bytes))
        totals->alloc_bytes = (int64_t)values->profile_alloc_bytes;
    if (SNAPSHOT_HAS(values, profile_inuse_objects))
        totals->inuse_objects = (int64_t)values->profile_inuse_objects;
    if (SNAPSHOT_HAS(values, profile_inuse_bytes))
        totals->inuse_bytes = (int64_t)values->profile_inuse_bytes;
}

void unpack_target_take(struct unpack_target *target, const struct snapshot *snapshot,
                        struct history_row *row)
{
    snapshot_unref(target->snapshot);
    target->snapshot = snapshot;
    row->info = target->info;
    row->snapshot = snapshot;
    row->profile = target->row[COLUMN_PROFILE] != 0 ? target->profile : NULL;
    row->profile_is_new = target->fresh != NULL && row->profile != NULL;
    if (target->fresh != NULL)
        set_totals(target->fresh, &snapshot->values);
    target->fresh = NULL;
}
