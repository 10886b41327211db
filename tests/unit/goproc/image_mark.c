/* image_mark.c - two images of one process differ, one image does not. */
#include "core/goproc/image_mark.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fields 26 (start of code), 28 (of the stack) and 48 (of the arguments) given. */
#define STAT(code, stack, arguments)                                                               \
    "41 (a) S (b)) S 1 41 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 0 0 1 " code " 2 " stack   \
    " 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 3 4 5 " arguments " 7 8 9 0\\n"

static struct image_mark parse(const char *line)
{
    struct image_mark mark;
    cr_assert(image_mark_parse(line, &mark), "%s", line);
    return mark;
}

Test(image_mark, differs_where_something_was_placed_elsewhere)
{
    const struct image_mark one = parse(STAT("4096", "70000", "80000"));
    cr_assert_eq(one.start_ticks, 98765);
    cr_assert_eq(one.code, 4096);
    cr_assert_eq(parse(STAT("4096", "70000", "80000")).places, one.places);
    cr_assert_neq(parse(STAT("4096", "70001", "80000")).places, one.places);
    cr_assert_neq(parse(STAT("4096", "70000", "80001")).places, one.places);
    cr_assert_neq(parse(STAT("8192", "70000", "80000")).places, one.places);
}

Test(image_mark, is_refused_where_the_kernel_does_not_tell)
{
    struct image_mark mark;
    cr_assert_not(image_mark_parse(STAT("1", "0", "0"), &mark)); /* to those who may not */
    cr_assert_not(image_mark_parse(STAT("0", "0", "0"), &mark));
    cr_assert_not(image_mark_parse(STAT("x", "0", "0"), &mark));
    cr_assert_not(image_mark_parse("41 (a) S 1 41 41 0", &mark));
    cr_assert_not(image_mark_parse("", &mark));
}

Test(image_mark, of_a_process_stays_while_it_lives)
{
    const struct procfs live = {.root = ""};
    struct image_mark before;
    struct image_mark again;
    struct image_mark after;
    int ready[2];
    char byte = 0;
    cr_assert_eq(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        (void)close(ready[0]);
        (void)pause(); /* until told */
        _exit(1);
    }
    (void)close(ready[1]);
    cr_assert(image_mark_read(&live, child, &before));
    cr_assert(image_mark_read(&live, child, &again));
    cr_assert_eq(before.places, again.places);
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_eq(read(ready[0], &byte, 1), 0);
    (void)close(ready[0]);
    cr_assert_not(image_mark_read(&live, child, &after), "it is gone");
    cr_assert(image_mark_read(&live, getpid(), &after));
    cr_assert_eq(after.code, before.code, "the child was our image");
}
