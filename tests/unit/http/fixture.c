/* fixture.c - what the tests of this room share. */
#include "fixture.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/capture/capture.h"

static const char *intern(struct site_table *table, const char *text)
{
    const char *kept = site_table_string(table, text, strlen(text));
    cr_assert_not_null(kept);
    return kept;
}

static const struct site *add_site(struct site_table *table, const char *function, const char *file,
                                   uint32_t line, uint64_t address, uint64_t object_bytes)
{
    struct error err = {0};
    const struct frame frames[] = {
        {.function = intern(table, "runtime.mallocgc"),
         .file = intern(table, "runtime/malloc.go"),
         .address = 0x1000,
         .line = 10,
         .starts_location = true},
        {.function = intern(table, function),
         .file = intern(table, file),
         .address = address,
         .line = line,
         .starts_location = true},
        {.function = intern(table, "net/http.HandlerFunc.ServeHTTP"), /* what it calls is the tag */
         .file = intern(table, "/src/main.go"),
         .address = 0x9000,
         .line = 99,
         .starts_location = true},
    };
    const struct site *site = site_table_add(
        table,
        &(struct site_facts){.frames = frames,
                              .frame_count = 3,
                              .hidden_count = 1,
                              .object_bytes = object_bytes},
        &err);
    cr_assert_not_null(site, "%s", err.message);
    return site;
}

const struct profile *fixture_profile(int64_t scale)
{
    struct site_table *table = site_table_new();
    cr_assert_not_null(table);
    struct profile *profile = profile_begin(table, 2);
    cr_assert_not_null(profile);
    profile->entries[0] = (struct profile_entry){
        .site = add_site(table, "main.leak", "/src/leak.go", 41, 0x2000, 1024),
        .allocs = 10,
        .alloc_objects = 10 * scale,
        .alloc_bytes = 10240 * scale,
        .inuse_objects = 8 * scale,
        .inuse_bytes = 8192 * scale,
        .block_bytes = 1024};
    profile->entries[1] = (struct profile_entry){
        .site = add_site(table, "main.churn", "/src/churn.go", 7, 0x3000, 64),
        .allocs = 100,
        .frees = 100,
        .alloc_objects = 1000 * scale,
        .alloc_bytes = 64000 * scale,
        .inuse_objects = 2 * scale,
        .inuse_bytes = 128 * scale,
        .block_bytes = 64};
    profile->entry_count = 2;
    profile->rate = 524288;
    profile->taken_realtime_ns = FIXTURE_TIME_NS;
    site_table_unref(table);
    return profile_seal(profile);
}

static const struct snapshot *make_snapshot(uint64_t sequence, uint64_t heap_bytes,
                                            const struct profile *profile)
{
    const uint64_t at_ns = FIXTURE_TIME_NS + (sequence - 1) * 1000000000;
    struct snapshot *building = snapshot_begin(at_ns, at_ns);
    cr_assert_not_null(building);
    building->sequence = sequence;
    building->generation = 1;
    SNAPSHOT_SET(&building->values, heap_alloc_bytes, heap_bytes);
    SNAPSHOT_SET(&building->values, heap_inuse_bytes, heap_bytes + 1000);
    SNAPSHOT_SET(&building->values, num_gc, 40 + sequence);
    SNAPSHOT_SET(&building->values, last_gc_unix, 1795394850);
    SNAPSHOT_SET(&building->values, gc_pause_total_ns, 1500000 * sequence);
    SNAPSHOT_SET(&building->values, gc_cpu_fraction, 0.25);
    SNAPSHOT_SET(&building->values, gogc_percent, -1);
    SNAPSHOT_SET(&building->values, cpu_ns, 2500000000);
    if (profile != NULL)
        building->tops = tops_new(profile, GROUP_TYPE_TAG, SNAPSHOT_TOP_MAX);
    return snapshot_seal(building);
}

