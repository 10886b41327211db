/* pending.c - tickets between a loop and whoever answers for it. */
#include "http/pending.h"

#include <pthread.h>
#include <stdatomic.h>

#include <h2o.h>

#include "http/reply.h"

struct pending {
    h2o_multithread_message_t message; /* first: the queue hands out pointers to its link */
    _Atomic unsigned refs;
    struct port *port;
    h2o_req_t *req;       /* loop thread only; NULL once the request is over */
    struct pending *next; /* loop thread only: list of those that wait */
    struct pending **slot_in_list;
    int status;
    struct buffer json;
    pending_respond respond; /* instead of these two; NULL once it was called */
    void *content;
};

struct port {
    h2o_multithread_receiver_t receiver; /* first: the queue hands it to the callback */
    pthread_mutex_t lock;                /* guards [closed] against the receiver going away */
    bool closed;
    _Atomic unsigned refs;
    struct pending *waiting; /* loop thread only */
};

static void port_unref(struct port *port)
{
    if (atomic_fetch_sub_explicit(&port->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&port->lock);
    free(port);
}

static void pending_unref(struct pending *pending)
{
    if (atomic_fetch_sub_explicit(&pending->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (pending->respond != NULL)
        pending->respond(NULL, pending->content);
    buffer_release(&pending->json);
    port_unref(pending->port);
    free(pending);
}

static void unlink_waiting(struct pending *pending)
{
    if (pending->slot_in_list == NULL)
        return;
    *pending->slot_in_list = pending->next;
    if (pending->next != NULL)
        pending->next->slot_in_list = pending->slot_in_list;
    pending->next = NULL;
    pending->slot_in_list = NULL;
}

/* The request's pool is cleared: answered, or the client hung up. */
static void forget_request(void *slot)
{
    struct pending *pending = *(struct pending **)slot;
    unlink_waiting(pending);
    pending->req = NULL;
    pending_unref(pending);
}

static void answer(struct pending *pending, h2o_req_t *req)
{
    const pending_respond respond = pending->respond;
    pending->respond = NULL;
    if (respond != NULL)
        respond(req, pending->content);
    else
        reply_buffer(req, pending->status, CONTENT_TYPE_JSON, &pending->json);
}

static void on_answers(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    (void)receiver;
    while (!h2o_linklist_is_empty(messages)) {
        struct pending *pending = (struct pending *)(void *)messages->next;
        h2o_linklist_unlink(&pending->message.link);
        h2o_req_t *req = pending->req;
        if (req != NULL) {
            unlink_waiting(pending);
            pending->req = NULL;
            answer(pending, req);
        }
        pending_unref(pending);
    }
}

struct port *port_new(void)
{
    struct port *port = calloc(1, sizeof(*port));
    if (port == NULL)
        return NULL;
    atomic_init(&port->refs, 1);
    port->closed = true;
    pthread_mutex_init(&port->lock, NULL);
    return port;
}

void port_free(struct port *port)
{
    if (port != NULL)
        port_unref(port);
}

void port_open(struct port *port, h2o_context_t *context)
{
    h2o_multithread_register_receiver(context->queue, &port->receiver, on_answers);
    pthread_mutex_lock(&port->lock);
    port->closed = false;
    pthread_mutex_unlock(&port->lock);
}

void port_wake(struct port *port)
{
    pthread_mutex_lock(&port->lock);
    if (!port->closed)
        h2o_multithread_send_message(&port->receiver, NULL);
    pthread_mutex_unlock(&port->lock);
}

void port_abandon(struct port *port)
{
    while (port->waiting != NULL) {
        struct pending *pending = port->waiting;
        h2o_req_t *req = pending->req;
        unlink_waiting(pending);
        pending->req = NULL;
        reply_error(req, 503, "goprofd is stopping; the outcome of this request is not known");
    }
}

void port_close(struct port *port)
{
    pthread_mutex_lock(&port->lock);
    port->closed = true;
    pthread_mutex_unlock(&port->lock);
}

void port_detach(struct port *port)
{
    h2o_multithread_unregister_receiver(port->receiver.queue, &port->receiver);
}

struct pending *pending_begin(struct port *port, h2o_req_t *req)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    if (pending == NULL) {
        reply_error(req, 500, "out of memory");
        return NULL;
    }
    atomic_init(&pending->refs, 2);
    atomic_fetch_add_explicit(&port->refs, 1, memory_order_relaxed);
    pending->port = port;
    pending->req = req;
    buffer_init(&pending->json, 0);
    pending->next = port->waiting;
    pending->slot_in_list = &port->waiting;
    if (pending->next != NULL)
        pending->next->slot_in_list = &pending->next;
    port->waiting = pending;

    struct pending **slot = h2o_mem_alloc_shared(&req->pool, sizeof(*slot), forget_request);
    *slot = pending;
    return pending;
}

static void post(struct pending *pending)
{
    struct port *port = pending->port;

    /* The lock is held over the send: it keeps the receiver and its pipe alive. */
    pthread_mutex_lock(&port->lock);
    const bool closed = port->closed;
    if (!closed)
        h2o_multithread_send_message(&port->receiver, &pending->message);
    pthread_mutex_unlock(&port->lock);

    if (closed)
        pending_unref(pending);
}

void pending_finish(struct pending *pending, int status, struct buffer *json)
{
    pending->status = status;
    pending->json = *json;
    buffer_init(json, json->max_bytes);
    post(pending);
}

void pending_finish_with(struct pending *pending, pending_respond respond, void *content)
{
    pending->respond = respond;
    pending->content = content;
    post(pending);
}
