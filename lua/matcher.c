/* matcher.c - compiles Lua patterns and matches them within a number of steps.
 *
 * Called from string_library.c and the site views, on the thread of the state that asks. */
#include "lua/matcher.h"

#include <ctype.h>

/* ---- compile: text to items ---- */

struct compiler {
    const unsigned char *text;
    size_t length;
    size_t at;
    struct matcher_pattern *pattern;
    uint16_t set_count;
    uint8_t open_captures[MATCHER_CAPTURES_MAX];
    size_t open_count;
    bool closed[MATCHER_CAPTURES_MAX];
    struct error *err;
};

/* An item needs at least one character of the pattern, a set at least one too ("%a"). */
size_t matcher_pattern_bytes(size_t length)
{
    if (length > MATCHER_PATTERN_MAX_BYTES)
        length = 0; /* refused by matcher_compile: only the header is looked at */
    return sizeof(struct matcher_pattern) +
           (length + 1) * (sizeof(struct matcher_set) + sizeof(struct matcher_item));
}

static void set_add(struct matcher_set *set, unsigned char byte)
{
    set->bits[byte / 64] |= UINT64_C(1) << (byte % 64);
}

static bool set_has(const struct matcher_set *set, unsigned char byte)
{
    return ((set->bits[byte / 64] >> (byte % 64)) & 1) != 0;
}

static bool class_has(int letter, int byte, bool *known)
{
    *known = true;
    switch (letter) {
    case 'a':
        return isalpha(byte) != 0;
    case 'c':
        return iscntrl(byte) != 0;
    case 'd':
        return isdigit(byte) != 0;
    case 'g':
        return isgraph(byte) != 0;
    case 'l':
        return islower(byte) != 0;
    case 'p':
        return ispunct(byte) != 0;
    case 's':
        return isspace(byte) != 0;
    case 'u':
        return isupper(byte) != 0;
    case 'w':
        return isalnum(byte) != 0;
    case 'x':
        return isxdigit(byte) != 0;
    case 'z': /* of older manuals; still there */
        return byte == 0;
    default:
        *known = false;
        return false;
    }
}

/* Adds what "%[letter]" means to [set]: a class, its complement, or the letter itself. */
static void set_add_escape(struct matcher_set *set, unsigned char letter)
{
    bool known;
    (void)class_has(tolower(letter), 0, &known);
    if (!known) {
        set_add(set, letter);
        return;
    }
    const bool inverted = isupper(letter) != 0;
    for (int byte = 0; byte < 256; byte++) {
        if (class_has(tolower(letter), byte, &known) != inverted)
            set_add(set, (unsigned char)byte);
    }
}

static struct matcher_set *new_set(struct compiler *compiler, uint16_t *index)
{
    *index = compiler->set_count++;
    struct matcher_set *set = &compiler->pattern->sets[*index];
    *set = (struct matcher_set){{0}};
    return set;
}

static struct matcher_item *new_item(struct compiler *compiler, enum matcher_item_kind kind)
{
    struct matcher_item *item = &compiler->pattern->items[compiler->pattern->item_count++];
    *item = (struct matcher_item){.kind = (uint8_t)kind};
    return item;
}

/* The place of the ']' that ends the set whose '[' is at [open]; 0 if there is none.  The first
 * character, after an optional '^', is never the end. */
static size_t find_set_end(const struct compiler *compiler, size_t open)
{
    size_t at = open + 1;
    if (at < compiler->length && compiler->text[at] == '^')
        at++;
    for (bool first = true; at < compiler->length; first = false) {
        if (compiler->text[at] == ']' && !first)
            return at;
        at += compiler->text[at] == '%' ? 2 : 1;
    }
    return 0;
}

/* Compiles "[...]" at the current place and moves past it. */
static bool compile_set(struct compiler *compiler, uint16_t *index)
{
    const unsigned char *text = compiler->text;
    const size_t end = find_set_end(compiler, compiler->at);
    if (end == 0)
        return error_set(compiler->err, ERROR_USAGE, "malformed pattern (missing ']')");
    struct matcher_set *set = new_set(compiler, index);
    size_t at = compiler->at + 1;
    const bool inverted = text[at] == '^';
    if (inverted)
        at++;
    while (at < end) {
        if (text[at] == '%') {
            set_add_escape(set, text[at + 1]);
            at += 2;
        } else if (text[at + 1] == '-' && at + 2 < end) {
            for (unsigned byte = text[at]; byte <= text[at + 2]; byte++)
                set_add(set, (unsigned char)byte);
            at += 3;
        } else {
            set_add(set, text[at++]);
        }
    }
    if (inverted) {
        for (size_t word = 0; word < 4; word++)
            set->bits[word] = ~set->bits[word];
    }
    compiler->at = end + 1;
    return true;
}

