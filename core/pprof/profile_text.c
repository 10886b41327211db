/* profile_text.c - a struct profile as net/http/pprof's ?debug=1 text.
 *
 * The same lines as runtime/pprof's writeHeapInternal, unscaled like there (the rate in the
 * first line lets pprof scale them; a profile that was scraped came scaled, and says rate 1), largest in-use first (as Go up to 1.22; later ones
 * list the largest last).  Left out, because a profile does not know them: the offset
 * "+0x.." behind each function name, the pcs of inlined callers, and the runtime.MemStats tail.
 * Names come from the target: control characters are escaped, so that none forges a line. */
#include "core/pprof/profile_writer.h"

#include "core/pprof/text_parts.h"
#include "core/store/profile.h"

/* The counts of one line, not scaled. */
struct text_counts {
    uint64_t inuse_objects;
    uint64_t inuse_bytes;
    uint64_t alloc_objects;
    uint64_t alloc_bytes;
};

static uint64_t not_negative(int64_t value)
{
    return value < 0 ? 0 : (uint64_t)value;
}

static struct text_counts counts_of(const struct profile_entry *entry)
{
    if (entry->allocs == 0 && entry->frees == 0) /* it came scaled, or all is zero */
        return (struct text_counts){.inuse_objects = not_negative(entry->inuse_objects),
                                    .inuse_bytes = not_negative(entry->inuse_bytes),
                                    .alloc_objects = not_negative(entry->alloc_objects),
                                    .alloc_bytes = not_negative(entry->alloc_bytes)};
    /* More frees than allocations is what a torn read looks like; Go would print it negative. */
    const uint64_t inuse = entry->allocs > entry->frees ? entry->allocs - entry->frees : 0;
    return (struct text_counts){.inuse_objects = inuse,
                                .inuse_bytes = inuse * entry->site->object_bytes,
                                .alloc_objects = entry->allocs,
                                .alloc_bytes = entry->allocs * entry->site->object_bytes};
}

static int by_inuse_descending(const void *a, const void *b)
{
    const struct profile_entry *const *left = a;
    const struct profile_entry *const *right = b;
    const uint64_t left_bytes = counts_of(*left).inuse_bytes;
    const uint64_t right_bytes = counts_of(*right).inuse_bytes;
    if (left_bytes != right_bytes)
        return left_bytes > right_bytes ? -1 : 1;
    return (*left)->site->id < (*right)->site->id ? -1 : (*left)->site->id > (*right)->site->id;
}

static void append_counts(struct buffer *out, const struct text_counts *counts)
{
    buffer_append_u64(out, counts->inuse_objects);
    buffer_append_string(out, ": ");
    buffer_append_u64(out, counts->inuse_bytes);
    buffer_append_string(out, " [");
    buffer_append_u64(out, counts->alloc_objects);
    buffer_append_string(out, ": ");
    buffer_append_u64(out, counts->alloc_bytes);
    buffer_append_string(out, "] @");
}

static void append_addresses(struct buffer *out, const struct frame *const *frames, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || frames[i]->starts_location) {
            buffer_append_byte(out, ' ');
            text_append_address(out, frames[i]->address);
        }
    }
}

/* The address of the call: the instruction before the one it returns to. */
static uint64_t call_address(const struct frame *frame)
{
    return frame->address == 0 ? 0 : frame->address - 1;
}

static void append_frames(struct buffer *out, const struct site *site)
{
    size_t widest_address = 0;
    size_t widest_name = 0;
    for (uint32_t i = 0; i < site->frame_count; i++) {
        const size_t address = text_address_columns(call_address(site->frames[i]));
        const struct text_shown_name shown = text_shown_name(site->frames[i]->function);
        const size_t name = text_shown_columns(&shown);
        widest_address = address > widest_address ? address : widest_address;
        widest_name = name > widest_name ? name : widest_name;
    }
    for (uint32_t i = 0; i < site->frame_count; i++) {
        const struct frame *frame = site->frames[i];
        if (strcmp(frame->function, "runtime.goexit") == 0)
            continue;
        buffer_append(out, "#\t", 2);
        text_append_address(out, call_address(frame));
        if (frame->function[0] != '\0') {
            text_append_tabs(out, text_address_columns(call_address(frame)), widest_address);
            const struct text_shown_name shown = text_shown_name(frame->function);
            text_append_shown(out, &shown);
            text_append_tabs(out, text_shown_columns(&shown), widest_name);
            text_append_name(out, frame->file, strlen(frame->file));
            buffer_append_byte(out, ':');
            buffer_append_u64(out, frame->line);
        }
        buffer_append_byte(out, '\n');
    }
}

static void append_header(struct buffer *out, const struct profile *profile)
{
    struct text_counts total = {0};
    for (size_t i = 0; i < profile->entry_count; i++) {
        const struct text_counts counts = counts_of(&profile->entries[i]);
        total.inuse_objects += counts.inuse_objects;
        total.inuse_bytes += counts.inuse_bytes;
        total.alloc_objects += counts.alloc_objects;
        total.alloc_bytes += counts.alloc_bytes;
    }
    /* pprof takes equal sums for a profile with two columns instead of four, and reads twice
     * the rate: both as in the C++ heap profiler, whose format this is. */
    if (total.alloc_bytes == total.inuse_bytes)
        total.alloc_bytes++;
    buffer_append_string(out, "heap profile: ");
    append_counts(out, &total);
    buffer_append_string(out, " heap/");
    /* What came scaled is not to be scaled again. */
    buffer_append_i64(out, profile->scaled ? 2 : profile->rate * 2);
    buffer_append_byte(out, '\n');
}

bool profile_write_text(const struct profile *profile, struct buffer *out, struct error *err)
{
    const size_t length_before = out->length;
    const struct profile_entry **sorted =
        calloc(profile->entry_count + 1, sizeof(const struct profile_entry *));
    if (sorted == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to sort a profile of %zu samples",
                         profile->entry_count);
    for (size_t i = 0; i < profile->entry_count; i++)
        sorted[i] = &profile->entries[i];
    qsort(sorted, profile->entry_count, sizeof(const struct profile_entry *), by_inuse_descending);

    append_header(out, profile);
    for (size_t i = 0; i < profile->entry_count && !out->failed; i++) {
        const struct text_counts counts = counts_of(sorted[i]);
        const struct site *site = sorted[i]->site;
        append_counts(out, &counts);
        append_addresses(out, site->runtime_frames, site->runtime_frame_count);
        append_addresses(out, site->frames, site->frame_count);
        buffer_append_byte(out, '\n');
        append_frames(out, site);
        buffer_append_byte(out, '\n');
    }
    free(sorted);
    if (out->failed) {
        out->length = length_before;
        return error_set(err, ERROR_LIMIT,
                         "profile as text does not fit into %zu bytes, or no memory",
                         out->max_bytes);
    }
    return true;
}
