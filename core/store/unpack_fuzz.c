/* unpack_fuzz.c - libFuzzer harness: any bytes as a history stream.
 *
 * Read twice: whole, and once more after a restart with the bytes cut into two, as frames of a segment would be: the
 * same rows must come.  Built with -DGOPROFD_FUZZ=ON. */
#include <string.h>

#include "core/base/fuzz_case.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "core/store/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a row says, folded into one number, so that all of it is looked at. */
static uint64_t look_at(const struct history_row *row)
{
    uint64_t seen = row->snapshot->sequence ^ row->snapshot->realtime_ns;
    if (row->info == NULL)
        __builtin_trap();
    seen += strlen(row->info->facts.id) + strlen(row->info->facts.name);
    if (row->snapshot->partial_reason != NULL)
        seen += strlen(row->snapshot->partial_reason);
    const struct tops *tops = row->snapshot->tops;
    for (size_t i = 0; tops != NULL && i < tops->retention_count; i++)
        seen += (uint64_t)tops->retentions[i].inuse_bytes + strlen(tops->retentions[i].type_name);
    for (size_t i = 0; row->profile != NULL && i < row->profile->entry_count; i++)
        seen += row->profile->entries[i].site->frame_count;
    return seen;
}

static enum unpack_result read_rows(struct unpacker *unpacker, const uint8_t **at,
                                    const uint8_t *end, uint64_t *seen, struct error *err)
{
    struct history_row row;
    enum unpack_result result;
    while ((result = unpacker_next(unpacker, at, end, &row, err)) == UNPACK_ROW)
        *seen = *seen * 31 + look_at(&row);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct unpacker *unpacker = unpacker_new();
    uint64_t seen_whole = 0;
    uint64_t seen_cut = 0;
    const uint8_t *at = data;
    if (unpacker == NULL)
        return 0;
    const enum unpack_result whole = read_rows(unpacker, &at, data + size, &seen_whole, &err);
    if (whole == UNPACK_CORRUPT)
        fuzz_case_refused(&err);
    if (at < data || at > data + size)
        __builtin_trap();

    unpacker_restart(unpacker);
    at = data;
    enum unpack_result cut = read_rows(unpacker, &at, data + size / 2, &seen_cut, &err);
    if (cut == UNPACK_MORE)
        cut = read_rows(unpacker, &at, data + size, &seen_cut, &err);
    if (cut != whole || seen_cut != seen_whole)
        __builtin_trap();
    unpacker_free(unpacker);
    return 0;
}
