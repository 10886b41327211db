/* stream_hub.h - the last events of the board, made once for all who follow them.
 *
 *   board --look--> [ e7 | e8 | ... | e42 ]      rendered, counted, in order; the oldest goes first
 *                     ^cursor      ^cursor       a follower only remembers where it is
 *
 * One for the server.  Any loop may look and read; a lock guards it, events are immutable and held.
 * Memory is bounded however many follow and however slow they are. */
#ifndef GOPROFD_HTTP_STREAM_HUB_H
#define GOPROFD_HTTP_STREAM_HUB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct board;
struct stream_hub;

enum stream_kind { STREAM_SNAPSHOT, STREAM_ALERT, STREAM_SUGGESTION, STREAM_CAPTURE };
enum { STREAM_KINDS_ALL = 0xF, STREAM_EVENTS_MAX = 2048 };
#define STREAM_BYTES_MAX ((size_t)8 << 20)
const char *stream_kind_name(enum stream_kind kind); /* "snapshot", ... */
bool stream_kind_parse(const char *text, enum stream_kind *kind);

struct stream_event {
    _Atomic uint32_t refs_;
    uint64_t number; /* 1, 2, ... */
    enum stream_kind kind;
    const char *target; /* id */
    size_t length;
    char *text; /* "id: ...\nevent: ...\ndata: ...\n\n"; not terminated */
};

struct stream_hub *stream_hub_new(struct board *board, uint64_t epoch); /* NULL without memory */
void stream_hub_free(struct stream_hub *hub); /* NULL is allowed */

/* Takes in what the board has published since the last look; cheap when nothing is new.  After a pause in
 * which nobody looked, events are missing: what was there before is then forgotten, so that nobody
 * believes to have seen everything. */
void stream_hub_look(struct stream_hub *hub, uint64_t now_ms);

/* Where a follower begins who wants only what comes: behind the newest event. */
uint64_t stream_hub_newest(struct stream_hub *hub);

/* Where a follower goes on who has seen the event called [id] ("EPOCH-NUMBER", not terminated).  False if
 * events behind it are no longer there, or it is not one of this daemon's. */
bool stream_hub_resume(struct stream_hub *hub, const char *id, size_t length, uint64_t *number);

/* The first event behind [number], for the caller to unref; NULL if there is none yet.  *[lost]: events
 * between the two are gone. */
struct stream_event *stream_hub_next(struct stream_hub *hub, uint64_t number, bool *lost);
void stream_event_unref(struct stream_event *event); /* NULL is allowed */

#endif
