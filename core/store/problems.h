/* problems.h - what goprofd itself cannot do at present, so that somebody is told.
 *
 *   capturer, journal --set, clear--> problems <--each beat-- rule thread: alerts of goprofd itself
 *
 * Any thread; the lock is a leaf. */
#ifndef GOPROFD_STORE_PROBLEMS_H
#define GOPROFD_STORE_PROBLEMS_H

#include <stdbool.h>

#include "core/base/error.h"

struct problems;

enum problem { PROBLEM_CAPTURES, PROBLEM_HISTORY_DISK, PROBLEM_COUNT };

/* The alert that each is told by. */
struct problem_facts {
    const char *rule;   /* its name, and id */
    const char *what;   /* of the message: "WHAT: the error" */
    const char *advice;
    const char *doc;
};
extern const struct problem_facts problem_facts[PROBLEM_COUNT];

struct problems *problems_new(void); /* NULL without memory */
void problems_free(struct problems *problems); /* NULL is allowed */

void problems_set(struct problems *problems, enum problem problem, const char *message);
void problems_clear(struct problems *problems, enum problem problem);

/* Whether there is this problem; then [message] has its text. */
bool problems_get(struct problems *problems, enum problem problem,
                  char message[ERROR_MESSAGE_MAX_BYTES]);

#endif
