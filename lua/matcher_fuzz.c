/* matcher_fuzz.c - libFuzzer harness: any pattern on any subject ends within its steps.
 *
 * Input: one byte for the pattern's length, the pattern, the subject. */
#include "lua/matcher.h"

enum { STEPS = 20000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const size_t pattern_length = data[0] < size - 1 ? data[0] : size - 1;
    const char *pattern_text = (const char *)data + 1;
    const char *subject = pattern_text + pattern_length;
    const size_t length = size - 1 - pattern_length;
    void *memory = malloc(matcher_pattern_bytes(pattern_length));
    struct error err = {.code = ERROR_NONE};
    const struct matcher_pattern *pattern =
        memory != NULL ? matcher_compile(memory, pattern_text, pattern_length, true, &err) : NULL;
    if (memory != NULL && pattern == NULL && err.message[0] == '\0')
        __builtin_trap(); /* a failure without a message is a bug too */
    uint64_t steps = STEPS;
    struct matcher_match match;
    if (pattern != NULL &&
        matcher_find(pattern, subject, length, 0, &steps, &match) == MATCHER_MATCH) {
        if (match.start > match.end || match.end > length)
            __builtin_trap();
        for (size_t i = 0; i < pattern->capture_count; i++) {
            if (match.captures[i].start > length ||
                match.captures[i].length > length - match.captures[i].start)
                __builtin_trap();
        }
    }
    free(memory);
    return 0;
}
