/* tags.c - on whose behalf a stack allocates: rules, frameworks, entries of goroutines. */
#include <criterion/criterion.h>

#include "core/base/buffer.h"
#include "core/base/config.h"
#include "core/store/board.h"
#include "core/store/site.h"
#include "core/store/site_tagger.h"
#include "core/store/tag_defaults.h"
#include "core/store/tag_name.h"
#include "core/store/tag_rules.h"
#include "tests/unit/store/samples.h"

static const char *tag_of(struct site_table *table, const char *stack)
{
    const struct site *site = sample_site(table, stack, 0, 16);
    cr_assert_not_null(site, "%s", stack);
    return site->tag;
}

static void assert_default(const char *stack, const char *expected)
{
    struct site_table *table = site_table_new();
    cr_expect_str_eq(tag_of(table, stack), expected, "%s\n  gives %s\n  not   %s", stack,
                     tag_of(table, stack), expected);
    site_table_unref(table);
}

/* ---- names ---- */

Test(tag_name, is_the_short_form_of_a_function_name)
{
    static const struct {
        const char *function;
        const char *tag;
    } names[] = {
        {"main.main", "main.main"},
        {"main.(*shop).checkout", "main.(*shop).checkout"},
        {"main.(*shop).checkout-fm", "main.(*shop).checkout"},
        {"example.com/shop/cart.(*Cart).load[...]", "cart.(*Cart).load"},
        {"example.com/shop/cart.(*List[go.shape.[]example.com/x.Y]).Add", "cart.(*List).Add"},
        {"github.com/labstack/echo/v4.(*Echo).ServeHTTP", "echo.(*Echo).ServeHTTP"},
        {"github.com/nats-io/nats%2ego.(*Conn).readLoop", "nats.go.(*Conn).readLoop"},
        {"v2.F", "v2.F"},
        {"net/http.HandlerFunc.ServeHTTP", "http.HandlerFunc.ServeHTTP"},
        {"main.main.func1.2", "main.main.func1.2"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char tag[TAG_ROOM];
        tag_name_shorten(names[i].function, tag);
        cr_expect_str_eq(tag, names[i].tag, "%s: %s", names[i].function, tag);
    }
}

Test(tag_name, is_cut_between_characters_and_holds_no_control_characters)
{
    char text[4096];
    char tag[TAG_ROOM];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', shift);
        for (size_t i = 0; i < 600; i++)
            memcpy(text + shift + 2 * i, "\xc3\xa9", 3);
        tag_name_copy(text, tag);
        const size_t length = strlen(tag);
        cr_assert_leq(length, TAG_MAX_BYTES);
        cr_assert_gt(length, TAG_MAX_BYTES - 5);
        cr_assert_str_eq(tag + length - 3, "...");
        cr_assert_eq(((unsigned char)tag[length - 4]) & 0xC0, 0x80, "a whole character stands before the dots");
    }
    tag_name_copy("a\nb\x7f", tag);
    cr_assert_str_eq(tag, "a?b?");
}

/* ---- globs ---- */

