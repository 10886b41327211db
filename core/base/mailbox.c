/* mailbox.c - a bounded queue that moves ownership of messages between threads. */
#include "core/base/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/clock.h"

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct message *oldest;
    struct message *newest;
    size_t count;
    size_t capacity;
    uint64_t dropped_messages;
    bool closed;
    int poll_fd; /* an eventfd that is 0 while the box is empty and open; -1: nobody polls */
    void (*release)(struct message *);
};

struct mailbox *mailbox_new(size_t capacity_messages, void (*release)(struct message *))
{
    struct mailbox *box = calloc(1, sizeof(*box));
    if (box == NULL)
        return NULL;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&box->arrived, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&box->lock, NULL);
    box->capacity = capacity_messages > 0 ? capacity_messages : 1;
    box->poll_fd = -1;
    box->release = release;
    return box;
}

int mailbox_poll_fd(struct mailbox *box, struct error *err)
{
    if (box->poll_fd == -1)
        box->poll_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (box->poll_fd == -1)
        (void)error_set(err, ERROR_SYSTEM, "eventfd: %s", error_errno_text(errno));
    return box->poll_fd;
}

/* Neither can fail: the counter is far from its limit, and an empty one is what the other wants. */
static void make_readable(const struct mailbox *box)
{
    if (box->poll_fd != -1)
        (void)eventfd_write(box->poll_fd, 1);
}

static void make_unreadable(const struct mailbox *box)
{
    eventfd_t count = 0;
    if (box->poll_fd != -1)
        (void)eventfd_read(box->poll_fd, &count);
}

void mailbox_free(struct mailbox *box)
{
    if (box == NULL)
        return;
    while (box->oldest != NULL) {
        struct message *message = box->oldest;
        box->oldest = message->next_;
        box->release(message);
    }
    if (box->poll_fd != -1)
        (void)close(box->poll_fd);
    pthread_cond_destroy(&box->arrived);
    pthread_mutex_destroy(&box->lock);
    free(box);
}

bool mailbox_post(struct mailbox *box, struct message *message)
{
    struct message *squeezed_out = NULL;

    pthread_mutex_lock(&box->lock);
    const bool closed = box->closed;
    if (closed) {
        squeezed_out = message;
    } else {
        if (box->count == box->capacity) {
            squeezed_out = box->oldest;
            box->oldest = squeezed_out->next_;
            box->count--;
            box->dropped_messages++;
        }
        message->next_ = NULL;
        if (box->oldest == NULL)
            box->oldest = message;
        else
            box->newest->next_ = message;
        box->newest = message;
        box->count++;
        make_readable(box);
        pthread_cond_signal(&box->arrived);
    }
    pthread_mutex_unlock(&box->lock);

    if (squeezed_out != NULL)
        box->release(squeezed_out);
    return !closed;
}

struct message *mailbox_take(struct mailbox *box, uint64_t deadline_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ns / CLOCK_NS_PER_S),
                                   .tv_nsec = (long)(deadline_ns % CLOCK_NS_PER_S)};
    pthread_mutex_lock(&box->lock);
    int waited = 0;
    while (box->oldest == NULL && !box->closed && waited == 0) {
        if (deadline_ns == UINT64_MAX)
            waited = pthread_cond_wait(&box->arrived, &box->lock);
        else
            waited = pthread_cond_timedwait(&box->arrived, &box->lock, &until);
    }
    struct message *message = box->oldest;
    if (message != NULL) {
        box->oldest = message->next_;
        box->count--;
        message->next_ = NULL;
        if (box->oldest == NULL && !box->closed)
            make_unreadable(box);
    }
    pthread_mutex_unlock(&box->lock);
    return message;
}

void mailbox_close(struct mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    box->closed = true;
    make_readable(box);
    pthread_cond_broadcast(&box->arrived);
    pthread_mutex_unlock(&box->lock);
}

bool mailbox_is_closed(struct mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    const bool closed = box->closed;
    pthread_mutex_unlock(&box->lock);
    return closed;
}

uint64_t mailbox_dropped_messages(struct mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    const uint64_t dropped = box->dropped_messages;
    pthread_mutex_unlock(&box->lock);
    return dropped;
}