static bool compile_open(struct compiler *compiler)
{
    struct matcher_pattern *pattern = compiler->pattern;
    if (pattern->capture_count == MATCHER_CAPTURES_MAX)
        return error_set(compiler->err, ERROR_USAGE, "too many captures");
    const uint8_t index = pattern->capture_count++;
    compiler->at++;
    if (compiler->at < compiler->length && compiler->text[compiler->at] == ')') {
        compiler->at++;
        compiler->closed[index] = true;
        new_item(compiler, MATCHER_POSITION)->first = index;
        return true;
    }
    compiler->open_captures[compiler->open_count++] = index;
    new_item(compiler, MATCHER_OPEN)->first = index;
    return true;
}

static bool compile_close(struct compiler *compiler)
{
    if (compiler->open_count == 0)
        return error_set(compiler->err, ERROR_USAGE, "invalid pattern capture");
    const uint8_t index = compiler->open_captures[--compiler->open_count];
    compiler->closed[index] = true;
    compiler->at++;
    new_item(compiler, MATCHER_CLOSE)->first = index;
    return true;
}

/* "%b", "%f" and "%1": escapes that are no character classes. */
static bool compile_special(struct compiler *compiler, bool *compiled)
{
    const unsigned char letter = compiler->text[compiler->at + 1];
    *compiled = true;
    if (letter == 'b') {
        if (compiler->length - compiler->at < 4)
            return error_set(compiler->err, ERROR_USAGE,
                             "malformed pattern (missing arguments to '%%b')");
        struct matcher_item *item = new_item(compiler, MATCHER_BALANCE);
        item->first = compiler->text[compiler->at + 2];
        item->second = compiler->text[compiler->at + 3];
        compiler->at += 4;
        return true;
    }
    if (letter == 'f') {
        compiler->at += 2;
        if (compiler->at >= compiler->length || compiler->text[compiler->at] != '[')
            return error_set(compiler->err, ERROR_USAGE, "missing '[' after '%%f' in pattern");
        struct matcher_item *item = new_item(compiler, MATCHER_FRONTIER);
        return compile_set(compiler, &item->set);
    }
    if (isdigit(letter)) {
        const unsigned index = (unsigned)(letter - '1'); /* huge for '0' */
        if (index >= compiler->pattern->capture_count || !compiler->closed[index])
            return error_set(compiler->err, ERROR_USAGE, "invalid capture index %%%c in pattern",
                             letter);
        new_item(compiler, MATCHER_BACK)->first = (uint8_t)index;
        compiler->at += 2;
        return true;
    }
    *compiled = false;
    return true;
}

/* One character, '.', class or set, with what repeats it. */
static bool compile_single(struct compiler *compiler)
{
    const unsigned char byte = compiler->text[compiler->at];
    struct matcher_item *item;
    if (byte == '[') {
        item = new_item(compiler, MATCHER_SET);
        if (!compile_set(compiler, &item->set))
            return false;
    } else if (byte == '%') {
        item = new_item(compiler, MATCHER_SET);
        set_add_escape(new_set(compiler, &item->set), compiler->text[compiler->at + 1]);
        compiler->at += 2;
    } else {
        item = new_item(compiler, byte == '.' ? MATCHER_ANY : MATCHER_CHAR);
        item->first = byte;
        compiler->at++;
    }
    if (compiler->at < compiler->length && compiler->text[compiler->at] != '\0' &&
        strchr("*+?-", compiler->text[compiler->at]) != NULL)
        item->repeat = (char)compiler->text[compiler->at++];
    return true;
}

