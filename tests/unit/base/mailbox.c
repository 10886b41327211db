/* mailbox.c - order, overflow, closing, and two threads. */
#include "core/base/mailbox.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/base/clock.h"

struct letter {
    struct message message;
    unsigned number;
};

static _Atomic unsigned released_count;
static _Atomic unsigned released_sum;

static void release_letter(struct message *message)
{
    struct letter *letter = (struct letter *)(void *)message;
    atomic_fetch_add(&released_count, 1);
    atomic_fetch_add(&released_sum, letter->number);
    free(letter);
}

static struct message *new_letter(unsigned number)
{
    struct letter *letter = calloc(1, sizeof(*letter));
    cr_assert_not_null(letter);
    letter->number = number;
    return &letter->message;
}

/* Takes one without waiting; its number, or 0 if there is none. */
static unsigned take_number(struct mailbox *box)
{
    struct letter *letter = (struct letter *)(void *)mailbox_take(box, 0);
    const unsigned number = letter != NULL ? letter->number : 0;
    free(letter);
    return number;
}

Test(mailbox, hands_out_in_the_order_of_posting)
{
    struct mailbox *box = mailbox_new(4, release_letter);
    cr_assert(mailbox_post(box, new_letter(1)));
    cr_assert(mailbox_post(box, new_letter(2)));
    cr_assert_eq(take_number(box), 1);
    cr_assert(mailbox_post(box, new_letter(3)));
    cr_assert_eq(take_number(box), 2);
    cr_assert_eq(take_number(box), 3);
    cr_assert_eq(take_number(box), 0);
    cr_assert_eq(mailbox_dropped_messages(box), 0);
    mailbox_free(box);
}

Test(mailbox, releases_and_counts_the_oldest_when_full)
{
    struct mailbox *box = mailbox_new(2, release_letter);
    for (unsigned i = 1; i <= 5; i++)
        cr_assert(mailbox_post(box, new_letter(i)));
    cr_assert_eq(mailbox_dropped_messages(box), 3);
    cr_assert_eq(released_count, 3);
    cr_assert_eq(released_sum, 1 + 2 + 3);
    cr_assert_eq(take_number(box), 4);
    cr_assert_eq(take_number(box), 5);
    mailbox_free(box);
}

Test(mailbox, of_capacity_zero_still_holds_one)
{
    struct mailbox *box = mailbox_new(0, release_letter);
    cr_assert(mailbox_post(box, new_letter(1)));
    cr_assert(mailbox_post(box, new_letter(2)));
    cr_assert_eq(take_number(box), 2);
    mailbox_free(box);
}

Test(mailbox, when_closed_refuses_posts_but_hands_out_what_is_in_it)
{
    struct mailbox *box = mailbox_new(4, release_letter);
    cr_assert(mailbox_post(box, new_letter(1)));
    mailbox_close(box);
    cr_assert(mailbox_is_closed(box));
    cr_assert_not(mailbox_post(box, new_letter(2)));
    cr_assert_eq(released_sum, 2, "the refused message is released at once");
    struct letter *letter = (struct letter *)(void *)mailbox_take(box, UINT64_MAX);
    cr_assert_eq(letter->number, 1);
    free(letter);
    cr_assert_null(mailbox_take(box, UINT64_MAX), "and then it does not wait");
    mailbox_free(box);
}

Test(mailbox, releases_what_is_left_when_freed)
{
    struct mailbox *box = mailbox_new(4, release_letter);
    mailbox_post(box, new_letter(1));
    mailbox_post(box, new_letter(2));
    mailbox_free(box);
    cr_assert_eq(released_sum, 3);
    mailbox_free(NULL);
}

Test(mailbox, waits_until_its_deadline_and_not_longer)
{
    struct mailbox *box = mailbox_new(4, release_letter);
    const uint64_t start_ns = clock_monotonic_ns();
    cr_assert_null(mailbox_take(box, start_ns + 20 * CLOCK_NS_PER_MS));
    const uint64_t waited_ns = clock_monotonic_ns() - start_ns;
    cr_assert_geq(waited_ns, 20 * CLOCK_NS_PER_MS);
    cr_assert_lt(waited_ns, 10 * CLOCK_NS_PER_S);
    mailbox_free(box);
}