static const struct target_info *make_info(const char *id, enum target_state state,
                                           const char *reason)
{
    static const struct key_value settings[] = {{"CGO_ENABLED", "0"}, {"-ldflags", "-s -w"}};
    static const struct module_dependency dependencies[] = {
        {"example.com/other", "v1.2.3", ""}, {"example.com/old", "v0.1.0", "example.com/fork@v0.2.0"}};
    static const char cmdline[] = "/bin/demo\0-listen\0:9000";
    const struct target_facts facts = {
        .id = id,
        .name = id,
        .source = SOURCE_PROCESS,
        .state = state,
        .reason = reason,
        .reason_code = state == TARGET_UP ? ERROR_NONE : ERROR_NOT_FOUND,
        .state_since_realtime_ns = FIXTURE_TIME_NS,
        .generation = 1,
        .pid = state == TARGET_UP ? 4711 : 0,
        .start_realtime_ns = FIXTURE_TIME_NS - 3600000000000,
        .exe = "/bin/demo",
        .command = "/bin/demo -listen :9000",
        .go_version = state == TARGET_UP ? "go1.27.3" : "",
        .module_path = "example.com/demo",
        .container_id = state == TARGET_UP ? "0123456789abcdef" : "",
        .pod = state == TARGET_UP ? "demo-7f9c" : "",
        .pod_uid = state == TARGET_UP ? "01234567-89ab-cdef-0123-456789abcdef" : "",
        .pod_namespace = state == TARGET_UP ? "shop" : "",
        .build_settings = settings,
        .build_setting_count = 2,
        .vcs_revision = state == TARGET_UP ? "cafe01" : "",
        .vcs_time = state == TARGET_UP ? "2026-01-02T03:04:05Z" : "",
        .vcs_modified = state == TARGET_UP ? "true" : "",
        .build_id = state == TARGET_UP ? "abc/2" : "",
        .build_generation = state == TARGET_UP ? 2 : 0,
        .previous_build_id = state == TARGET_UP ? "abc/1" : "",
        .deployed_realtime_ns = state == TARGET_UP ? FIXTURE_TIME_NS - 3600000000000 : 0,
        .dependencies = dependencies,
        .dependency_count = 2,
    };
    const struct target_info *info =
        target_info_new(&facts, cmdline, state == TARGET_UP ? sizeof(cmdline) : 0);
    cr_assert_not_null(info);
    return info;
}

struct board *fixture_empty_board(void)
{
    struct board *board = board_new(100);
    cr_assert_not_null(board);
    return board;
}

struct board *fixture_board(void)
{
    struct board *board = fixture_empty_board();
    const struct target_info *demo = make_info("demo", TARGET_UP, "");
    const struct target_info *api = make_info("api", TARGET_UP, "");
    const struct target_info *evil =
        make_info("<b>\"x\\y\"\n&\xFF", TARGET_WAITING, "no such <process>");
    const struct profile *demo_profile = fixture_profile(1);
    const struct profile *api_profile = fixture_profile(10);
    const struct snapshot *api_snapshot = make_snapshot(1, 1 << 20, api_profile);
    for (uint64_t beat = 1; beat <= 3; beat++) {
        struct error err = {0};
        const struct target_view views[] = {
            {target_info_ref(demo), make_snapshot(beat, 16384 * beat, demo_profile),
             profile_ref(demo_profile)},
            {target_info_ref(api), snapshot_ref(api_snapshot), profile_ref(api_profile)},
            {target_info_ref(evil), NULL, NULL},
        };
        cr_assert(board_publish(board, views, 3, FIXTURE_TIME_NS + beat, &err), "%s", err.message);
    }
    snapshot_unref(api_snapshot);
    profile_unref(demo_profile);
    profile_unref(api_profile);
    target_info_unref(demo);
    target_info_unref(api);
    target_info_unref(evil);
    return board;
}