static bool compile_next(struct compiler *compiler)
{
    const unsigned char byte = compiler->text[compiler->at];
    if (byte == '(')
        return compile_open(compiler);
    if (byte == ')')
        return compile_close(compiler);
    if (byte == '$' && compiler->at + 1 == compiler->length) {
        compiler->at++;
        (void)new_item(compiler, MATCHER_END);
        return true;
    }
    if (byte == '%') {
        if (compiler->at + 1 == compiler->length)
            return error_set(compiler->err, ERROR_USAGE, "malformed pattern (ends with '%%')");
        bool compiled;
        const bool ok = compile_special(compiler, &compiled);
        if (!ok || compiled)
            return ok;
    }
    return compile_single(compiler);
}

struct matcher_pattern *matcher_compile(void *memory, const char *text, size_t length,
                                        bool anchors, struct error *err)
{
    if (length > MATCHER_PATTERN_MAX_BYTES) {
        (void)error_set(err, ERROR_LIMIT, "pattern too long (%zu bytes; %d are allowed)", length,
                        MATCHER_PATTERN_MAX_BYTES);
        return NULL;
    }
    struct matcher_pattern *pattern = memory;
    struct matcher_set *sets = (struct matcher_set *)(pattern + 1);
    *pattern = (struct matcher_pattern){.items = (struct matcher_item *)(sets + length + 1),
                                        .sets = sets};
    struct error problem = {.code = ERROR_NONE};
    struct compiler compiler = {.text = (const unsigned char *)text,
                                .length = length,
                                .pattern = pattern,
                                .err = &problem};
    pattern->anchored = anchors && length > 0 && text[0] == '^';
    if (pattern->anchored)
        compiler.at = 1;
    bool ok = true;
    while (ok && compiler.at < length)
        ok = compile_next(&compiler);
    if (ok && compiler.open_count > 0)
        ok = error_set(&problem, ERROR_USAGE, "unfinished capture");
    if (!ok)
        (void)error_set(err, problem.code, "%s", problem.message);
    return ok ? pattern : NULL;
}

/* ---- match: items against a subject ---- */

struct run {
    const struct matcher_pattern *pattern;
    const unsigned char *subject;
    size_t length;
    uint64_t steps_left;
    bool out_of_steps;
    struct matcher_match *match;
};

static const size_t NOWHERE = SIZE_MAX;

static bool take_step(struct run *run)
{
    if (run->steps_left == 0) {
        run->out_of_steps = true;
        return false;
    }
    run->steps_left--;
    return true;
}

static bool single_matches(struct run *run, const struct matcher_item *item, size_t at)
{
    if (!take_step(run) || at >= run->length)
        return false;
    const unsigned char byte = run->subject[at];
    switch (item->kind) {
    case MATCHER_ANY:
        return true;
    case MATCHER_CHAR:
        return byte == item->first;
    default:
        return set_has(&run->pattern->sets[item->set], byte);
    }
}

/* The end of the balanced stretch that starts at [at], or NOWHERE. */
static size_t match_balance(struct run *run, const struct matcher_item *item, size_t at)
{
    if (at >= run->length || run->subject[at] != item->first)
        return NOWHERE;
    size_t depth = 1;
    for (size_t i = at + 1; i < run->length; i++) {
        if (!take_step(run))
            return NOWHERE;
        if (run->subject[i] == item->second) { /* first, for "%bxx" */
            if (--depth == 0)
                return i + 1;
        } else if (run->subject[i] == item->first) {
            depth++;
        }
    }
    return NOWHERE;
}

static size_t match_back(struct run *run, const struct matcher_item *item, size_t at)
{
    const struct matcher_capture *capture = &run->match->captures[item->first];
    const size_t length = capture->length;
    if (capture->is_position || length > run->length - at)
        return NOWHERE; /* a position has no text that could come again */
    const uint64_t cost = length / 8;
    if (cost > run->steps_left) {
        run->out_of_steps = true;
        return NOWHERE;
    }
    run->steps_left -= cost;
    if (length > 0 && memcmp(run->subject + capture->start, run->subject + at, length) != 0)
        return NOWHERE;
    return at + length;
}

static bool match_frontier(struct run *run, const struct matcher_item *item, size_t at)
{
    const struct matcher_set *set = &run->pattern->sets[item->set];
    const unsigned char before = at > 0 ? run->subject[at - 1] : '\0';
    const unsigned char here = at < run->length ? run->subject[at] : '\0';
    return !set_has(set, before) && set_has(set, here);
}

