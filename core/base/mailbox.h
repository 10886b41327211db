/* mailbox.h - a bounded queue that moves ownership of messages between threads.
 *
 * Posting never waits: when the box is full the oldest message is pushed out, released
 * outside the lock with the box's own release function, and counted.  One or more posters,
 * one taker.
 *
 *   poster --post--> [oldest .. newest] --take--> taker
 *                       |
 *                       +-- pushed out when full: release(), dropped_messages++ */
#ifndef GOPROFD_BASE_MAILBOX_H
#define GOPROFD_BASE_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

/* First member of every message struct. */
struct message {
    struct message *next_;
};

struct mailbox;

/* [release] frees one message that nobody will take. */
struct mailbox *mailbox_new(size_t capacity_messages, void (*release)(struct message *));
void mailbox_free(struct mailbox *box); /* releases what is left; no other user may remain */

/* Takes over [message] in every case: a closed box releases it at once (returns false). */
bool mailbox_post(struct mailbox *box, struct message *message);

/* Waits until a message is there, the box is closed, or the monotonic [deadline_ns] has
 * passed (UINT64_MAX: no deadline).  The caller owns what is returned; NULL otherwise.
 * A closed box still hands out what is in it. */
struct message *mailbox_take(struct mailbox *box, uint64_t deadline_ns);

/* For a taker that waits for other things too: a descriptor that polls readable while there is a
 * message in the box or it is closed.  Made by the first call, before anyone posts; stays the box's.
 * -1 with the reason in [err]. */
int mailbox_poll_fd(struct mailbox *box, struct error *err);

void mailbox_close(struct mailbox *box); /* wakes the taker; later posts are refused */
bool mailbox_is_closed(struct mailbox *box);

uint64_t mailbox_dropped_messages(struct mailbox *box);

#endif
