/* goroutine_view.h - what is used of one runtime.g, copied out of its bytes.
 *
 * Plain record; read by goroutines.c, which looks at each g twice. */
#ifndef GOPROFD_GOPROC_GOROUTINE_VIEW_H
#define GOPROFD_GOPROC_GOROUTINE_VIEW_H

#include <stdbool.h>
#include <stdint.h>

struct go_layout;
struct pclntab;

/* src/runtime/runtime2.go */
enum g_status {
    G_IDLE = 0,
    G_RUNNABLE = 1,
    G_RUNNING = 2,
    G_SYSCALL = 3,
    G_WAITING = 4,
    G_DEAD = 6,
    G_COPYSTACK = 8,
    G_PREEMPTED = 9,
    G_LEAKED = 10,
    G_DEADEXTRA = 11,
    G_SCAN_BIT = 0x1000,
};

struct goroutine_view {
    uint32_t status; /* without the scan bit */
    uint8_t wait_reason;
    uint64_t stack_lo, stack_hi;
    uint64_t sched_sp, sched_pc;
    uint64_t syscall_sp, syscall_pc;
    uint64_t id, parent_id, waitsince, gopc, startpc, lockedm, labels;
};

enum goroutine_kind {
    GOROUTINE_KIND_USER,
    GOROUTINE_KIND_SYSTEM,
    GOROUTINE_KIND_FINALIZER, /* a user's while it runs user code */
};

/* [g] holds layout->g_bytes. */
struct goroutine_view goroutine_view_of(const struct go_layout *layout, const unsigned char *g);

/* Whether two looks saw the same goroutine at the same place. */
bool goroutine_stood_still(const struct goroutine_view *a, const struct goroutine_view *b);

bool goroutine_is_alive(const struct goroutine_view *view);
bool goroutine_has_still_stack(const struct goroutine_view *view);
bool goroutine_is_in_syscall(const struct goroutine_view *view);
uint64_t goroutine_sp(const struct goroutine_view *view);
uint64_t goroutine_pc(const struct goroutine_view *view);
/* Bytes in use of its stack; 0 if it has none that makes sense. */
uint64_t goroutine_stack_bytes(const struct goroutine_view *view);

/* By the function that it was started with, as isSystemGoroutine does. */
enum goroutine_kind goroutine_kind_of(const struct pclntab *functions,
                                      const struct goroutine_view *view);

/* Since when it waits, as far as the garbage collector has noticed; [now_ns] is monotonic, as the
 * runtime's nanotime. */
uint64_t goroutine_waited_minutes(const struct goroutine_view *view, uint64_t now_ns);

#endif