static size_t match_items(struct run *run, size_t index, size_t at);

static size_t match_greedy(struct run *run, size_t index, size_t at, size_t least)
{
    const struct matcher_item *item = &run->pattern->items[index];
    size_t count = 0;
    while (single_matches(run, item, at + count))
        count++;
    for (;;) {
        if (run->out_of_steps || count < least)
            return NOWHERE;
        const size_t end = match_items(run, index + 1, at + count);
        if (end != NOWHERE || count == 0)
            return end;
        count--;
    }
}

static size_t match_lazy(struct run *run, size_t index, size_t at)
{
    const struct matcher_item *item = &run->pattern->items[index];
    for (;; at++) {
        const size_t end = match_items(run, index + 1, at);
        if (end != NOWHERE || run->out_of_steps || !single_matches(run, item, at))
            return end;
    }
}

static size_t match_repeat(struct run *run, size_t index, size_t at)
{
    const struct matcher_item *item = &run->pattern->items[index];
    switch (item->repeat) {
    case '*':
        return match_greedy(run, index, at, 0);
    case '+':
        return match_greedy(run, index, at, 1);
    case '-':
        return match_lazy(run, index, at);
    default: /* '?' */
        if (single_matches(run, item, at)) {
            const size_t end = match_items(run, index + 1, at + 1);
            if (end != NOWHERE || run->out_of_steps)
                return end;
        }
        return match_items(run, index + 1, at);
    }
}

/* Matches items from [index] on at [at]; the end of the match or NOWHERE.  It calls itself only with
 * a larger index, so the depth is bounded by the pattern's length. */
static size_t match_items(struct run *run, size_t index, size_t at)
{
    for (; index < run->pattern->item_count; index++) {
        const struct matcher_item *item = &run->pattern->items[index];
        struct matcher_capture *capture = &run->match->captures[item->first % MATCHER_CAPTURES_MAX];
        if (!take_step(run))
            return NOWHERE;
        if (item->repeat != 0)
            return match_repeat(run, index, at);
        switch ((enum matcher_item_kind)item->kind) {
        case MATCHER_ANY:
        case MATCHER_CHAR:
        case MATCHER_SET:
            if (!single_matches(run, item, at))
                return NOWHERE;
            at++;
            break;
        case MATCHER_OPEN:
        case MATCHER_POSITION:
            *capture = (struct matcher_capture){.start = at,
                                                .is_position = item->kind == MATCHER_POSITION};
            break;
        case MATCHER_CLOSE:
            capture->length = at - capture->start;
            break;
        case MATCHER_BACK:
            at = match_back(run, item, at);
            break;
        case MATCHER_BALANCE:
            at = match_balance(run, item, at);
            break;
        case MATCHER_FRONTIER:
            if (!match_frontier(run, item, at))
                return NOWHERE;
            break;
        case MATCHER_END:
            if (at != run->length)
                return NOWHERE;
            break;
        }
        if (at == NOWHERE)
            return NOWHERE;
    }
    return at;
}

enum matcher_result matcher_at(const struct matcher_pattern *pattern, const char *subject,
                               size_t length, size_t start, uint64_t *steps_left,
                               struct matcher_match *match)
{
    struct run run = {.pattern = pattern,
                      .subject = (const unsigned char *)subject,
                      .length = length,
                      .steps_left = *steps_left,
                      .match = match};
    const size_t end = match_items(&run, 0, start);
    /* An empty pattern costs a step too, or a search with it would be free. */
    *steps_left = run.steps_left > 0 ? run.steps_left - 1 : 0;
    if (run.out_of_steps)
        return MATCHER_OUT_OF_STEPS;
    match->start = start;
    match->end = end;
    return end != NOWHERE ? MATCHER_MATCH : MATCHER_NO_MATCH;
}

enum matcher_result matcher_find(const struct matcher_pattern *pattern, const char *subject,
                                 size_t length, size_t start, uint64_t *steps_left,
                                 struct matcher_match *match)
{
    for (size_t at = start; at <= length; at++) {
        const enum matcher_result result =
            matcher_at(pattern, subject, length, at, steps_left, match);
        if (result != MATCHER_NO_MATCH || pattern->anchored)
            return result;
    }
    return MATCHER_NO_MATCH;
}
