/* raw_profile.c - see raw_profile.h.
 *
 *   PeriodType: space bytes                                            header
 *   Period: 524288
 *   Samples:
 *   alloc_objects/count alloc_space/bytes ...                          header
 *        1092     524528       1092     524528: 1 2 3                  sample: values: location ids
 *                   bytes:[480]                                        label of the sample above
 *   Locations
 *        1: 0x485ac4 M=1 runtime.mallocgc /go/malloc.go:1150:0 s=1067  location
 *                         runtime.outer /go/malloc.go:7:0 s=1          its next (inlining) frame
 *   Mappings
 *   1: 0x400000/0x6ee000/0x0 /tmp/program 4cef [FN]                    mapping 1: the program */
#include "tests/support/raw_profile.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/process.h"

enum section { SECTION_HEADER, SECTION_SAMPLES, SECTION_LOCATIONS, SECTION_MAPPINGS };

struct reader {
    struct raw_profile *profile;
    enum section section;
    char **locations; /* by id; text of all frames of one location */
    size_t location_count;
};

/* Appends [text] to *[target] (NULL is empty). */
static void append(char **target, const char *text)
{
    const size_t old = *target == NULL ? 0 : strlen(*target);
    const size_t more = strlen(text);
    char *grown = realloc(*target, old + more + 1);
    cr_assert_not_null(grown);
    memcpy(grown + old, text, more + 1);
    *target = grown;
}

static void append_line(char **target, const char *text)
{
    append(target, text);
    append(target, "\n");
}

static const char *skip_spaces(const char *text)
{
    return text + strspn(text, " ");
}

/* Samples are kept with their location ids ("values: 1 2 3\nlabels\n") until all locations are known. */
static void read_sample_line(struct reader *reader, const char *line)
{
    struct raw_profile *profile = reader->profile;
    const char *text = skip_spaces(line);
    if (line[0] != ' ') { /* the line of sample types */
        append_line(&profile->header, line);
        return;
    }
    if (!isdigit((unsigned char)text[0]) && text[0] != '-') {
        cr_assert_gt(profile->count, 0, "a label before any sample: %s", line);
        append_line(&profile->samples[profile->count - 1], text);
        return;
    }
    char **grown = realloc(profile->samples, (profile->count + 1) * sizeof(*grown));
    cr_assert_not_null(grown);
    profile->samples = grown;
    profile->samples[profile->count] = NULL;
    append_line(&profile->samples[profile->count], text);
    profile->count++;
}

static void read_location_line(struct reader *reader, const char *line)
{
    const char *text = skip_spaces(line);
    char *end = NULL;
    const size_t id = strtoul(text, &end, 10);
    if (end == text || strncmp(end, ": 0x", 4) != 0) { /* a further frame of the one above */
        cr_assert_gt(reader->location_count, 1, "a frame before any location: %s", line);
        append_line(&reader->locations[reader->location_count - 1], text);
        return;
    }
    cr_assert(id >= reader->location_count && id < 1000000, "locations out of order: %s", line);
    char **grown = realloc(reader->locations, (id + 1) * sizeof(*grown));
    cr_assert_not_null(grown);
    reader->locations = grown;
    while (reader->location_count <= id)
        reader->locations[reader->location_count++] = NULL;
    append_line(&reader->locations[id], end + 2);
}

static void read_line(struct reader *reader, const char *line)
{
    if (strcmp(line, "Samples:") == 0) {
        reader->section = SECTION_SAMPLES;
    } else if (strcmp(line, "Locations") == 0) {
        reader->section = SECTION_LOCATIONS;
    } else if (strcmp(line, "Mappings") == 0) {
        reader->section = SECTION_MAPPINGS;
    } else if (reader->section == SECTION_SAMPLES) {
        read_sample_line(reader, line);
    } else if (reader->section == SECTION_LOCATIONS) {
        read_location_line(reader, line);
    } else if (reader->section == SECTION_MAPPINGS) {
        if (strncmp(line, "1: ", 3) == 0)
            append(&reader->profile->mapping, line);
    } else if (strncmp(line, "Period", 6) == 0) {
        append_line(&reader->profile->header, line);
    }
}

