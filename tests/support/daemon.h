/* daemon.h - goprofd as a test runs it: a config and rules in a scratch folder, a free port. */
#ifndef GOPROFD_TESTS_DAEMON_H
#define GOPROFD_TESTS_DAEMON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/support/process.h"

struct daemon {
    struct process process;
    uint16_t port;
    char *folder; /* scratch; owned */
};

/* A scratch folder with an empty folder "rules" in it. */
char *daemon_folder_new(void);

/* Starts goprofd with config.lua = [config] in [folder] (taken over), listening on a free loopback
 * port whatever the config says, and waits until it is ready. */
struct daemon daemon_start(char *folder, const char *config);
struct daemon daemon_start_as(char *folder, const char *config,
                              const struct process_options *options);

/* Stops it with SIGTERM; it must end with 0 and no sanitizer may have complained.  Removes the folder. */
void daemon_stop(struct daemon *daemon);

/* Asks [path] again and again until [is_so] holds for the answer, and returns that. */
json_t *daemon_wait_for(const struct daemon *daemon, const char *path,
                        bool (*is_so)(const json_t *answer, const void *context),
                        const void *context, unsigned timeout_ms);

/* The value of [name] in goprofd's /metrics (without labels), once it is above [above]. */
double daemon_wait_for_metric(const struct daemon *daemon, const char *name, double above);

/* Waits until the newest snapshot of [target] has num_gc >= [num_gc] and was taken after the call. */
json_t *daemon_wait_for_snapshot(const struct daemon *daemon, const char *target, json_int_t num_gc);

/* Fails if [output] holds a sanitizer's report: for what a test starts by itself. */
void assert_no_sanitizer_report(const char *output);

/* For the ones that are to end by themselves: runs "goprofd ARGUMENTS..." to its end. */
int goprofd_run(const char *const *arguments, const struct process_options *options, char **output);

/* The rules that ship. */
extern const char *const shipped_rules;

#endif
