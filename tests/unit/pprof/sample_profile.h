/* sample_profile.h - small profiles for the tests of this folder, built by hand. */
#ifndef GOPROFD_TESTS_SAMPLE_PROFILE_H
#define GOPROFD_TESTS_SAMPLE_PROFILE_H

#include <stddef.h>
#include <stdint.h>

struct buffer;
struct profile;
struct site;
struct site_table;

struct sample_frame {
    const char *function;
    const char *file;
    uint64_t address;
    uint32_t line;
    uint32_t start_line;
    int inlined_callee_before; /* 1: part of the Location of the frame before it */
};

/* Adds a site of [count] frames, the first [hidden] of which pprof hides. */
const struct site *sample_site(struct site_table *table, const struct sample_frame *frames,
                               size_t count, size_t hidden, uint64_t object_bytes);

/* An unsealed profile for up to [capacity] entries with one mapping, 0x400000 to 0x800000. */
struct profile *sample_profile_begin(struct site_table *table, size_t capacity);

/* One entry whose scaled values are the unscaled ones times ten. */
void sample_entry(struct profile *profile, const struct site *site, uint64_t allocs,
                  uint64_t frees);

/* A sealed profile of one site main.leak, called by main.main; the caller owns one hold. */
const struct profile *sample_profile_small(void);

/* Runs the program as `sh -c` would and returns all it printed; its output must end up in [out].
 * The status is that of system(). */
int sample_run(const char *command, struct buffer *out);

/* What `go tool pprof -raw` makes of the file's [bytes]; fails the test if it does not read them.
 */
void sample_pprof_raw(const struct buffer *bytes, struct buffer *out);

#endif
