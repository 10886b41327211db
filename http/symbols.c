/* symbols.c - /debug/pprof/symbol: names of the functions at addresses, as net/http/pprof answers.
 *
 *   "0x4a1b2c+0x4a1b40" (body of a POST, query of a GET) -> one line each: address, name
 *
 * Known are the addresses that the target's newest heap profile has; others are left out, as there. */
#include "http/handlers.h"

#include <h2o.h>

#include "core/store/board.h"
#include "core/store/profile.h"
#include "http/reply.h"
#include "http/request.h"

enum { ADDRESSES_MAX = 4096 };

struct asked {
    uint64_t address;
    const char *function; /* NULL: not known */
};

static int compare_asked(const void *left, const void *right)
{
    const uint64_t a = ((const struct asked *)left)->address;
    const uint64_t b = ((const struct asked *)right)->address;
    return (a > b) - (a < b);
}

/* Hexadecimal numbers with anything between them; what is more than there is room for is left out. */
static size_t parse_addresses(const char *text, size_t length, struct asked asked[ADDRESSES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < length && count < ADDRESSES_MAX; i++) {
        if (i + 2 >= length || text[i] != '0' || (text[i + 1] | 0x20) != 'x')
            continue;
        uint64_t address = 0;
        size_t digits = 0;
        for (i += 2; i < length; i++) {
            const char c = text[i];
            const unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                                   : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                   : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                          : 16;
            if (digit == 16)
                break;
            address = address << 4 | digit;
            digits++;
        }
        if (digits > 0 && digits <= 16)
            asked[count++] = (struct asked){.address = address};
    }
    qsort(asked, count, sizeof(asked[0]), compare_asked);
    return count;
}

/* Of several functions at one address, inlined calls, the innermost is told: it stands first. */
static void name_address(uint64_t address, const char *function, struct asked *asked, size_t count)
{
    const struct asked wanted = {.address = address};
    struct asked *found = bsearch(&wanted, asked, count, sizeof(asked[0]), compare_asked);
    if (found != NULL && found->function == NULL)
        found->function = function;
}

/* A profile has return addresses; its text form, like a traceback, the last byte of the call before them. */
static void name_frames(const struct site *site, struct asked *asked, size_t count)
{
    for (size_t i = 0; i < site->frame_count; i++) {
        const struct frame *frame = site->frames[i];
        name_address(frame->address, frame->function, asked, count);
        name_address(frame->address - 1, frame->function, asked, count);
    }
}

void handle_pprof_symbol(struct request *request)
{
    const h2o_req_t *req = request->req;
    const bool is_post = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("POST"));
    const struct target_view *view = request_target(request);
    if (view == NULL)
        return;
    struct asked *asked = calloc(ADDRESSES_MAX, sizeof(*asked));
    if (asked == NULL) {
        reply_error(request->req, 500, "out of memory");
        return;
    }
    const size_t count =
        is_post ? parse_addresses(req->entity.base, req->entity.len, asked)
                : parse_addresses(request->query_text, strlen(request->query_text), asked);
    for (size_t i = 0; view->profile != NULL && count > 0 && i < view->profile->entry_count; i++)
        name_frames(view->profile->entries[i].site, asked, count);
    struct buffer out;
    buffer_init(&out, REPLY_MAX_BYTES);
    buffer_append_string(&out, "num_symbols: 1\n"); /* that is: there are some */
    for (size_t i = 0; i < count; i++) {
        if (asked[i].function != NULL)
            buffer_printf(&out, "%#llx %s\n", (unsigned long long)asked[i].address, asked[i].function);
    }
    free(asked);
    reply_header(request->req, "x-content-type-options", "nosniff");
    reply_buffer(request->req, 200, CONTENT_TYPE_TEXT, &out);
}
