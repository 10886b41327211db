/* problems.c - see problems.h. */
#include "core/store/problems.h"

#include <pthread.h>
#include <stdlib.h>

struct problems {
    pthread_mutex_t lock;
    char messages[PROBLEM_COUNT][ERROR_MESSAGE_MAX_BYTES]; /* "": no problem */
};

const struct problem_facts problem_facts[PROBLEM_COUNT] = {
    [PROBLEM_CAPTURES] = {.rule = "capture_failed",
                          .what = "goprofd cannot keep captures",
                          .advice = "Make room, or give goprofd's user the folder; captures go on by themselves.",
                          .doc = "docs/rules.md#capture_failed"},
    [PROBLEM_HISTORY_DISK] = {.rule = "history_disk_failed",
                              .what = "goprofd cannot write its history to disk, and goes on in memory",
                              .advice = "Make room, or give goprofd's user the folder; what is still in memory is "
                                        "then written.",
                              .doc = "docs/rules.md#history_disk_failed"},
};

struct problems *problems_new(void)
{
    struct problems *problems = calloc(1, sizeof(*problems));
    if (problems != NULL && pthread_mutex_init(&problems->lock, NULL) != 0) {
        free(problems);
        return NULL;
    }
    return problems;
}

void problems_free(struct problems *problems)
{
    if (problems == NULL)
        return;
    (void)pthread_mutex_destroy(&problems->lock);
    free(problems);
}

void problems_set(struct problems *problems, enum problem problem, const char *message)
{
    (void)pthread_mutex_lock(&problems->lock);
    (void)snprintf(problems->messages[problem], sizeof(problems->messages[problem]), "%s",
                   message[0] != '\0' ? message : "unknown");
    (void)pthread_mutex_unlock(&problems->lock);
}

void problems_clear(struct problems *problems, enum problem problem)
{
    (void)pthread_mutex_lock(&problems->lock);
    problems->messages[problem][0] = '\0';
    (void)pthread_mutex_unlock(&problems->lock);
}

bool problems_get(struct problems *problems, enum problem problem,
                  char message[ERROR_MESSAGE_MAX_BYTES])
{
    (void)pthread_mutex_lock(&problems->lock);
    memcpy(message, problems->messages[problem], ERROR_MESSAGE_MAX_BYTES);
    (void)pthread_mutex_unlock(&problems->lock);
    return message[0] != '\0';
}
