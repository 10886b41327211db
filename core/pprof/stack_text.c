/* stack_text.c - a struct stack_profile as the ?debug=1 and ?debug=2 texts of net/http/pprof.
 *
 * debug=1 follows printCountProfile, writeProfileInternal and printStackRecord of
 * src/runtime/pprof/pprof.go; debug=2 goroutineheader, traceback2 and printcreatedby of
 * src/runtime/traceback.go (1.27).  Arguments of functions are "...", as for inlined ones: what is
 * left of them in memory is often stale. */
#include "core/pprof/stack_writer.h"

#include "core/pprof/text_parts.h"
#include "core/store/stack_profile.h"

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool finish(struct buffer *out, size_t length_before, struct error *err)
{
    if (!out->failed)
        return true;
    out->length = length_before;
    return error_set(err, ERROR_LIMIT, "profile as text does not fit into %zu bytes, or no memory",
                     out->max_bytes);
}

/* ---- debug=1 ---- */

/* As %q of fmt, but that bytes beyond ASCII are left as they are. */
static void append_quoted(struct buffer *out, const char *text)
{
    buffer_append_byte(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buffer_append_byte(out, '\\');
        text_append_name(out, text, 1);
    }
    buffer_append_byte(out, '"');
}

static void append_labels(struct buffer *out, const struct stack_labels *labels)
{
    buffer_append_string(out, "\n# labels: {");
    for (size_t i = 0; i < labels->count; i++) {
        buffer_append_string(out, i == 0 ? "" : ", ");
        append_quoted(out, labels->list[i].key);
        buffer_append_byte(out, ':');
        append_quoted(out, labels->list[i].value);
    }
    buffer_append_byte(out, '}');
}

static void append_pcs(struct buffer *out, const struct stack *stack)
{
    buffer_append_byte(out, '@');
    for (uint32_t i = 0; i < stack->pc_count; i++) {
        buffer_append_byte(out, ' ');
        text_append_address(out, stack->pcs[i]);
    }
}

/* The leading frames that are left out: the runtime's, unless there is nothing else. */
static uint32_t hidden_frames(const struct stack *stack)
{
    uint32_t hidden = 0;
    while (hidden < stack->frame_count &&
           (has_prefix(stack->frames[hidden].function, "runtime.") ||
            has_prefix(stack->frames[hidden].function, "internal/runtime/")))
        hidden++;
    return hidden == stack->frame_count ? 0 : hidden;
}

/* Name and offset into the function. */
static size_t cell_columns(const struct stack *stack, uint32_t i)
{
    const struct text_shown_name shown = text_shown_name(stack->frames[i].function);
    return text_shown_columns(&shown) + 1 +
           text_address_columns(stack->places[i].pc - 1 - stack->places[i].entry);
}

static void append_frames(struct buffer *out, const struct stack *stack, uint32_t first)
{
    size_t widest_address = 0;
    size_t widest_cell = 0;
    for (uint32_t i = first; i < stack->frame_count; i++) {
        const size_t address = text_address_columns(stack->places[i].pc - 1);
        const size_t cell = cell_columns(stack, i);
        widest_address = address > widest_address ? address : widest_address;
        widest_cell = cell > widest_cell ? cell : widest_cell;
    }
    for (uint32_t i = first; i < stack->frame_count; i++) {
        const struct frame *frame = &stack->frames[i];
        const uint64_t call = stack->places[i].pc - 1;
        buffer_append(out, "#\t", 2);
        text_append_address(out, call);
        if (frame->function[0] != '\0') {
            const struct text_shown_name shown = text_shown_name(frame->function);
            text_append_tabs(out, text_address_columns(call), widest_address);
            text_append_shown(out, &shown);
            buffer_append_byte(out, '+');
            text_append_address(out, call - stack->places[i].entry);
            text_append_tabs(out, cell_columns(stack, i), widest_cell);
            text_append_name(out, frame->file, strlen(frame->file));
            buffer_append_byte(out, ':');
            buffer_append_u64(out, frame->line);
        }
        buffer_append_byte(out, '\n');
    }
    buffer_append_byte(out, '\n');
}

static void append_head(struct buffer *out, const struct stack_profile *profile)
{
    if (!stack_kind_is_contention(profile->kind)) {
        buffer_printf(out, "%s profile: total ", stack_kind_name(profile->kind));
        buffer_append_i64(out, profile->totals[0]);
    } else {
        buffer_printf(out, "--- %s:", profile->kind == STACK_BLOCK ? "contention" : "mutex");
        if (profile->has_delay)
            buffer_printf(out, "\ncycles/second=%llu",
                          (unsigned long long)profile->ticks_per_second);
        /* Counts and cycles are scaled already, on every Go version. */
        if (profile->kind == STACK_MUTEX)
            buffer_append_string(out, "\nsampling period=1");
    }
    buffer_append_byte(out, '\n');
}

