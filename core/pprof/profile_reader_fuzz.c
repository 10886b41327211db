/* profile_reader_fuzz.c - libFuzzer harness: any bytes as a pprof file from elsewhere.
 *
 * Whatever is accepted is walked as its readers walk it.  Built with -DGOPROFD_FUZZ=ON. */
#include <stdint.h>
#include <string.h>

#include "core/base/fuzz_case.h"
#include "core/pprof/profile_reader.h"
#include "core/store/site.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool holds)
{
    if (!holds)
        __builtin_trap();
}

static void walk_sample(const struct parsed_profile *profile, const struct parsed_sample *sample)
{
    size_t frames = 0;
    for (uint32_t i = 0; i < sample->location_count; i++) {
        const struct parsed_location *location = sample->locations[i];
        frames += location->line_count == 0 ? 1 : location->line_count;
        for (uint32_t k = 0; k < location->line_count; k++) {
            const struct parsed_function *function = location->lines[k].function;
            need(function >= profile->functions &&
                 function < profile->functions + profile->function_count);
            need(strlen(function->name) <= PARSED_TEXT_MAX_BYTES);
            need(strlen(function->file) <= PARSED_TEXT_MAX_BYTES);
        }
    }
    need(frames == sample->frame_count && frames <= SITE_FRAMES_MAX);
    for (size_t i = 0; i < profile->value_count; i++)
        need(sample->values[i] == sample->values[i]);
    for (uint32_t i = 0; i < sample->label_count; i++)
        need(sample->labels[i].key != NULL && sample->labels[i].text != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    const struct parsed_profile *profile = profile_reader_parse(data, size, &err);
    if (profile == NULL) {
        fuzz_case_refused(&err);
        return 0;
    }
    need(profile->value_count >= 1 && profile->value_count <= PARSED_VALUES_MAX);
    for (size_t i = 0; i < profile->sample_count; i++)
        walk_sample(profile, &profile->samples[i]);
    for (size_t i = 0; i < profile->mapping_count; i++)
        need(profile->mappings[i].file != NULL && profile->mappings[i].build_id != NULL);
    profile_reader_free(profile);
    return 0;
}
