/* track_batch.c - see track_batch.h.  Called by http on a loop thread. */
#include "core/track/track_batch.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "core/store/msgpack_bytes.h"

enum { RECORD_MEMBERS_MIN = 4, RECORD_MEMBERS_MAX = 6, MEMBERS_MAX = 16, SHOWN_BYTES = 40 };

static bool wrong(struct error *err, const char *where, const char *allowed)
{
    return error_set(err, ERROR_USAGE, "%s: allowed: %s", where, allowed);
}

static bool get(struct msgpack_cursor *in, struct msgpack_item *item, struct error *err)
{
    return msgpack_get(in, item) == MSGPACK_DONE ||
           error_set(err, ERROR_USAGE, "the body is no complete msgpack");
}

static bool is_text(const struct msgpack_item *item, const char *text)
{
    return item->count == strlen(text) && memcmp(item->text, text, item->count) == 0;
}

/* ---- parts ---- */

static bool read_number(struct msgpack_cursor *in, const char *where, uint64_t max, uint64_t *number,
                        struct error *err)
{
    struct msgpack_item item;
    if (!get(in, &item, err))
        return false;
    if (item.kind != MSGPACK_INT || item.negative || item.word > max)
        return error_set(err, ERROR_USAGE, "%s: allowed: a whole number from 0 to %llu", where,
                         (unsigned long long)max);
    *number = item.word;
    return true;
}

/* UTF-8 without control characters: it is shown to people and goes into labels. */
static bool is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        const unsigned char c = (unsigned char)text[i];
        const size_t step = json_utf8_length(text + i, length - i);
        if (step == 0 || c < 0x20 || c == 0x7f)
            return false;
        i += step;
    }
    return true;
}

static bool read_text(struct msgpack_cursor *in, const char *where, struct track_text *text,
                      struct error *err)
{
    struct msgpack_item item;
    if (!get(in, &item, err))
        return false;
    if (item.kind != MSGPACK_TEXT || item.count == 0 || item.count > TRACK_TEXT_MAX_BYTES ||
        !is_plain(item.text, item.count))
        return error_set(err, ERROR_USAGE,
                         "%s: allowed: a text of 1 to %d bytes of UTF-8 without control characters",
                         where, TRACK_TEXT_MAX_BYTES);
    *text = (struct track_text){.text = item.text, .length = item.count};
    return true;
}

static bool read_target(struct msgpack_cursor *in, struct track_batch *batch, struct error *err)
{
    struct msgpack_item item;
    if (!get(in, &item, err))
        return false;
    bool ok = item.kind == MSGPACK_TEXT && item.count > 0 && item.count <= TRACK_TARGET_MAX_BYTES;
    for (size_t i = 0; ok && i < item.count; i++) {
        const char c = item.text[i];
        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '.' || c == '_' || c == '-';
    }
    if (!ok || item.text[0] == '.' || (item.count == 3 && memcmp(item.text, "all", 3) == 0))
        return wrong(err, "target", "1 to 100 letters, digits, '.', '_' or '-', not beginning with '.', not 'all'");
    memcpy(batch->target, item.text, item.count);
    batch->target[item.count] = '\0';
    return true;
}

static bool read_record(struct msgpack_cursor *in, size_t index, struct track_record *record,
                        struct error *err)
{
    char where[48];
    struct msgpack_item item;
    (void)snprintf(where, sizeof(where), "records[%zu]", index);
    if (!get(in, &item, err))
        return false;
    if (item.kind != MSGPACK_ARRAY || item.count < RECORD_MEMBERS_MIN ||
        item.count > RECORD_MEMBERS_MAX)
        return wrong(err, where, "an array of type, tag, objects and bytes allocated, and freed");
    (void)snprintf(where, sizeof(where), "records[%zu][0], the type", index);
    if (!read_text(in, where, &record->type, err))
        return false;
    (void)snprintf(where, sizeof(where), "records[%zu][1], the tag", index);
    if (!read_text(in, where, &record->tag, err))
        return false;
    uint64_t *const numbers[] = {&record->alloc_objects, &record->alloc_bytes,
                                 &record->free_objects, &record->free_bytes};
    for (size_t i = 2; i < item.count; i++) {
        (void)snprintf(where, sizeof(where), "records[%zu][%zu]", index, i);
        if (!read_number(in, where, TRACK_NUMBER_MAX, numbers[i - 2], err))
            return false;
    }
    return true;
}