void fixture_findings(struct board *board)
{
    static const struct key_value labels[] = {{"route", "/leak"}};
    static const struct evidence evidence[] = {{.function = "main.leak",
                                                .file = "/src/leak.go",
                                                .line = 41,
                                                .bytes = 8192,
                                                .objects = 8,
                                                .percent = 98.5}};
    const struct finding findings[] = {
        {.kind = FINDING_ALERT,
         .state = FINDING_FIRING,
         .severity = SEVERITY_CRITICAL,
         .id = "demo/retention/main.leak",
         .rule = "retention",
         .target = "demo",
         .message = "main.leak retains \"98.5\" % of the heap",
         .source = "retention",
         .value = 98.5,
         .labels = labels,
         .label_count = 1,
         .created_realtime_ns = FIXTURE_TIME_NS,
         .since_realtime_ns = FIXTURE_TIME_NS},
        {.kind = FINDING_ALERT,
         .state = FINDING_RESOLVED,
         .severity = SEVERITY_WARNING,
         .id = "api/heap_high",
         .rule = "heap_high",
         .target = "api",
         .message = "heap was high",
         .source = "heap",
         .value = NAN,
         .created_realtime_ns = FIXTURE_TIME_NS,
         .since_realtime_ns = FIXTURE_TIME_NS,
         .resolved_realtime_ns = FIXTURE_TIME_NS + 5000000000},
        {.kind = FINDING_SUGGESTION,
         .state = FINDING_FIRING,
         .severity = SEVERITY_INFO,
         .id = "demo/growslice/main.leak",
         .rule = "growslice",
         .target = "demo",
         .type_name = "unknown",
         .tag = "main.leak",
         .message = "append grows in main.leak",
         .source = "growslice",
         .advice = "give the slice its capacity",
         .doc = "docs/rules.md",
         .value = NAN,
         .evidence = evidence,
         .evidence_count = 1,
         .created_realtime_ns = FIXTURE_TIME_NS},
    };
    const struct finding_set *set = finding_set_new(findings, 3, 7);
    cr_assert_not_null(set);
    board_publish_findings(board, set);
}

void fixture_rules(struct board *board)
{
    static const struct rule_status rules[] = {
        {.name = "retention",
         .file = "rules/retention.lua",
         .doc = "docs/rules.md#retention",
         .state = RULE_OK,
         .evaluations = 12,
         .evaluate_ns = 1500000,
         .memory_bytes = 40000,
         .last_error = "",
         .open_findings = 1},
        {.name = "broken",
         .file = "rules/broken.lua",
         .doc = "",
         .state = RULE_FAILING,
         .evaluations = 3,
         .errors = 3,
         .last_error = "rules/broken.lua:7: boom",
         .last_error_realtime_ns = FIXTURE_TIME_NS},
    };
    const struct rules_report report = {.generation = 2,
                                        .loaded_realtime_ns = FIXTURE_TIME_NS,
                                        .reload_error = "",
                                        .count = 2,
                                        .rules = rules};
    const struct rules_report *copy = rules_report_new(&report);
    cr_assert_not_null(copy);
    board_publish_rules(board, copy);
}

/* ---- server ---- */

static void use_board(struct fixture *fixture, struct board *board)
{
    struct error err = {0};
    const struct capture_settings settings = {.dir = fixture->dir, .limits.max_files = 10};
    fixture->board = board;
    fixture->capturer = capturer_new(&settings, board, &err);
    cr_assert_not_null(fixture->capturer, "%s", err.message);
    fixture->wiring.board = board;
    fixture->wiring.capturer = fixture->capturer;
}

void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){.dir = "/tmp/goprofd-http-XXXXXX"};
    cr_assert_not_null(mkdtemp(fixture->dir));
    fixture->config = config_new();
    cr_assert_not_null(fixture->config);
    fixture->config->metrics_listen_addr = "127.0.0.1:0";
    fixture->wiring = (struct server_wiring){.config = fixture->config};
    use_board(fixture, fixture_board());
}

void fixture_use_empty_board(struct fixture *fixture)
{
    capturer_free(fixture->capturer);
    board_free(fixture->board);
    use_board(fixture, fixture_empty_board());
}

void fixture_start(struct fixture *fixture)
{
    struct error err = {0};
    cr_assert(capturer_start(fixture->capturer, &err), "%s", err.message);
    fixture->server = server_new(&fixture->wiring, &err);
    cr_assert_not_null(fixture->server, "%s", err.message);
    cr_assert(server_start(fixture->server, &err), "%s", err.message);
}

static void remove_tree(const char *dir)
{
    struct buffer command;
    buffer_init(&command, 256);
    buffer_printf(&command, "rm -rf '%s'", dir);
    cr_assert_eq(system(buffer_text(&command)), 0);
    buffer_release(&command);
}

void fixture_release(struct fixture *fixture)
{
    if (fixture->server != NULL)
        server_stop(fixture->server, 0);
    server_free(fixture->server);
    capturer_stop(fixture->capturer);
    capturer_free(fixture->capturer);
    config_free(fixture->config);
    board_free(fixture->board);
    remove_tree(fixture->dir);
}

