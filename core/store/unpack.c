/* unpack.c - a history stream back to snapshots.
 *
 * Whatever the bytes say is checked against what came before: numbers of strings, sites, groups and columns name
 * something that exists, lists have bounds, and a stream may not make us keep more than it pays for in bytes. */
#include "core/store/unpack.h"

#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/buffer.h"
#include "core/store/msgpack_bytes.h"
#include "core/store/pack.h"
#include "core/store/pack_format.h"
#include "core/store/snapshot.h"
#include "core/store/unpack_target.h"

enum {
    TARGETS_MAX = 1 << 13,
    VERSION_BYTES = 64,
    REASONS_MAX_BYTES = 1 << 20,
    SHOWN_MAX = 64,
};

struct unpacker {
    char version[VERSION_BYTES];
    char boot_id[VERSION_BYTES];
    bool has_header;
    size_t field_count;                   /* of the stream */
    const struct field **fields;          /* ours of that name and type; NULL: not ours */
    size_t figure_count;
    const struct retention_field **figures;
    struct unpack_strings strings;
    struct unpack_target **targets; /* by number, from 1; those of earlier streams stay in `known` */
    size_t target_count;
    struct unpack_target **known; /* owned */
    size_t known_count;
    struct arena *reasons; /* constant texts, for all streams */
    const char *shown[SHOWN_MAX];
    size_t shown_count;
};

/* ---- life ---- */

struct unpacker *unpacker_new(void)
{
    struct unpacker *unpacker = calloc(1, sizeof(*unpacker));
    if (unpacker == NULL)
        return NULL;
    unpacker->targets = calloc(TARGETS_MAX + 1, sizeof(struct unpack_target *));
    unpacker->known = calloc(TARGETS_MAX, sizeof(struct unpack_target *));
    unpacker->reasons = arena_new(REASONS_MAX_BYTES, 4 << 10);
    if (unpacker->targets == NULL || unpacker->known == NULL || unpacker->reasons == NULL) {
        unpacker_free(unpacker);
        return NULL;
    }
    return unpacker;
}

void unpacker_restart(struct unpacker *unpacker)
{
    for (size_t i = 0; i < unpacker->known_count; i++)
        unpack_target_restart(unpacker->known[i]);
    memset(unpacker->targets, 0, (TARGETS_MAX + 1) * sizeof(struct unpack_target *));
    unpacker->target_count = 0;
    unpacker->has_header = false;
    unpack_strings_release(&unpacker->strings);
    free(unpacker->fields);
    free(unpacker->figures);
    unpacker->fields = NULL;
    unpacker->figures = NULL;
    unpacker->field_count = 0;
    unpacker->figure_count = 0;
}

void unpacker_free(struct unpacker *unpacker)
{
    if (unpacker == NULL)
        return;
    if (unpacker->targets != NULL)
        unpacker_restart(unpacker);
    for (size_t i = 0; i < unpacker->known_count; i++)
        unpack_target_free(unpacker->known[i]);
    free(unpacker->targets);
    free(unpacker->known);
    arena_free(unpacker->reasons);
    free(unpacker);
}

const char *unpacker_writer_version(const struct unpacker *unpacker)
{
    return unpacker->version;
}

const char *unpacker_boot_id(const struct unpacker *unpacker)
{
    return unpacker->boot_id;
}

/* ---- header ---- */

static bool text_is(const char *text, size_t length, const char *expected)
{
    return strlen(expected) == length && memcmp(text, expected, length) == 0;
}

static void copy_text(char out[VERSION_BYTES], const char *text, size_t length)
{
    (void)snprintf(out, VERSION_BYTES, "%.*s", (int)(length < 60 ? length : 60), text);
}

static const struct field *match_field(struct msgpack_cursor *in)
{
    static const char *const types[] = {[FIELD_U64] = "u64", [FIELD_I64] = "i64", [FIELD_F64] = "f64"};
    size_t lengths[2];
    const size_t members = msgpack_array(in);
    const char *name = msgpack_text(in, &lengths[0]);
    const char *type = msgpack_text(in, &lengths[1]);
    for (size_t i = 2; i < members && !in->failed; i++)
        in->failed = msgpack_skip(in) != MSGPACK_DONE;
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT && !in->failed; i++) {
        const struct field *field = &snapshot_fields[i];
        if (text_is(name, lengths[0], field->name))
            return text_is(type, lengths[1], types[field->type]) ? field : NULL;
    }
    return NULL;
}

static const struct retention_field *match_figure(struct msgpack_cursor *in)
{
    size_t length;
    const size_t members = msgpack_array(in);
    const char *name = msgpack_text(in, &length);
    for (size_t i = 1; i < members && !in->failed; i++)
        in->failed = msgpack_skip(in) != MSGPACK_DONE;
    for (size_t i = 0; i < RETENTION_FIGURE_COUNT && !in->failed; i++) {
        if (text_is(name, length, retention_fields[i].name))
            return &retention_fields[i];
    }
    return NULL;
}