bool stack_write_text(const struct stack_profile *profile, struct buffer *out, struct error *err)
{
    const size_t length_before = out->length;
    const bool contention = stack_kind_is_contention(profile->kind);

    append_head(out, profile);
    for (size_t i = 0; i < profile->entry_count && !out->failed; i++) {
        const struct stack_entry *entry = &profile->entries[i];
        if (contention) {
            buffer_append_i64(out, entry->cycles);
            buffer_append_byte(out, ' ');
        }
        buffer_append_i64(out, entry->values[0]);
        buffer_append_byte(out, ' ');
        append_pcs(out, entry->stack);
        if (entry->labels != NULL)
            append_labels(out, entry->labels);
        buffer_append_byte(out, '\n');
        append_frames(out, entry->stack, contention ? 0 : hidden_frames(entry->stack));
    }
    if (profile->partial)
        buffer_printf(out, "# partial: %s\n", profile->partial_reason);
    return finish(out, length_before, err);
}

/* ---- debug=2 ---- */

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* isExportedRuntime: runtime.Goexit, runtime.(*Func).Name. */
static bool is_exported_runtime(const char *function)
{
    const char *name = function + strlen("runtime.");
    const char *dot = strrchr(name, '.');
    if (dot == NULL)
        return is_upper(name[0]);
    const char *receiver = has_prefix(name, "(*") ? name + 2 : name;
    return is_upper(dot[1]) && is_upper(receiver[0]);
}

/* showfuncinfo */
static bool is_shown(const char *function, bool first)
{
    if (strcmp(function, "runtime.runFinalizers") == 0 ||
        strcmp(function, "runtime.runCleanups") == 0 ||
        (strcmp(function, "runtime.gopanic") == 0 && !first))
        return true;
    return strchr(function, '.') != NULL &&
           (!has_prefix(function, "runtime.") || is_exported_runtime(function));
}

static void append_function(struct buffer *out, const char *function)
{
    if (strcmp(function, "runtime.gopanic") == 0) {
        buffer_append_string(out, "panic");
        return;
    }
    const struct text_shown_name shown = text_shown_name(function);
    text_append_shown(out, &shown);
}

/* [pc]: where the physical function of [place] is, for frames that are not inlined. */
static void append_position(struct buffer *out, const struct frame *frame,
                            const struct stack_place *place, uint64_t pc)
{
    buffer_append_byte(out, '\t');
    text_append_name(out, frame->file, strlen(frame->file));
    buffer_append_byte(out, ':');
    buffer_append_u64(out, frame->line);
    if (!place->inlined && pc > place->entry) {
        buffer_append_string(out, " +");
        text_append_address(out, pc - place->entry);
    }
    buffer_append_byte(out, '\n');
}

static void append_traceback(struct buffer *out, const struct stack *stack, bool all)
{
    size_t shown = 0;
    uint64_t pc = 0; /* of the physical frame: that of its innermost call */
    for (uint32_t i = 0; i < stack->frame_count; i++) {
        const struct frame *frame = &stack->frames[i];
        if (i == 0 || !stack->places[i - 1].inlined)
            pc = stack->places[i].pc;
        if (!all && !is_shown(frame->function, shown == 0))
            continue;
        append_function(out, frame->function);
        buffer_append_string(out, "(...)\n");
        append_position(out, frame, &stack->places[i], pc);
        shown++;
    }
    if (stack->cut)
        buffer_append_string(out, "...additional frames elided...\n");
}

static bool shows_any(const struct stack *stack)
{
    for (uint32_t i = 0; i < stack->frame_count; i++)
        if (is_shown(stack->frames[i].function, true))
            return true;
    return false;
}

static void append_creator(struct buffer *out, const struct goroutine *goroutine)
{
    const struct frame *creator = &goroutine->creator;
    const struct stack_place place = {.pc = goroutine->creator_place.pc,
                                      .entry = goroutine->creator_place.entry};
    if (creator->function == NULL || creator->function[0] == '\0' ||
        !is_shown(creator->function, false))
        return;
    buffer_append_string(out, "created by ");
    append_function(out, creator->function);
    if (goroutine->parent_id != 0) {
        buffer_append_string(out, " in goroutine ");
        buffer_append_u64(out, goroutine->parent_id);
    }
    buffer_append_byte(out, '\n');
    append_position(out, creator, &place, place.pc);
}

static void append_goroutine(struct buffer *out, const struct goroutine *goroutine)
{
    buffer_append_string(out, "goroutine ");
    buffer_append_u64(out, goroutine->id);
    buffer_append_string(out, " [");
    buffer_append_string(out, goroutine->state);
    if (goroutine->wait_minutes >= 1) {
        buffer_append_string(out, ", ");
        buffer_append_u64(out, goroutine->wait_minutes);
        buffer_append_string(out, " minutes");
    }
    buffer_append_string(out, goroutine->locked_to_thread ? ", locked to thread]:\n" : "]:\n");
    if (goroutine->stack == NULL)
        buffer_append_string(out, "\tgoroutine running on other thread; stack unavailable\n");
    else
        append_traceback(out, goroutine->stack, !shows_any(goroutine->stack));
    append_creator(out, goroutine);
}

bool stack_write_goroutines(const struct stack_profile *profile, struct buffer *out,
                            struct error *err)
{
    const size_t length_before = out->length;

    if (profile->kind != STACK_GOROUTINE)
        return stack_write_text(profile, out, err);
    for (size_t i = 0; i < profile->goroutine_count && !out->failed; i++) {
        if (i > 0)
            buffer_append_byte(out, '\n');
        append_goroutine(out, &profile->goroutines[i]);
    }
    if (profile->partial)
        buffer_printf(out, "\n# partial: %s\n", profile->partial_reason);
    return finish(out, length_before, err);
}
