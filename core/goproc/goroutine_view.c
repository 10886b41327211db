/* goroutine_view.c - decodes a runtime.g and judges it.
 *
 * (type g, src/runtime/runtime2.go; isSystemGoroutine, traceback.go: Go 1.19 to 1.27.) */
#include "core/goproc/goroutine_view.h"

#include <stddef.h>
#include <string.h>

#include "core/goproc/go_layout.h"
#include "core/goproc/stack_walk.h"

#define STACK_SPAN_MAX_BYTES (UINT64_C(1) << 40)
#define NS_PER_MINUTE UINT64_C(60000000000)

static uint64_t u64_at(const unsigned char *bytes, uint32_t offset)
{
    uint64_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

struct goroutine_view goroutine_view_of(const struct go_layout *layout, const unsigned char *g)
{
    uint32_t status;
    memcpy(&status, g + layout->g_status, sizeof(status));
    return (struct goroutine_view){
        .status = status & ~(uint32_t)G_SCAN_BIT,
        .wait_reason = g[layout->g_waitreason],
        .stack_lo = u64_at(g, GO_G_STACK_LO),
        .stack_hi = u64_at(g, GO_G_STACK_HI),
        .sched_sp = u64_at(g, GO_G_SCHED_SP),
        .sched_pc = u64_at(g, GO_G_SCHED_PC),
        .syscall_sp = u64_at(g, layout->g_syscallsp),
        .syscall_pc = u64_at(g, layout->g_syscallpc),
        .id = u64_at(g, layout->g_id),
        .parent_id = layout->g_parent_id == GO_LAYOUT_ABSENT ? 0 : u64_at(g, layout->g_parent_id),
        .waitsince = u64_at(g, layout->g_waitsince),
        .gopc = u64_at(g, layout->g_gopc),
        .startpc = u64_at(g, layout->g_startpc),
        .lockedm = u64_at(g, layout->g_lockedm),
        .labels = u64_at(g, layout->g_labels),
    };
}

/* waitsince is written by the garbage collector while the goroutine stands still. */
bool goroutine_stood_still(const struct goroutine_view *a, const struct goroutine_view *b)
{
    return a->status == b->status && a->id == b->id && a->sched_sp == b->sched_sp &&
           a->sched_pc == b->sched_pc && a->syscall_sp == b->syscall_sp &&
           a->syscall_pc == b->syscall_pc && a->stack_lo == b->stack_lo &&
           a->stack_hi == b->stack_hi && a->labels == b->labels && a->startpc == b->startpc &&
           a->wait_reason == b->wait_reason;
}

bool goroutine_is_alive(const struct goroutine_view *view)
{
    return view->status != G_IDLE && view->status != G_DEAD && view->status != G_DEADEXTRA;
}

bool goroutine_has_still_stack(const struct goroutine_view *view)
{
    return view->status == G_RUNNABLE || view->status == G_SYSCALL || view->status == G_WAITING ||
           view->status == G_PREEMPTED || view->status == G_LEAKED;
}

bool goroutine_is_in_syscall(const struct goroutine_view *view)
{
    return view->syscall_sp != 0;
}

uint64_t goroutine_sp(const struct goroutine_view *view)
{
    return goroutine_is_in_syscall(view) ? view->syscall_sp : view->sched_sp;
}

uint64_t goroutine_pc(const struct goroutine_view *view)
{
    return goroutine_is_in_syscall(view) ? view->syscall_pc : view->sched_pc;
}

uint64_t goroutine_stack_bytes(const struct goroutine_view *view)
{
    const uint64_t sp = goroutine_sp(view);
    if (sp % 8 != 0 || sp < view->stack_lo || sp >= view->stack_hi ||
        view->stack_hi - view->stack_lo > STACK_SPAN_MAX_BYTES)
        return 0;
    return view->stack_hi - sp;
}

/* System goroutines. */

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

enum goroutine_kind goroutine_kind_of(const struct pclntab *functions,
                                      const struct goroutine_view *view)
{
    static const char *const users[] = {"runtime.main", "runtime.corostart",
                                        "runtime.handleAsyncEvent"};
    static const char *const finalizers[] = {"runtime.runfinq", "runtime.runFinalizers",
                                             "runtime.runCleanups"};
    const char *name;
    uint64_t entry;

    if (!stack_walk_function(functions, view->startpc, &name, &entry) ||
        strncmp(name, "runtime.", 8) != 0 ||
        is_one_of(name, users, sizeof(users) / sizeof(users[0])))
        return GOROUTINE_KIND_USER;
    return is_one_of(name, finalizers, sizeof(finalizers) / sizeof(finalizers[0]))
               ? GOROUTINE_KIND_FINALIZER
               : GOROUTINE_KIND_SYSTEM;
}

uint64_t goroutine_waited_minutes(const struct goroutine_view *view, uint64_t now_ns)
{
    if ((view->status != G_WAITING && view->status != G_SYSCALL) || view->waitsince == 0 ||
        view->waitsince > now_ns)
        return 0;
    return (now_ns - view->waitsince) / NS_PER_MINUTE;
}