/* "values: 1 2 3\nlabels\n" -> "values\nlabels\nframes of 1\nframes of 2\n..." */
static char *resolve_sample(const struct reader *reader, const char *sample)
{
    const char *colon = strchr(sample, ':');
    const char *newline = strchr(sample, '\n');
    cr_assert(colon != NULL && newline != NULL && colon < newline, "no locations in: %s", sample);
    char *resolved = strndup(sample, (size_t)(colon - sample));
    append(&resolved, newline); /* with the labels */
    for (const char *id_text = colon + 1; id_text < newline;) {
        char *end = NULL;
        const size_t id = strtoul(id_text, &end, 10);
        if (end == id_text)
            break;
        cr_assert(id < reader->location_count && reader->locations[id] != NULL,
                  "location %zu is not there: %s", id, sample);
        append(&resolved, reader->locations[id]);
        id_text = skip_spaces(end);
    }
    return resolved;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct raw_profile raw_profile_read(const char *go, const char *path)
{
    char *text = NULL;
    const char *argv[] = {go, "tool", "pprof", "-raw", path, NULL};
    const int status = process_run(argv, NULL, &text);
    cr_assert_eq(status, 0, "go tool pprof -raw %s: %s", path, text);

    struct raw_profile profile = {0};
    struct reader reader = {.profile = &profile};
    char *position = text;
    for (char *line; (line = strsep(&position, "\n")) != NULL;)
        if (line[0] != '\0')
            read_line(&reader, line);
    cr_assert_eq(reader.section, SECTION_MAPPINGS, "%s: the listing ends early", path);

    for (size_t i = 0; i < profile.count; i++) {
        char *resolved = resolve_sample(&reader, profile.samples[i]);
        free(profile.samples[i]);
        profile.samples[i] = resolved;
    }
    if (profile.count > 0)
        qsort(profile.samples, profile.count, sizeof(*profile.samples), compare_texts);
    for (size_t i = 0; i < reader.location_count; i++)
        free(reader.locations[i]);
    free(reader.locations);
    free(text);
    return profile;
}

void raw_profile_release(struct raw_profile *profile)
{
    for (size_t i = 0; i < profile->count; i++)
        free(profile->samples[i]);
    free(profile->samples);
    free(profile->header);
    free(profile->mapping);
    *profile = (struct raw_profile){0};
}

bool raw_sample_is_zero(const char *sample)
{
    const size_t length = strcspn(sample, "\n");
    return strspn(sample, " 0") == length;
}

struct raw_difference raw_profile_compare(const struct raw_profile *ours,
                                          const struct raw_profile *theirs)
{
    struct raw_difference difference = {
        .only_ours = calloc(ours->count + 1, sizeof(char *)),
        .only_theirs = calloc(theirs->count + 1, sizeof(char *)),
    };
    cr_assert(difference.only_ours != NULL && difference.only_theirs != NULL);
    size_t i = 0;
    size_t j = 0;
    while (i < ours->count || j < theirs->count) {
        const int order = i == ours->count     ? 1
                          : j == theirs->count ? -1
                                               : strcmp(ours->samples[i], theirs->samples[j]);
        if (order == 0) {
            i++;
            j++;
        } else if (order < 0) {
            difference.only_ours[difference.only_ours_count++] = ours->samples[i++];
        } else {
            difference.only_theirs[difference.only_theirs_count++] = theirs->samples[j++];
        }
    }
    return difference;
}

void raw_difference_release(struct raw_difference *difference)
{
    free(difference->only_ours);
    free(difference->only_theirs);
    *difference = (struct raw_difference){0};
}

static void print_samples(const char *title, const char *const *samples, size_t count)
{
    enum { PRINTED_MAX = 3 };
    for (size_t i = 0; i < count && i < PRINTED_MAX; i++)
        fprintf(stderr, "--- %s, %zu of %zu:\n%s", title, i + 1, count, samples[i]);
}

void raw_profile_assert_equal(const struct raw_profile *ours, const struct raw_profile *theirs,
                              const char *whose)
{
    cr_assert_str_eq(ours->header, theirs->header);
    cr_assert_str_eq(ours->mapping, theirs->mapping);
    struct raw_difference difference = raw_profile_compare(ours, theirs);
    size_t missing = 0;
    for (size_t i = 0; i < difference.only_theirs_count; i++)
        if (!raw_sample_is_zero(difference.only_theirs[i]))
            difference.only_theirs[missing++] = difference.only_theirs[i];
    print_samples("only goprofd has", difference.only_ours, difference.only_ours_count);
    print_samples("only the program has", difference.only_theirs, missing);
    cr_assert_eq(difference.only_ours_count, 0, "%s: %zu samples of %zu are not in the program's own",
                 whose, difference.only_ours_count, ours->count);
    cr_assert_eq(missing, 0, "%s: %zu samples of %zu are missing", whose, missing, theirs->count);
    raw_difference_release(&difference);
}
