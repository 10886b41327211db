/* answers.h - looking things up in goprofd's JSON answers. */
#ifndef GOPROFD_TESTS_ANSWERS_H
#define GOPROFD_TESTS_ANSWERS_H

#include <jansson.h>
#include <stdbool.h>

/* The first object in [list] whose string members are as [wanted] says: key, value, key, value, ..., NULL.
 * Borrowed; NULL if there is none. */
const json_t *answer_find(const json_t *list, const char *const *wanted);

/* A member's text, or "" if it is no string; number, failing the test if it is none. */
const char *answer_text(const json_t *object, const char *key);
double answer_number(const json_t *object, const char *key);

/* Whether [text] is anywhere in what [answer] says. */
bool answer_mentions(const json_t *answer, const char *text);

/* Predicates for daemon_wait_for: some object of the list is as [context] (a wanted list) says; the
 * whole answer mentions the text [context]. */
bool answer_has(const json_t *answer, const void *context);
bool answer_says(const json_t *answer, const void *context);

#endif
