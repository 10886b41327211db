/* tag_defaults.c - handlers of known frameworks, and entries of goroutines.
 *
 * Called by tag_book.c for each new site, on the sampler thread.  Names are as the frameworks' stack traces
 * have them; what pulls its messages itself (kafka-go, confluent-kafka-go, franz-go) needs no row: there the
 * entry of the goroutine is the user's. */
#include "core/store/tag_defaults.h"

#include "core/store/site.h"
#include "core/store/tag_name.h"
#include "core/store/tag_rules.h"

/* In no order: each is another function. */
const struct tag_anchor tag_anchors[] = {
    {"net/http", "net/http.HandlerFunc.ServeHTTP", CALLS_ONLY_HANDLERS},
    {"net/http", "net/http.(*HandlerFunc).ServeHTTP", CALLS_ONLY_HANDLERS},
    {"net/http", "net/http.(*ServeMux).ServeHTTP", 0},
    {"net/http", "net/http.serverHandler.ServeHTTP", 0},
    {"gin", "github.com/gin-gonic/gin.(*Context).Next", CALLS_ONLY_HANDLERS},
    {"echo", "github.com/labstack/echo*.(*Echo).add.func1", 0},
    {"echo", "github.com/labstack/echo*.(*Echo).Add.func1", 0},
    {"chi", "github.com/go-chi/chi*.(*Mux).routeHTTP", 0},
    {"gorilla", "github.com/gorilla/mux.(*Router).ServeHTTP", 0},
    {"httprouter", "github.com/julienschmidt/httprouter.(*Router).ServeHTTP", 0},
    {"fasthttp", "github.com/valyala/fasthttp.(*Server).serveConn", 0},
    {"fasthttp", "github.com/fasthttp/router.(*Router).Handler", 0},
    {"fiber", "github.com/gofiber/fiber*.(*App).next", 0},
    {"fiber", "github.com/gofiber/fiber*.(*Ctx).Next", 0},
    {"grpc", "*._*_Handler", NAMES_THE_ROUTE},
    {"grpc", "*._*_Handler.func1", NAMES_THE_ROUTE},
    {"connect", "connectrpc.com/connect.New*Handler*", 0},
    {"sarama", "github.com/IBM/sarama.(*consumerGroupSession).consume", 0},
    {"sarama", "github.com/Shopify/sarama.(*consumerGroupSession).consume", 0},
    {"nats", "github.com/nats-io/nats*go.(*Conn).waitForMsgs", 0},
    {"errgroup", "golang.org/x/sync/errgroup.(*Group).Go.func1", CALLS_ONLY_HANDLERS},
    {"sync", "sync.(*WaitGroup).Go.func1", CALLS_ONLY_HANDLERS},
    {"cron", "github.com/robfig/cron*.(*Cron).startJob.func1", CALLS_ONLY_HANDLERS},
};
const size_t tag_anchor_count = sizeof(tag_anchors) / sizeof(tag_anchors[0]);
_Static_assert(sizeof(tag_anchors) / sizeof(tag_anchors[0]) < UINT8_MAX, "a role keeps the row");

/* Beginnings of package paths whose code stands between an anchor and the user's handler.  Looked for in
 * function names and, since closures of a middleware that was inlined carry the name of who set it up, in
 * file names too. */
static const char *const frameworks[] = {
    "connectrpc.com/",
    "github.com/DataDog/dd-trace-go",
    "github.com/IBM/sarama",
    "github.com/Shopify/sarama",
    "github.com/fasthttp/",
    "github.com/getsentry/sentry-go",
    "github.com/gin-contrib/",
    "github.com/gin-gonic/gin",
    "github.com/go-chi/",
    "github.com/gofiber/",
    "github.com/gogo/protobuf",
    "github.com/golang/protobuf",
    "github.com/gorilla/",
    "github.com/grpc-ecosystem/",
    "github.com/julienschmidt/httprouter",
    "github.com/justinas/",
    "github.com/labstack/echo",
    "github.com/nats-io/",
    "github.com/newrelic/",
    "github.com/prometheus/client_golang/",
    "github.com/robfig/cron",
    "github.com/rs/cors",
    "github.com/urfave/negroni",
    "github.com/valyala/fasthttp",
    "go.opentelemetry.io/",
    "golang.org/x/net/http2",
    "golang.org/x/sync/",
    "google.golang.org/grpc",
    "google.golang.org/protobuf",
    "gopkg.in/DataDog/",
    "net/http.", /* StripPrefix, TimeoutHandler, MaxBytesHandler, ... */
};

/* ---- roles ---- */

/* Behind the last [mark] in [text], or [text] itself. */
static const char *behind(const char *text, const char *mark)
{
    for (const char *found; (found = strstr(text, mark)) != NULL;)
        text = found + strlen(mark);
    return text;
}

