/* raw_profile.h - a profile as `go tool pprof -raw` prints it, in a form that can be compared.
 *
 * Every sample becomes one text: its values, its labels, then each frame with address, function, file, line
 * and start line, leaf first.  A profile is the sorted list of these, so two profiles with the
 * same samples in any order, with any numbering of locations, are the same list. */
#ifndef GOPROFD_TESTS_RAW_PROFILE_H
#define GOPROFD_TESTS_RAW_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

struct raw_profile {
    char *header;   /* period, its type, sample types; one per line */
    char *mapping;  /* of the program itself */
    char **samples; /* sorted */
    size_t count;
};

/* Reads the profile file [path] with the pprof of [go] (path of a go command). */
struct raw_profile raw_profile_read(const char *go, const char *path);
void raw_profile_release(struct raw_profile *profile);

/* Whether all values of a sample's text are zero. */
bool raw_sample_is_zero(const char *sample);

/* What is only in [ours] and only in [theirs], as multisets; texts stay the profiles'. */
struct raw_difference {
    const char **only_ours;
    size_t only_ours_count;
    const char **only_theirs;
    size_t only_theirs_count;
};
struct raw_difference raw_profile_compare(const struct raw_profile *ours,
                                          const struct raw_profile *theirs);
void raw_difference_release(struct raw_difference *difference);

/* Fails unless each sample of [ours] is one of [theirs], and the other way round; and header and mapping
 * are the same.  [theirs] may have more only if all its values are zero: sites that serving the profile
 * itself has just made, after we looked.  [whose] names them in the message. */
void raw_profile_assert_equal(const struct raw_profile *ours, const struct raw_profile *theirs,
                              const char *whose);

#endif