Test(tag_glob, knows_stars_and_question_marks_and_takes_all_else_as_it_is)
{
    static const struct {
        const char *pattern;
        const char *text;
        bool matches;
    } cases[] = {
        {"main.(*shop).checkout", "main.(*shop).checkout", true},
        {"main.(*shop).checkout", "main.(xxshop).checkout", true},
        {"main.checkout", "main.checkout2", false},
        {"main.check?ut", "main.checkout", true},
        {"main.check?ut", "main.checkut", false},
        {"*", "", true},
        {"", "", true},
        {"", "x", false},
        {"*.func1", "main.a.func1", true},
        {"*.func1", "main.a.func12", false},
        {"database/*", "database/sql/driver.X", true},
        {"*sql*exec*", "database/sql.(*DB).exec", true},
        {"main.F[...]", "main.F[...]", true},
        {"main.[ab]", "main.a", false},
        {"a*b*c", "aXbXbXc", true},
        {"a*b*c", "aXbXbX", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(tag_glob_matches(cases[i].pattern, cases[i].text, strlen(cases[i].text)),
                     cases[i].matches, "%s on %s", cases[i].pattern, cases[i].text);
}

/* ---- defaults: one test for each framework of the table, on stacks as its programs have them ---- */

#define SERVER " net/http.serverHandler.ServeHTTP net/http.(*conn).serve"

Test(tag_default, of_net_http_is_the_function_or_method_that_handles)
{
    assert_default("main.encode main.(*shop).checkout net/http.HandlerFunc.ServeHTTP "
                   "net/http.(*ServeMux).ServeHTTP" SERVER,
                   "main.(*shop).checkout");
    assert_default("main.(*shop).checkout main.(*shop).checkout-fm net/http.HandlerFunc.ServeHTTP" SERVER,
                   "main.(*shop).checkout");
    assert_default("main.main.func1 net/http.HandlerFunc.ServeHTTP net/http.(*ServeMux).ServeHTTP" SERVER,
                   "main.main.func1");
    assert_default("main.(*api).list main.(*api).ServeHTTP net/http.(*ServeMux).ServeHTTP" SERVER,
                   "main.(*api).ServeHTTP");
    assert_default("main.(*api).ServeHTTP" SERVER, "main.(*api).ServeHTTP");
}

Test(tag_default, looks_through_middleware_to_the_handler)
{
    /* as a closure around http.Handler */
    assert_default("main.list net/http.HandlerFunc.ServeHTTP main.logged.func1 "
                   "net/http.HandlerFunc.ServeHTTP net/http.(*ServeMux).ServeHTTP" SERVER,
                   "main.list");
    /* as a type that calls the next directly */
    assert_default("main.(*api).list main.(*api).ServeHTTP main.(*auth).ServeHTTP" SERVER,
                   "main.(*api).ServeHTTP");
    /* of the standard library and of packages */
    assert_default("main.list net/http.HandlerFunc.ServeHTTP net/http.StripPrefix.func1 "
                   "net/http.HandlerFunc.ServeHTTP "
                   "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp.(*Handler).ServeHTTP" SERVER,
                   "main.list");
    assert_default("main.list net/http.HandlerFunc.ServeHTTP net/http.(*timeoutHandler).ServeHTTP.func1",
                   "main.list");
}

Test(tag_default, of_middleware_that_allocates_itself_is_the_middleware)
{
    assert_default("main.logged.func1 net/http.HandlerFunc.ServeHTTP net/http.(*ServeMux).ServeHTTP" SERVER,
                   "main.logged.func1");
    assert_default("net/textproto.MIMEHeader.Set github.com/rs/cors.(*Cors).Handler.func1 "
                   "net/http.HandlerFunc.ServeHTTP" SERVER,
                   "cors.(*Cors).Handler.func1");
}

Test(tag_default, of_handlers_of_the_standard_library_is_their_own_name)
{
    assert_default("runtime/pprof.writeHeap net/http/pprof.handler.ServeHTTP net/http/pprof.Index "
                   "net/http.HandlerFunc.ServeHTTP net/http.(*ServeMux).ServeHTTP" SERVER,
                   "pprof.Index");
    assert_default("net/http.serveFile net/http.(*fileHandler).ServeHTTP "
                   "net/http.(*ServeMux).ServeHTTP" SERVER,
                   "http.(*fileHandler).ServeHTTP");
}

Test(tag_default, of_a_server_at_its_own_work_is_the_entry_of_its_goroutine)
{
    assert_default("bufio.NewReaderSize net/http.newBufioReader net/http.(*conn).serve",
                   "http.(*conn).serve");
    assert_default("net/url.parse net/http.(*ServeMux).findHandler net/http.(*ServeMux).ServeHTTP" SERVER,
                   "http.(*conn).serve");
}

#define GIN " github.com/gin-gonic/gin.(*Context).Next"
#define GIN_ENGINE                                                                                 \
    " github.com/gin-gonic/gin.(*Engine).handleHTTPRequest github.com/gin-gonic/gin.(*Engine).ServeHTTP" SERVER

Test(tag_default, of_gin)
{
    assert_default("api.load example.com/shop/api.(*Order).List" GIN
                   " github.com/gin-gonic/gin.LoggerWithConfig.func1" GIN
                   " github.com/gin-gonic/gin.CustomRecoveryWithWriter.func1" GIN GIN_ENGINE,
                   "api.(*Order).List");
    assert_default("fmt.Sprintf github.com/gin-gonic/gin.LoggerWithConfig.func1" GIN GIN_ENGINE,
                   "gin.LoggerWithConfig.func1");
}

#define ECHO " github.com/labstack/echo/v4.(*Echo).add.func1"

Test(tag_default, of_echo)
{
    assert_default("main.(*shop).postChat" ECHO
                   " github.com/labstack/echo/v4/middleware.BodyLimitWithConfig.func1.1"
                   " github.com/labstack/echo/v4.(*Echo).ServeHTTP" SERVER,
                   "main.(*shop).postChat");
    assert_default("main.(*shop).list github.com/labstack/echo/v4/middleware.KeyAuthWithConfig.func1.1" ECHO
                   " github.com/labstack/echo/v4.(*Echo).ServeHTTP" SERVER,
                   "main.(*shop).list");
}

Test(tag_default, of_chi)
{
    assert_default("main.getArticle net/http.HandlerFunc.ServeHTTP github.com/go-chi/chi/v5.(*Mux).routeHTTP "
                   "net/http.HandlerFunc.ServeHTTP github.com/go-chi/chi/v5/middleware.Recoverer.func1 "
                   "net/http.HandlerFunc.ServeHTTP github.com/go-chi/chi/v5.(*Mux).ServeHTTP" SERVER,
                   "main.getArticle");
    assert_default("main.(*page).render main.(*page).ServeHTTP github.com/go-chi/chi/v5.(*Mux).routeHTTP "
                   "net/http.HandlerFunc.ServeHTTP github.com/go-chi/chi/v5.(*Mux).ServeHTTP" SERVER,
                   "main.(*page).ServeHTTP");
}

Test(tag_default, of_gorilla_also_when_it_is_vendored)
{
    assert_default("main.users net/http.HandlerFunc.ServeHTTP github.com/gorilla/mux.(*Router).ServeHTTP" SERVER,
                   "main.users");
    assert_default("example.com/d/api.(*Server).version net/http.HandlerFunc.ServeHTTP "
                   "example.com/d/vendor/github.com/gorilla/mux.(*Router).ServeHTTP" SERVER,
                   "api.(*Server).version");
}

Test(tag_default, of_httprouter)
{
    assert_default("main.(*rest).save github.com/julienschmidt/httprouter.(*Router).ServeHTTP" SERVER,
                   "main.(*rest).save");
}

Test(tag_default, of_fasthttp)
{
    assert_default("main.handle github.com/valyala/fasthttp.(*Server).serveConn "
                   "github.com/valyala/fasthttp.(*workerPool).workerFunc",
                   "main.handle");
    assert_default("main.user github.com/fasthttp/router.(*Router).Handler "
                   "github.com/valyala/fasthttp.(*Server).serveConn "
                   "github.com/valyala/fasthttp.(*workerPool).workerFunc",
                   "main.user");
    assert_default("bufio.NewReaderSize github.com/valyala/fasthttp.acquireReader "
                   "github.com/valyala/fasthttp.(*Server).serveConn "
                   "github.com/valyala/fasthttp.(*workerPool).workerFunc",
                   "fasthttp.(*workerPool).workerFunc");
}

Test(tag_default, of_fiber)
{
    assert_default("routes.CreateEvent github.com/gofiber/fiber/v2.(*App).next "
                   "github.com/gofiber/fiber/v2.(*Ctx).Next "
                   "github.com/gofiber/fiber/v2/middleware/logger.New.func2 "
                   "github.com/gofiber/fiber/v2.(*App).next github.com/gofiber/fiber/v2.(*App).handler "
                   "github.com/valyala/fasthttp.(*Server).serveConn "
                   "github.com/valyala/fasthttp.(*workerPool).workerFunc",
                   "routes.CreateEvent");
}

#define GRPC                                                                                       \
    " google.golang.org/grpc.(*Server).processUnaryRPC google.golang.org/grpc.(*Server).handleStream"          \
    " google.golang.org/grpc.(*Server).serveStreams.func2.1"

Test(tag_default, of_grpc_is_the_method_or_before_it_the_route)
{
    assert_default("main.(*greeter).SayHello example.com/hello/pb._Greeter_SayHello_Handler" GRPC,
                   "main.(*greeter).SayHello");
    assert_default("main.(*greeter).SayHello example.com/hello/pb._Greeter_SayHello_Handler.func1 "
                   "github.com/grpc-ecosystem/go-grpc-middleware/recovery.UnaryServerInterceptor.func1 "
                   "example.com/hello/pb._Greeter_SayHello_Handler" GRPC,
                   "main.(*greeter).SayHello");
    assert_default("google.golang.org/protobuf/proto.Unmarshal "
                   "google.golang.org/grpc.(*Server).processUnaryRPC.func2 "
                   "example.com/hello/pb._Greeter_SayHello_Handler" GRPC,
                   "pb._Greeter_SayHello_Handler");
    assert_default("main.(*chat).Talk example.com/hello/pb._Chat_Talk_Handler "
                   "google.golang.org/grpc.(*Server).processStreamingRPC "
                   "google.golang.org/grpc.(*Server).handleStream",
                   "main.(*chat).Talk");
}

Test(tag_default, of_connect)
{
    assert_default("main.(*greeter).Greet connectrpc.com/connect.NewUnaryHandler[...].func1 "
                   "connectrpc.com/connect.NewUnaryHandler[...].func2 connectrpc.com/connect.(*Handler).ServeHTTP "
                   "net/http.HandlerFunc.ServeHTTP" SERVER,
                   "main.(*greeter).Greet");
}

Test(tag_default, of_kafka_consumers)
{
    assert_default("main.handle example.com/shop/broker.Consumer.ConsumeClaim "
                   "github.com/IBM/sarama.(*consumerGroupSession).consume "
                   "github.com/IBM/sarama.newConsumerGroupSession.func2",
                   "broker.Consumer.ConsumeClaim");
    assert_default("main.Consumer.ConsumeClaim github.com/Shopify/sarama.(*consumerGroupSession).consume "
                   "github.com/Shopify/sarama.newConsumerGroupSession.func2",
                   "main.Consumer.ConsumeClaim");
    /* They pull: the goroutine is the user's. */
    assert_default("github.com/segmentio/kafka-go.(*Reader).FetchMessage "
                   "github.com/segmentio/kafka-go.(*Reader).ReadMessage main.consumeOrders",
                   "main.consumeOrders");
    assert_default("github.com/confluentinc/confluent-kafka-go/v2/kafka.(*Consumer).Poll main.(*poller).run",
                   "main.(*poller).run");
}

Test(tag_default, of_nats_subscribers)
{
    assert_default("encoding/json.Unmarshal main.onOrder github.com/nats-io/nats%2ego.(*Conn).waitForMsgs "
                   "github.com/nats-io/nats%2ego.(*Conn).subscribeLocked.func1",
                   "main.onOrder");
    assert_default("main.onEvent github.com/nats-io/nats.go/jetstream.(*pullConsumer).Consume.func1 "
                   "github.com/nats-io/nats%2ego.(*Conn).waitForMsgs",
                   "main.onEvent");
}

Test(tag_default, of_groups_of_goroutines_and_cron_is_the_job)
{
    assert_default("main.fetch main.refresh.func1 golang.org/x/sync/errgroup.(*Group).Go.func1",
                   "main.refresh.func1");
    assert_default("main.crawl.func2 sync.(*WaitGroup).Go.func1", "main.crawl.func2");
    assert_default("main.nightly github.com/robfig/cron/v3.FuncJob.Run "
                   "github.com/robfig/cron/v3.(*Cron).startJob.func1",
                   "main.nightly");
}

Test(tag_default, without_a_framework_is_the_entry_of_the_goroutine)
{
    assert_default("main.step main.worker", "main.worker");
    assert_default("main.worker main.main.gowrap1", "main.worker");
    assert_default("main.worker main.main·dwrap·1", "main.worker");
    assert_default("main.build main.run main.main runtime.main", "main.main");
    assert_default("main.build main.run main.main", "main.main");
    assert_default("regexp.compile regexp.MustCompile main.init runtime.doInit1 runtime.doInit runtime.main",
                   "init");
    assert_default("runtime.malg runtime.newproc1 runtime.newproc.func1 runtime.systemstack", "runtime");
    assert_default("runtime.gcenable runtime.main", "runtime");
}

Test(tag_default, of_a_stack_that_go_cut_off_is_the_outermost_function_of_a_user)
{
    struct buffer stack;
    buffer_init(&stack, 4096);
    buffer_append_string(&stack, "reflect.New");
    for (int i = 0; i < 20; i++)
        buffer_append_string(&stack, " encoding/json.(*decodeState).object");
    buffer_append_string(&stack, " main.decodeOrder");
    for (int i = 0; i < 10; i++)
        buffer_append_string(&stack, " text/template.(*state).walk");
    assert_default(buffer_text(&stack), "main.decodeOrder"); /* 32 of them: more were there */
    buffer_append_string(&stack, " text/template.(*Template).Execute");
    assert_default(buffer_text(&stack), "template.(*Template).Execute");
    buffer_release(&stack);
}

Test(tag_default, table_names_each_function_once)
{
    for (size_t i = 0; i < tag_anchor_count; i++) {
        cr_assert_not_null(tag_anchors[i].framework);
        for (size_t k = i + 1; k < tag_anchor_count; k++)
            cr_assert_str_neq(tag_anchors[i].function, tag_anchors[k].function);
    }
}

/* ---- rules of the config ---- */

Test(tag_rules, give_the_tag_of_the_first_that_matches_any_frame)
{
    static const struct config_tag rules[] = {
        {.tag = "checkout", .match = "main.(*shop).checkout"},
        {.tag = "db", .package = "database/sql*"},
        {.tag = "shop", .match = "main.*", .file = "main.go"},
        {.tag = "never", .match = "main.*", .file = "*/none.go"},
    };
    const struct site_tagger tagger = {.rules = rules, .rule_count = 4};
    struct site_table *table = site_table_new();
    site_table_use_tagger(table, &tagger);
    cr_assert_str_eq(tag_of(table, "database/sql.(*DB).query main.(*shop).checkout main.worker"), "checkout");
    cr_assert_str_eq(tag_of(table, "database/sql.(*DB).query main.worker"), "db");
    cr_assert_str_eq(tag_of(table, "database/sql/driver.Value example.com/x.worker"), "db");
    cr_assert_str_eq(tag_of(table, "main.list main.worker"), "shop");
    cr_assert_str_eq(tag_of(table, "example.com/x.F example.com/x.worker"), "x.worker");
    site_table_unref(table);
}

static bool two_words(void *context, const struct frame *const *frames, size_t frame_count,
                      char tag[TAG_ROOM])
{
    (*(int *)context)++;
    if (frame_count < 2)
        return false;
    tag_name_copy(frames[1]->function, tag);
    return true;
}

Test(tag_function, is_asked_once_for_each_site_and_may_have_nothing_to_say)
{
    int calls = 0;
    const struct site_tagger tagger = {.function = two_words, .context = &calls};
    struct site_table *table = site_table_new();
    site_table_use_tagger(table, &tagger);
    cr_assert_str_eq(tag_of(table, "main.a main.b main.c"), "main.b");
    cr_assert_str_eq(tag_of(table, "main.a"), "main.a");
    cr_assert_eq(calls, 2);
    site_table_unref(table);
}

Test(tags, are_the_same_whether_a_function_is_met_for_the_first_time_or_again)
{
    static const struct config_tag rules[] = {{.tag = "shop", .match = "main.*9"}};
    const struct site_tagger tagger = {.rules = rules, .rule_count = 1};
    struct site_table *table = site_table_new();
    site_table_use_tagger(table, &tagger);
    for (int round = 0; round < 3; round++) {
        site_table_begin_read(table, 1, 0); /* what was remembered is given back */
        for (int i = 0; i < 900; i++) {
            char stack[64];
            snprintf(stack, sizeof(stack), "strings.Repeat main.f%d", i);
            const char *tag = tag_of(table, stack);
            cr_assert_str_eq(tag, i % 10 == 9 ? "shop" : stack + strlen("strings.Repeat "));
        }
    }
    site_table_unref(table);
}

Test(tags, beyond_a_thousand_of_one_target_are_other_and_counted)
{
    struct board_counters counters = {0};
    const struct site_tagger tagger = {.counters = &counters};
    struct site_table *table = site_table_new();
    site_table_use_tagger(table, &tagger);
    for (int i = 0; i < TAGS_MAX + 5; i++) {
        char function[32];
        snprintf(function, sizeof(function), "main.f%d", i);
        cr_assert_str_eq(tag_of(table, function), i < TAGS_MAX ? function : "other");
    }
    cr_assert_str_eq(tag_of(table, "main.x main.f7"), "main.f7"); /* known ones go on */
    cr_assert_eq(counters.tags_dropped, 5);
    site_table_unref(table);
}