static bool begins_with_framework(const char *text)
{
    for (size_t i = 0; i < sizeof(frameworks) / sizeof(frameworks[0]); i++) {
        if (strncmp(text, frameworks[i], strlen(frameworks[i])) == 0)
            return true;
    }
    return false;
}

struct tag_role tag_role_of(const struct frame *frame)
{
    const char *function = behind(frame->function, "/vendor/");
    const size_t length = strlen(function);
    struct tag_role role = {.is_standard = go_function_is_standard(frame->function)};
    for (size_t i = 0; i < tag_anchor_count && role.anchor == 0; i++) {
        if (tag_glob_matches(tag_anchors[i].function, function, length))
            role.anchor = (uint8_t)(i + 1);
    }
    role.is_framework = begins_with_framework(function) ||
                        begins_with_framework(behind(behind(frame->file, "/pkg/mod/"), "/vendor/"));
    return role;
}

/* ---- the handler ---- */

static bool is_in_same_package(const struct frame *a, const struct frame *b)
{
    const size_t length = go_package_length(a->function);
    return length == go_package_length(b->function) &&
           memcmp(a->function, b->function, length) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* What an anchor calls that is a handler, though not the user's: net/http/pprof.Index, a file server, or
 * middleware that allocates on its own account. */
static bool is_other_handler(const struct tag_anchor *anchor, const struct frame *caller,
                             const struct frame *called)
{
    return (anchor->manners & CALLS_ONLY_HANDLERS) != 0 || !is_in_same_package(caller, called) ||
           ends_with(called->function, ".ServeHTTP");
}

/* Wrappers that the compiler makes are followed by what they wrap. */
static bool is_wrapper(const struct frame *frame)
{
    return strcmp(frame->file, "<autogenerated>") == 0 ||
           strstr(frame->function, ".gowrap") != NULL || strstr(frame->function, "·dwrap·") != NULL;
}

static size_t past_wrappers(const struct frame *frames, size_t at)
{
    while (at > 0 && is_wrapper(&frames[at]))
        at--;
    return at;
}

/* The index of the frame that names the handler; [count] if there is none. */
static size_t find_handler(const struct frame *frames, const struct tag_role *roles, size_t count)
{
    size_t other = count;
    for (size_t i = 0; i < count; i++) {
        /* Middleware may call the next http.Handler directly. */
        if (roles[i].anchor == 0 && !roles[i].is_standard && !roles[i].is_framework &&
            ends_with(frames[i].function, ".ServeHTTP"))
            return past_wrappers(frames, i);
        if (roles[i].anchor == 0)
            continue;
        const struct tag_anchor *anchor = &tag_anchors[roles[i].anchor - 1];
        size_t at = i;
        while (at > 0 && roles[at - 1].is_framework)
            at--;
        if (at > 0 && !roles[at - 1].is_standard)
            return past_wrappers(frames, at - 1);
        if ((anchor->manners & NAMES_THE_ROUTE) != 0)
            return i;
        if (other == count && i > 0 && roles[i - 1].anchor == 0 && is_other_handler(anchor, &frames[i], &frames[i - 1]))
            other = past_wrappers(frames, i - 1);
    }
    return other;
}

/* ---- the entry ---- */

/* Go keeps that many return addresses of a stack: 32 up to Go 1.22, 128 since.  With all of them used the
 * outermost is probably not the goroutine's entry. */
static bool is_cut(const struct frame *frames, size_t count)
{
    size_t locations = 0;
    for (size_t i = 0; i < count; i++)
        locations += frames[i].starts_location;
    return locations == 32 || locations >= 128;
}

static bool is_runtime(const char *function)
{
    return strncmp(function, "runtime.", 8) == 0 || go_package_length(function) == 0;
}

static void tag_entry(const struct frame *frames, const struct tag_role *roles, size_t count,
                      char tag[TAG_ROOM])
{
    size_t entry = past_wrappers(frames, count - 1);
    if (strcmp(frames[entry].function, "runtime.main") == 0 && entry > 0) {
        entry--;
        if (strncmp(frames[entry].function, "runtime.doInit", 14) == 0) {
            tag_name_copy("init", tag);
            return;
        }
    }
    if (roles[entry].is_standard && is_cut(frames, count)) {
        for (size_t i = entry + 1; i-- > 0;) {
            if (!roles[i].is_standard) {
                entry = i;
                break;
            }
        }
    }
    if (is_runtime(frames[entry].function))
        tag_name_copy(frames[entry].function[0] == '\0' ? "unknown" : "runtime", tag);
    else
        tag_name_shorten(frames[entry].function, tag);
}

void tag_default(const struct frame *frames, const struct tag_role *roles, size_t count,
                 char tag[TAG_ROOM])
{
    const size_t handler = find_handler(frames, roles, count);
    if (handler < count)
        tag_name_shorten(frames[handler].function, tag);
    else
        tag_entry(frames, roles, count, tag);
}
