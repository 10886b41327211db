/* stream_hub.c - the last events of the board, made once for all who follow them. */
#include "http/stream_hub.h"

#include <inttypes.h>
#include <pthread.h>

#include "core/base/buffer.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "http/view_json.h"

enum {
    PAUSE_MS = 5000, /* nobody has looked so long: events are missing */
    EVENT_MAX_BYTES = 1 << 20,
    BETWEEN_MAX = 256,
};

struct stream_hub {
    pthread_mutex_t lock;
    struct board *board;
    uint64_t epoch;
    struct stream_event *events[STREAM_EVENTS_MAX]; /* a ring; event n is at n % STREAM_EVENTS_MAX */
    uint64_t oldest; /* number of the oldest; newest + 1 when there is none */
    uint64_t newest;
    size_t bytes;
    uint64_t looked_ms;
    bool primed;                     /* the two below are what was last seen */
    const struct board_page *page;   /* one hold, or NULL */
    const struct finding_set *found; /* one hold, or NULL */
    uint64_t captures;               /* in all */
};

static const char *const kind_names[] = {[STREAM_SNAPSHOT] = "snapshot",
                                         [STREAM_ALERT] = "alert",
                                         [STREAM_SUGGESTION] = "suggestion",
                                         [STREAM_CAPTURE] = "capture"};

const char *stream_kind_name(enum stream_kind kind)
{
    return kind_names[kind];
}

bool stream_kind_parse(const char *text, enum stream_kind *kind)
{
    for (size_t i = 0; i < sizeof(kind_names) / sizeof(kind_names[0]); i++) {
        if (strcmp(kind_names[i], text) == 0) {
            *kind = (enum stream_kind)i;
            return true;
        }
    }
    return false;
}

struct stream_hub *stream_hub_new(struct board *board, uint64_t epoch)
{
    struct stream_hub *hub = calloc(1, sizeof(*hub));
    if (hub == NULL)
        return NULL;
    hub->board = board;
    hub->epoch = epoch;
    hub->oldest = 1;
    (void)pthread_mutex_init(&hub->lock, NULL);
    return hub;
}

/* ---- events ---- */

void stream_event_unref(struct stream_event *event)
{
    if (event == NULL || atomic_fetch_sub_explicit(&event->refs_, 1, memory_order_acq_rel) != 1)
        return;
    free(event->text);
    free(event);
}

static struct stream_event **slot_of(struct stream_hub *hub, uint64_t number)
{
    return &hub->events[number % STREAM_EVENTS_MAX];
}

static void drop_oldest(struct stream_hub *hub)
{
    struct stream_event **slot = slot_of(hub, hub->oldest++);
    hub->bytes -= (*slot)->length;
    stream_event_unref(*slot);
    *slot = NULL;
}

static void forget_all(struct stream_hub *hub)
{
    while (hub->oldest <= hub->newest)
        drop_oldest(hub);
}

void stream_hub_free(struct stream_hub *hub)
{
    if (hub == NULL)
        return;
    forget_all(hub);
    board_page_unref(hub->page);
    finding_set_unref(hub->found);
    (void)pthread_mutex_destroy(&hub->lock);
    free(hub);
}

/* "id: E-N\nevent: KIND\ndata: " in front of the JSON to come. */
static void begin_text(struct stream_hub *hub, struct buffer *text, enum stream_kind kind)
{
    buffer_init(text, EVENT_MAX_BYTES);
    buffer_printf(text, "id: %" PRIx64 "-%" PRIu64 "\nevent: %s\ndata: ", hub->epoch,
                  hub->newest + 1, kind_names[kind]);
}

/* Takes over [text].  What cannot be kept leaves a gap, which followers are told of as of any other. */
static void add_event(struct stream_hub *hub, enum stream_kind kind, const char *target,
                      struct buffer *text)
{
    const size_t target_bytes = strlen(target) + 1;
    struct stream_event *event = calloc(1, sizeof(*event) + target_bytes);
    buffer_append_string(text, "\n\n");
    if (event == NULL || text->failed) {
        log_error(log_msg("stream: an event is too large or memory is short"));
        free(event);
        buffer_release(text);
        forget_all(hub);
        hub->oldest = ++hub->newest + 1;
        return;
    }
    char *copy = (char *)(event + 1);
    memcpy(copy, target, target_bytes);
    atomic_init(&event->refs_, 1);
    event->number = hub->newest + 1;
    event->kind = kind;
    event->target = copy;
    event->text = buffer_detach(text, &event->length);
    while (hub->oldest <= hub->newest &&
           (hub->newest - hub->oldest + 1 >= STREAM_EVENTS_MAX ||
            hub->bytes + event->length > STREAM_BYTES_MAX))
        drop_oldest(hub);
    hub->newest++;
    hub->bytes += event->length;
    *slot_of(hub, event->number) = event;
}

/* ---- what is new ---- */

static void add_snapshot(struct stream_hub *hub, const struct target_info *info,
                         const struct snapshot *snapshot)
{
    struct buffer text;
    struct json json;
    begin_text(hub, &text, STREAM_SNAPSHOT);
    json_init(&json, &text);
    view_json_snapshot(&json, info, snapshot, NULL);
    add_event(hub, STREAM_SNAPSHOT, info->facts.id, &text);
}

/* Those between two looks, when beats are more frequent than looks. */
static void add_between(struct stream_hub *hub, const struct target_view *view,
                        const struct snapshot *before)
{
    const struct snapshot *found[BETWEEN_MAX];
    bool known = false;
    const size_t count =
        board_history(hub->board, view->info->facts.id, before->realtime_ns,
                      view->snapshot->realtime_ns, found, BETWEEN_MAX, &known);
    for (size_t i = 0; i < count; i++) {
        if (found[i]->sequence > before->sequence &&
            found[i]->sequence < view->snapshot->sequence)
            add_snapshot(hub, view->info, found[i]);
        snapshot_unref(found[i]);
    }
}

