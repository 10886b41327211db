/* test_world.h - a made-up target for tests of rules: a board, a judge, numbers for each beat.
 *
 *   numbers --test_world_beat--> snapshot, profile --> board page --> judge_beat --> findings
 *
 * No process, no thread, no clock: time is the number of the beat. */
#ifndef GOPROFD_LUA_TEST_WORLD_H
#define GOPROFD_LUA_TEST_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/store/target_info.h"

struct board;
struct config;
struct field;
struct judge;
struct rule;
struct test_site;
struct test_world;

enum { TEST_WORLD_SITES_MAX = 256, TEST_WORLD_STACK_MAX = 64 };
#define TEST_WORLD_START_NS UINT64_C(1800000000000000000) /* realtime of beat 0 */

/* What a site is; NULL texts have defaults. */
struct test_site_facts {
    const char *function; /* the blamed one */
    const char *file;
    uint32_t line;
    const char *primitive;              /* "runtime.makeslice"; "" none */
    const char *stack[TEST_WORLD_STACK_MAX]; /* its callers, innermost first */
    size_t stack_count;
    const char *type_name; /* NULL: as goprofd would say */
    const char *tag;
    uint64_t object_bytes;
    uint64_t samples; /* that stand for what is in use; 0: every object was sampled */
};

/* A world for one rule, which it takes over (also on failure).  [facts]: id, source, go_version, ...;
 * [age_s]: of the process at beat 0, negative for not known.  [config] must outlive it. */
struct test_world *test_world_new(struct rule *rule, const struct config *config,
                                  const struct target_facts *facts, double age_s,
                                  uint64_t interval_ns, struct error *err);
void test_world_free(struct test_world *world); /* NULL is allowed */

/* Sets a field from the next beat on; NAN: not known. */
void test_world_set(struct test_world *world, const struct field *field, double value);

/* Adds a site: its number, or -1 with what is wrong. */
int test_world_add_site(struct test_world *world, const struct test_site_facts *facts,
                        struct error *err);
void test_world_set_site(struct test_world *world, size_t site, double inuse_bytes,
                         double alloc_bytes);

/* The process is replaced by a new one before the next beat. */
void test_world_restart(struct test_world *world);

/* One interval passes; with [profile] there is a new profile of the sites. */
bool test_world_beat(struct test_world *world, bool profile, struct error *err) GOPROFD_MUST_CHECK;

struct board *test_world_board(struct test_world *world);
size_t test_world_captures(const struct test_world *world); /* asked for so far */

#endif
