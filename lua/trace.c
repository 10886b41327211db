/* trace.c - keeps and names the reads of one evaluation.  Rule thread. */
#include "lua/trace.h"

#include "core/store/fields.h"

_Static_assert(SNAPSHOT_FIELD_COUNT <= 256, "a field's index fits into a byte");

uint8_t trace_field(const struct field *field)
{
    return (uint8_t)(field - snapshot_fields);
}

static bool same_number(double a, double b)
{
    return a >= b && a <= b;
}

void trace_note(struct trace *trace, const struct trace_read *read)
{
    for (size_t i = 0; i < trace->count; i++) {
        struct trace_read *have = &trace->reads[i];
        if (have->what == read->what && have->field == read->field &&
            have->per_gc == read->per_gc && same_number((double)have->window_s, (double)read->window_s) &&
            same_number(have->argument, read->argument)) {
            have->value = read->value;
            return;
        }
    }
    if (trace->count < TRACE_READS_MAX)
        trace->reads[trace->count++] = *read;
    else
        trace->left_out++;
}

static const char *words_of(enum trace_what what)
{
    switch (what) {
#define WORDS_OF(what, words)                                                                      \
    case TRACE_##what:                                                                             \
        return words;
        TRACE_READS(WORDS_OF)
#undef WORDS_OF
    }
    return "?";
}

static size_t write_part(const struct trace_read *read, char part, char *out, size_t room)
{
    int written = 0;
    if (part == 'f' && (read->what == TRACE_FIELD || read->what == TRACE_PREVIOUS))
        written = snprintf(out, room, "%s", snapshot_fields[read->field].name);
    else if (part == 'f')
        written = snprintf(out, room, "\"%s\"", snapshot_fields[read->field].name);
    else if (part == 'w')
        written = snprintf(out, room, "%g%s", (double)read->window_s, read->per_gc ? ", per_gc" : "");
    else
        written = snprintf(out, room, "%.15g", read->argument);
    return written < 0 ? 0 : (size_t)written < room ? (size_t)written : room - 1;
}

void trace_name(const struct trace_read *read, char name[TRACE_NAME_MAX_BYTES])
{
    size_t used = 0;
    for (const char *c = words_of((enum trace_what)read->what);
         *c != '\0' && used + 1 < TRACE_NAME_MAX_BYTES; c++) {
        if (*c == '%')
            used += write_part(read, *++c, name + used, TRACE_NAME_MAX_BYTES - used);
        else
            name[used++] = *c;
    }
    name[used] = '\0';
}