static void add_snapshots(struct stream_hub *hub, const struct board_page *page)
{
    for (size_t i = 0; i < page->target_count; i++) {
        const struct target_view *view = &page->targets[i];
        const struct target_view *old = board_page_find(hub->page, view->info->facts.id);
        const struct snapshot *before = old == NULL ? NULL : old->snapshot;
        if (view->snapshot == NULL || before == view->snapshot)
            continue;
        if (before != NULL && view->snapshot->sequence > before->sequence + 1)
            add_between(hub, view, before);
        add_snapshot(hub, view->info, view->snapshot);
    }
}

static bool says_the_same(const struct finding *a, const struct finding *b)
{
    return a->kind == b->kind && a->state == b->state && a->severity == b->severity &&
           a->since_realtime_ns == b->since_realtime_ns && strcmp(a->id, b->id) == 0;
}

/* [from_end]: how far from its set's end the finding is.  What is new comes in front, so most are found
 * at once. */
static bool is_as_before(const struct finding_set *before, const struct finding *finding,
                         size_t from_end)
{
    if (from_end <= before->count &&
        says_the_same(&before->findings[before->count - from_end], finding))
        return true;
    for (size_t i = 0; i < before->count; i++) {
        if (says_the_same(&before->findings[i], finding))
            return true;
    }
    return false;
}

/* Oldest first; a set has its newest first. */
static void add_findings(struct stream_hub *hub, const struct finding_set *found)
{
    for (size_t i = found->count; i-- > 0;) {
        const struct finding *finding = &found->findings[i];
        if (is_as_before(hub->found, finding, found->count - i))
            continue;
        const bool alert = finding->kind == FINDING_ALERT;
        const enum stream_kind kind = alert ? STREAM_ALERT : STREAM_SUGGESTION;
        struct buffer text;
        struct json json;
        begin_text(hub, &text, kind);
        json_init(&json, &text);
        if (alert)
            view_json_alert(&json, finding);
        else
            view_json_suggestion(&json, finding);
        add_event(hub, kind, finding->target, &text);
    }
}

static uint64_t captures_written(const struct stream_hub *hub)
{
    return atomic_load_explicit(&board_counters(hub->board)->captures_written,
                                memory_order_relaxed);
}

/* Which target's it was, the counts of each tell. */
static void add_captures(struct stream_hub *hub, const struct board_page *page, uint64_t written)
{
    struct buffer text;
    struct json json;
    begin_text(hub, &text, STREAM_CAPTURE);
    json_init(&json, &text);
    json_begin_object(&json);
    json_member_u64(&json, "captures_written", written);
    json_key(&json, "targets");
    json_begin_object(&json);
    for (size_t i = 0; i < page->target_count; i++) {
        const char *id = page->targets[i].info->facts.id;
        json_member_u64(&json, id, board_capture_count(hub->board, id));
    }
    json_end_object(&json);
    json_end_object(&json);
    add_event(hub, STREAM_CAPTURE, "", &text);
}

static void take_in(struct stream_hub *hub)
{
    const struct board_page *page = board_page(hub->board);
    const struct finding_set *found = board_findings(hub->board);
    const uint64_t captures = captures_written(hub);
    if (hub->primed) {
        if (page->sequence != hub->page->sequence)
            add_snapshots(hub, page);
        if (found->sequence != hub->found->sequence)
            add_findings(hub, found);
        if (captures != hub->captures)
            add_captures(hub, page, captures);
    }
    board_page_unref(hub->page);
    finding_set_unref(hub->found);
    hub->page = page;
    hub->found = found;
    hub->captures = captures;
    hub->primed = true;
}

void stream_hub_look(struct stream_hub *hub, uint64_t now_ms)
{
    (void)pthread_mutex_lock(&hub->lock);
    if (hub->primed && now_ms > hub->looked_ms && now_ms - hub->looked_ms > PAUSE_MS) {
        hub->primed = false;
        forget_all(hub);
        hub->oldest = ++hub->newest + 1; /* a number that nobody gets: the gap */
    }
    hub->looked_ms = now_ms;
    take_in(hub);
    (void)pthread_mutex_unlock(&hub->lock);
}

/* ---- followers ---- */

uint64_t stream_hub_newest(struct stream_hub *hub)
{
    (void)pthread_mutex_lock(&hub->lock);
    const uint64_t newest = hub->newest;
    (void)pthread_mutex_unlock(&hub->lock);
    return newest;
}

bool stream_hub_resume(struct stream_hub *hub, const char *id, size_t length, uint64_t *number)
{
    char text[48];
    char *end = NULL;
    if (length == 0 || length >= sizeof(text))
        return false;
    memcpy(text, id, length);
    text[length] = '\0';
    const uint64_t epoch = strtoull(text, &end, 16);
    if (end == text || *end != '-' || epoch != hub->epoch || end[1] < '0' || end[1] > '9')
        return false;
    *number = strtoull(end + 1, &end, 10);
    (void)pthread_mutex_lock(&hub->lock);
    const bool there = *end == '\0' && *number <= hub->newest && *number + 1 >= hub->oldest;
    (void)pthread_mutex_unlock(&hub->lock);
    return there;
}

struct stream_event *stream_hub_next(struct stream_hub *hub, uint64_t number, bool *lost)
{
    struct stream_event *event = NULL;
    (void)pthread_mutex_lock(&hub->lock);
    *lost = number + 1 < hub->oldest;
    if (!*lost && number < hub->newest) {
        event = *slot_of(hub, number + 1);
        atomic_fetch_add_explicit(&event->refs_, 1, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&hub->lock);
    return event;
}