static bool read_records(struct msgpack_cursor *in, struct track_batch *batch, struct error *err)
{
    struct msgpack_item item;
    if (!get(in, &item, err))
        return false;
    if (item.kind != MSGPACK_ARRAY)
        return wrong(err, "records", "an array of records");
    if (item.count > TRACK_RECORDS_MAX)
        return error_set(err, ERROR_LIMIT, "records: %zu of them; at most %d fit into a batch",
                         item.count, TRACK_RECORDS_MAX);
    free(batch->records);
    batch->record_count = 0;
    batch->records = calloc(item.count + 1, sizeof(*batch->records));
    if (batch->records == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for a batch");
    for (size_t i = 0; i < item.count; i++) {
        if (!read_record(in, i, &batch->records[i], err))
            return false;
    }
    batch->record_count = item.count;
    return true;
}

static bool read_flag(struct msgpack_cursor *in, const char *where, bool *flag, struct error *err)
{
    struct msgpack_item item;
    if (!get(in, &item, err))
        return false;
    if (item.kind != MSGPACK_BOOL)
        return wrong(err, where, "true or false");
    *flag = item.word != 0;
    return true;
}

/* ---- the whole ---- */

static bool read_member(struct msgpack_cursor *in, struct track_batch *batch, struct error *err)
{
    struct msgpack_item key;
    if (!get(in, &key, err))
        return false;
    if (key.kind != MSGPACK_TEXT)
        return wrong(err, "the keys of a batch", "texts");
    if (is_text(&key, "target"))
        return read_target(in, batch, err);
    if (is_text(&key, "instance"))
        return read_number(in, "instance", UINT64_MAX, &batch->instance, err);
    if (is_text(&key, "sequence"))
        return read_number(in, "sequence", UINT64_MAX, &batch->sequence, err);
    if (is_text(&key, "totals"))
        return read_flag(in, "totals", &batch->totals, err);
    if (is_text(&key, "records"))
        return read_records(in, batch, err);
    return error_set(err, ERROR_USAGE,
                     "'%.*s' is not known here; allowed: target, instance, sequence, totals, records",
                     (int)(key.count < SHOWN_BYTES ? key.count : SHOWN_BYTES), key.text);
}

static bool read_batch(struct msgpack_cursor *in, struct track_batch *batch, struct error *err)
{
    struct msgpack_item item;
    if (!get(in, &item, err))
        return false;
    if (item.kind != MSGPACK_MAP || item.count > MEMBERS_MAX)
        return wrong(err, "a batch", "a map of target, instance, sequence and records");
    for (size_t i = 0; i < item.count; i++) {
        if (!read_member(in, batch, err))
            return false;
    }
    if (in->at != in->end)
        return error_set(err, ERROR_USAGE, "there are %zu bytes behind the batch",
                         (size_t)(in->end - in->at));
    if (batch->target[0] == '\0')
        return error_set(err, ERROR_USAGE, "target: missing");
    if (batch->records == NULL)
        return error_set(err, ERROR_USAGE, "records: missing; an empty array says that all is well");
    return true;
}

bool track_batch_read(const void *body, size_t length, struct track_batch *batch, struct error *err)
{
    struct msgpack_cursor in = {.at = body, .end = (const unsigned char *)body + length};
    *batch = (struct track_batch){.instance = 0};
    if (read_batch(&in, batch, err))
        return true;
    track_batch_release(batch);
    return false;
}

void track_batch_release(struct track_batch *batch)
{
    free(batch->records);
    batch->records = NULL;
    batch->record_count = 0;
}