static void *take_until_closed(void *argument)
{
    struct mailbox *box = argument;
    unsigned *sum = calloc(1, sizeof(*sum));
    for (;;) {
        struct letter *letter = (struct letter *)(void *)mailbox_take(box, UINT64_MAX);
        if (letter == NULL)
            return sum;
        *sum += letter->number;
        free(letter);
    }
}

Test(mailbox, closing_wakes_the_taker)
{
    struct mailbox *box = mailbox_new(4, release_letter);
    pthread_t taker;
    cr_assert_eq(pthread_create(&taker, NULL, take_until_closed, box), 0);
    clock_sleep_until_ns(clock_monotonic_ns() + 10 * CLOCK_NS_PER_MS);
    mailbox_close(box);
    void *sum = NULL;
    cr_assert_eq(pthread_join(taker, &sum), 0);
    cr_assert_eq(*(unsigned *)sum, 0);
    free(sum);
    mailbox_free(box);
}

enum { POSTERS = 2, LETTERS_EACH = 5000 };

static void *post_many(void *argument)
{
    struct mailbox *box = argument;
    for (unsigned i = 1; i <= LETTERS_EACH; i++) {
        struct letter *letter = calloc(1, sizeof(*letter));
        letter->number = i;
        mailbox_post(box, &letter->message);
    }
    return NULL;
}

Test(mailbox, between_threads_loses_nothing_that_it_does_not_count)
{
    struct mailbox *box = mailbox_new(64, release_letter);
    pthread_t taker;
    pthread_t posters[POSTERS];
    cr_assert_eq(pthread_create(&taker, NULL, take_until_closed, box), 0);
    for (unsigned i = 0; i < POSTERS; i++)
        cr_assert_eq(pthread_create(&posters[i], NULL, post_many, box), 0);
    for (unsigned i = 0; i < POSTERS; i++)
        cr_assert_eq(pthread_join(posters[i], NULL), 0);
    mailbox_close(box);
    void *sum = NULL;
    cr_assert_eq(pthread_join(taker, &sum), 0);
    const unsigned all = POSTERS * (LETTERS_EACH * (LETTERS_EACH + 1) / 2);
    cr_assert_eq(*(unsigned *)sum + released_sum, all);
    cr_assert_eq(mailbox_dropped_messages(box), released_count);
    free(sum);
    mailbox_free(box);
}

static bool polls_readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

Test(mailbox, its_descriptor_is_readable_while_there_is_a_message)
{
    struct mailbox *box = mailbox_new(2, release_letter);
    struct error err;
    const int fd = mailbox_poll_fd(box, &err);
    cr_assert_neq(fd, -1, "%s", err.message);
    cr_assert_eq(mailbox_poll_fd(box, &err), fd);
    cr_assert(!polls_readable(fd));
    for (unsigned i = 1; i <= 3; i++) /* one more than it holds */
        cr_assert(mailbox_post(box, new_letter(i)));
    cr_assert(polls_readable(fd));
    cr_assert_eq(take_number(box), 2);
    cr_assert(polls_readable(fd), "one is left");
    cr_assert_eq(take_number(box), 3);
    cr_assert(!polls_readable(fd));
    cr_assert(mailbox_post(box, new_letter(4)));
    cr_assert(polls_readable(fd));
    mailbox_free(box);
}

Test(mailbox, its_descriptor_stays_readable_once_it_is_closed)
{
    struct mailbox *box = mailbox_new(2, release_letter);
    struct error err;
    const int fd = mailbox_poll_fd(box, &err);
    cr_assert(mailbox_post(box, new_letter(1)));
    mailbox_close(box);
    cr_assert_eq(take_number(box), 1);
    cr_assert_eq(take_number(box), 0);
    cr_assert(polls_readable(fd));
    mailbox_free(box);
}
