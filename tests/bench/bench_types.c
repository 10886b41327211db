/* bench_types.c FILE CALLS RUNS - what finding the types of that many call sites costs, each met for the
 * first time.
 *
 * FILE is a Go executable with that many calls that allocate (Go's own compiler has 40,000).  They are spread over
 * it evenly and asked for in an order in which neighbours are apart, as a process's buckets are. */
#include <stdlib.h>

#include "core/base/clock.h"
#include "tests/bench/bench.h"
#include "tests/support/go_file.h"

enum { CALLS_MAX = 1 << 17, ORDER_STRIDE = 7919 /* a prime */ };

/* CPU of this thread for all [wanted] calls out of [count]; counts those with a type. */
static uint64_t find_all(const struct alloc_types_source *source, const struct go_file_call *calls,
                         size_t count, size_t wanted, size_t *typed)
{
    char name[ALLOC_TYPE_NAME_BYTES];
    struct alloc_types *types = alloc_types_new(source);
    if (types == NULL)
        bench_fail("no memory");
    *typed = 0;
    const uint64_t before_ns = clock_thread_cpu_ns();
    for (size_t i = 0; i < wanted; i++) {
        const struct go_file_call *call =
            &calls[i * ORDER_STRIDE % wanted * (count / wanted)];
        *typed += alloc_types_find(types, call->callee, &call->frame, 1, 0, name, &(bool){false});
    }
    const uint64_t spent_ns = clock_thread_cpu_ns() - before_ns;
    alloc_types_free(types);
    return spent_ns;
}

int main(int argc, char **argv)
{
    static struct bench_series first_time;
    struct error err = {0};
    struct go_file file;
    size_t count, typed = 0;

    if (argc != 4)
        bench_fail("usage: bench_types FILE CALLS RUNS");
    const size_t wanted = (size_t)bench_number(argv[2], "CALLS", 1, CALLS_MAX);
    const size_t runs = (size_t)bench_number(argv[3], "RUNS", 1, BENCH_RUNS_MAX);
    if (!go_file_open(&file, argv[1], &err))
        bench_fail("%s", err.message);
    struct go_file_call *calls = go_file_calls(&file, CALLS_MAX, &count);
    if (calls == NULL || count < wanted)
        bench_fail("%s has only %zu calls that allocate", argv[1], calls != NULL ? count : 0);
    const struct alloc_types_source source = go_file_types(&file);
    for (size_t i = 0; i < runs; i++)
        bench_add(&first_time, (double)find_all(&source, calls, count, wanted, &typed) /
                                   (double)CLOCK_NS_PER_MS);
    printf("  %zu of the file's %zu calls that allocate, %zu with a type\n", wanted, count, typed);
    bench_print("goprofd: CPU to find their types for the first time", "ms", &first_time);
    free(calls);
    go_file_close(&file);
    return 0;
}