/* ---- client ---- */

static size_t append_received(char *data, size_t size, size_t count, void *out)
{
    buffer_append(out, data, size * count);
    return size * count;
}

static char *terminated(struct buffer *buffer, size_t *length)
{
    cr_assert_not_null(buffer_text(buffer));
    char *copy = strdup(buffer_text(buffer));
    if (buffer->length > 0)
        copy = memcpy(realloc(copy, buffer->length + 1), buffer->data, buffer->length + 1);
    if (length != NULL)
        *length = buffer->length;
    buffer_release(buffer);
    return copy;
}

struct answer fixture_call(const struct fixture *fixture, const struct call *call)
{
    struct buffer body;
    struct buffer headers;
    char url[4096];
    buffer_init(&body, 64 << 20);
    buffer_init(&headers, 1 << 20);
    const unsigned port = call->port != 0 ? call->port : server_port(fixture->server);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, call->path);

    CURL *curl = curl_easy_init();
    struct curl_slist *sent = NULL;
    for (size_t i = 0; call->headers != NULL && call->headers[i] != NULL; i++)
        sent = curl_slist_append(sent, call->headers[i]);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append_received);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, (void *)&body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, append_received);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, (void *)&headers);
    if (sent != NULL)
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, sent);
    if (call->unix_path != NULL)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, call->unix_path);
    if (call->method != NULL && strcmp(call->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (call->method != NULL)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    if (call->body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)call->body_length);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body);
    }
    const CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    cr_expect(code == CURLE_OK || status != 0, "%s: %s", call->path, curl_easy_strerror(code));
    curl_slist_free_all(sent);
    curl_easy_cleanup(curl);

    struct answer answer = {.status = (int)status};
    answer.body = terminated(&body, &answer.length);
    answer.headers = terminated(&headers, NULL);
    return answer;
}

struct answer fixture_get(const struct fixture *fixture, const char *path)
{
    return fixture_call(fixture, &(struct call){.path = path});
}

void answer_release(struct answer *answer)
{
    free(answer->body);
    free(answer->headers);
    *answer = (struct answer){0};
}

bool answer_header(const struct answer *answer, const char *name, char *out, size_t size)
{
    const size_t length = strlen(name);
    for (const char *line = answer->headers; line != NULL; line = strstr(line, "\r\n")) {
        line += line == answer->headers ? 0 : 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            const char *value = line + length + 1 + strspn(line + length + 1, " ");
            (void)snprintf(out, size, "%.*s", (int)strcspn(value, "\r\n"), value);
            return true;
        }
    }
    return false;
}

int fixture_connect(const struct fixture *fixture)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(server_port(fixture->server)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_neq(fd, -1);
    cr_assert_eq(connect(fd, (const struct sockaddr *)(const void *)&address, sizeof(address)), 0);
    return fd;
}

bool fixture_read_until(int fd, char *out, size_t size, const char *part)
{
    const uint64_t ends_ns = clock_monotonic_ns() + 10 * CLOCK_NS_PER_S;
    size_t used = 0;
    out[0] = '\0';
    while (strstr(out, part) == NULL) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (used + 1 >= size || clock_monotonic_ns() >= ends_ns)
            return false;
        if (poll(&wait, 1, 100) <= 0)
            continue;
        const ssize_t n = read(fd, out + used, size - 1 - used);
        if (n <= 0)
            return false;
        used += (size_t)n;
        out[used] = '\0';
    }
    return true;
}

size_t fixture_read_all(int fd, char *out, size_t size, int timeout_ms, bool *closed)
{
    const uint64_t ends_ns = clock_monotonic_ns() + (uint64_t)timeout_ms * CLOCK_NS_PER_MS;
    size_t used = 0;
    *closed = false;
    while (used + 1 < size && !*closed) {
        const uint64_t now_ns = clock_monotonic_ns();
        if (now_ns >= ends_ns)
            break;
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, (int)((ends_ns - now_ns) / CLOCK_NS_PER_MS) + 1) <= 0)
            continue;
        const ssize_t n = read(fd, out + used, size - 1 - used);
        if (n <= 0)
            *closed = true;
        else
            used += (size_t)n;
    }
    out[used] = '\0';
    return used;
}