static bool read_header(struct unpacker *unpacker, struct msgpack_cursor *in, struct error *err)
{
    size_t length;
    unpacker_restart(unpacker);
    const uint64_t version = msgpack_word(in);
    if (!in->failed && version != PACK_VERSION)
        return error_set(err, ERROR_UNSUPPORTED,
                         "version %llu of the history format; this goprofd reads version %d",
                         (unsigned long long)version, PACK_VERSION);
    const char *text = msgpack_text(in, &length);
    copy_text(unpacker->version, text, length);
    text = msgpack_text(in, &length);
    copy_text(unpacker->boot_id, text, length);
    const size_t fields = msgpack_array(in);
    if (in->failed || fields > UNPACK_FIELDS_MAX)
        return error_set(err, ERROR_CORRUPT, "a header without a table of fields");
    unpacker->fields = calloc(fields + 1, sizeof(struct field *));
    for (size_t i = 0; i < fields && unpacker->fields != NULL; i++)
        unpacker->fields[i] = match_field(in);
    const size_t figures = msgpack_array(in);
    if (in->failed || figures + GROUP_NUMBERS > UNPACK_WORDS_MAX)
        return error_set(err, ERROR_CORRUPT, "a header without a table of figures");
    unpacker->figures = calloc(figures + 1, sizeof(struct retention_field *));
    for (size_t i = 0; i < figures && unpacker->figures != NULL; i++)
        unpacker->figures[i] = match_figure(in);
    if (unpacker->fields == NULL || unpacker->figures == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for a table of fields");
    unpacker->field_count = fields;
    unpacker->figure_count = figures;
    unpacker->has_header = true;
    return in->failed ? error_set(err, ERROR_CORRUPT, "a header that cannot be read") : true;
}

/* ---- records ---- */

static struct unpack_target *known_target(struct unpacker *unpacker, const char *id)
{
    for (size_t i = 0; i < unpacker->known_count; i++) {
        if (strcmp(unpack_target_info(unpacker->known[i])->facts.id, id) == 0)
            return unpacker->known[i];
    }
    return NULL;
}

static bool read_target(struct unpacker *unpacker, struct msgpack_cursor *in, struct error *err)
{
    const uint64_t number = msgpack_word(in);
    const struct target_info *info = unpack_info(in);
    if (info == NULL)
        return error_set(err, ERROR_CORRUPT, "a target that cannot be read");
    if (number == 0 || number > TARGETS_MAX || number > unpacker->target_count + 1) {
        target_info_unref(info);
        return error_set(err, ERROR_CORRUPT, "a target out of its order");
    }
    struct unpack_target *target = unpacker->targets[number];
    if (target == NULL)
        target = known_target(unpacker, info->facts.id);
    if (target == NULL && unpacker->known_count < TARGETS_MAX) {
        target = unpack_target_new();
        if (target != NULL)
            unpacker->known[unpacker->known_count++] = target;
    }
    if (target == NULL) {
        target_info_unref(info);
        return error_set(err, ERROR_LIMIT, "no room for one more target");
    }
    if (unpacker->targets[number] == NULL)
        unpacker->target_count = number;
    unpacker->targets[number] = target;
    unpack_target_set_info(target, info);
    return true;
}

/* The text that a snapshot may point to for as long as the unpacker lives. */
static const char *reason_of(struct unpacker *unpacker, uint64_t number)
{
    const char *text = unpack_string(&unpacker->strings, number);
    if (number == 0 || text == NULL)
        return NULL;
    for (size_t i = 0; i < unpacker->shown_count; i++) {
        if (strcmp(unpacker->shown[i], text) == 0)
            return unpacker->shown[i];
    }
    const char *copy = unpacker->shown_count < SHOWN_MAX
                           ? arena_copy_string(unpacker->reasons, text, strlen(text))
                           : NULL;
    if (copy == NULL)
        return "something was missing; goprofd that recorded it said what";
    unpacker->shown[unpacker->shown_count++] = copy;
    return copy;
}

static const struct snapshot *make_snapshot(struct unpacker *unpacker,
                                            const struct unpack_target *target)
{
    const uint64_t *row = unpack_target_row(target);
    struct snapshot *snapshot = snapshot_begin(
        row[COLUMN_MONOTONIC] + row[COLUMN_REALTIME_OFFSET], row[COLUMN_MONOTONIC]);
    if (snapshot == NULL)
        return NULL;
    snapshot->sequence = row[COLUMN_SEQUENCE];
    snapshot->generation = row[COLUMN_GENERATION];
    snapshot->partial = row[COLUMN_PARTIAL] != 0;
    snapshot->partial_reason = reason_of(unpacker, row[COLUMN_REASON]);
    if (row[COLUMN_TOPS] != 0 && unpack_target_tops(target) != NULL)
        snapshot->tops = tops_ref(unpack_target_tops(target));
    for (size_t i = 0; i < unpacker->field_count; i++) {
        const struct field *field = unpacker->fields[i];
        if (field == NULL)
            continue;
        const uint64_t *pair = &row[COLUMN_FIELDS + PACK_FIELD_COLUMNS * i];
        const size_t index = (size_t)(field - snapshot_fields);
        if (pair[0] != 0)
            snapshot->values.present[index / 64] |= UINT64_C(1) << index % 64;
        memcpy((char *)&snapshot->values + field->offset, &pair[1], sizeof(pair[1]));
    }
    return snapshot_seal(snapshot);
}

static bool read_row(struct unpacker *unpacker, struct unpack_target *target,
                     struct msgpack_cursor *in, size_t values, struct history_row *row,
                     struct error *err)
{
    if (!unpack_target_read_row(target, in, values, err))
        return false;
    const struct snapshot *snapshot = make_snapshot(unpacker, target);
    if (snapshot == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for a snapshot");
    unpack_target_take(target, snapshot, row);
    return true;
}

/* A record about a target; its number was not read yet. */
static bool read_about(struct unpacker *unpacker, uint64_t kind, size_t members,
                       struct msgpack_cursor *in, struct history_row *row, struct error *err)
{
    const uint64_t number = msgpack_word(in);
    struct unpack_target *target =
        !in->failed && number <= unpacker->target_count ? unpacker->targets[number] : NULL;
    if (target == NULL || members < 2)
        return error_set(err, ERROR_CORRUPT, "a record about a target that was not introduced");
    switch (kind) {
    case RECORD_PROCESS:
        return unpack_target_begin_process(target, err);
    case RECORD_SITE:
        return unpack_target_read_site(target, &unpacker->strings, in, members - 2, err);
    case RECORD_GROUP:
        return unpack_target_read_group(target, &unpacker->strings, in, err);
    case RECORD_TOPS:
        return unpack_target_read_tops(target, in, unpacker->figures, unpacker->figure_count, err);
    case RECORD_PROFILE:
        return unpack_target_read_profile(target, in, err);
    case RECORD_LAYOUT:
        return unpack_target_read_layout(target, in, members - 2,
                                         COLUMN_FIELDS + PACK_FIELD_COLUMNS * unpacker->field_count,
                                         err);
    case RECORD_ROW:
        return read_row(unpacker, target, in, members - 2, row, err);
    default:
        return true; /* of a later minor version: it was looked over, so it can be left out */
    }
}

/* One whole record. */
static bool read_record(struct unpacker *unpacker, struct msgpack_cursor *in,
                        struct history_row *row, struct error *err)
{
    struct msgpack_item item;
    const size_t members = msgpack_array(in);
    if (in->failed || members == 0 || msgpack_get(in, &item) != MSGPACK_DONE)
        return error_set(err, ERROR_CORRUPT, "not a record of a history stream");
    if (item.kind == MSGPACK_TEXT) {
        if (!text_is(item.text, item.count, PACK_MAGIC))
            return error_set(err, ERROR_CORRUPT, "not a history stream of goprofd");
        return read_header(unpacker, in, err);
    }
    if (item.kind != MSGPACK_INT || !unpacker->has_header)
        return error_set(err, ERROR_CORRUPT, "a record without a header before it");
    if (item.word == RECORD_STRINGS)
        return unpack_strings_read(&unpacker->strings, in, members - 1, err);
    if (item.word == RECORD_TARGET)
        return read_target(unpacker, in, err);
    return read_about(unpacker, item.word, members, in, row, err);
}

enum unpack_result unpacker_next(struct unpacker *unpacker, const unsigned char **at,
                                 const unsigned char *end, struct history_row *row,
                                 struct error *err)
{
    *row = (struct history_row){.info = NULL};
    for (;;) {
        struct msgpack_cursor whole = {.at = *at, .end = end};
        const enum msgpack_result result = msgpack_skip(&whole);
        if (result == MSGPACK_MORE)
            return UNPACK_MORE;
        if (result == MSGPACK_BAD) {
            (void)error_set(err, ERROR_CORRUPT, "not msgpack");
            return UNPACK_CORRUPT;
        }
        struct msgpack_cursor in = {.at = *at, .end = whole.at};
        if (!read_record(unpacker, &in, row, err))
            return UNPACK_CORRUPT;
        if (in.failed) {
            (void)error_set(err, ERROR_CORRUPT, "a record of the wrong form");
            return UNPACK_CORRUPT;
        }
        *at = whole.at;
        if (row->snapshot != NULL)
            return UNPACK_ROW;
    }
}
