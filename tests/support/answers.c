/* answers.c - see answers.h. */
#include "tests/support/answers.h"

#include <criterion/criterion.h>
#include <string.h>

static bool is_as_wanted(const json_t *object, const char *const *wanted)
{
    for (size_t i = 0; wanted[i] != NULL; i += 2)
        if (strcmp(answer_text(object, wanted[i]), wanted[i + 1]) != 0)
            return false;
    return json_is_object(object);
}

const json_t *answer_find(const json_t *list, const char *const *wanted)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *object = json_array_get(list, i);
        if (is_as_wanted(object, wanted))
            return object;
    }
    return NULL;
}

const char *answer_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

double answer_number(const json_t *object, const char *key)
{
    const json_t *number = json_object_get(object, key);
    cr_assert(json_is_number(number), "'%s' is missing or no number", key);
    return json_number_value(number);
}

/* Walks strings only: dumping first would hide the text behind escapes. */
bool answer_mentions(const json_t *answer, const char *text)
{
    const char *string = json_string_value(answer);
    if (string != NULL)
        return strstr(string, text) != NULL;
    for (size_t i = 0; i < json_array_size(answer); i++)
        if (answer_mentions(json_array_get(answer, i), text))
            return true;
    /* json_object_iter takes a pointer that is not const, and changes nothing through it. */
    union {
        const json_t *in;
        json_t *out;
    } object = {.in = answer};
    for (void *iter = json_object_iter(object.out); iter != NULL;
         iter = json_object_iter_next(object.out, iter))
        if (answer_mentions(json_object_iter_value(iter), text))
            return true;
    return false;
}

bool answer_has(const json_t *answer, const void *context)
{
    return answer_find(answer, context) != NULL;
}

bool answer_says(const json_t *answer, const void *context)
{
    return answer_mentions(answer, context);
}
