-- gogc_high: the heap may grow to nearly the container's limit before it is collected.
--
-- With a large GOGC, or none, the goal of the next GC can lie beyond what the container may take; the kernel then kills a
-- program that is mostly garbage.  A GOMEMLIMIT below the limit takes care of it.

return {
  name = "gogc_high",
  doc = "docs/rules.md#gogc_high",
  needs = { "next_gc_bytes", "heap_live_bytes", "cgroup_memory_max_bytes", "gogc_percent" },
  for_ = "5m",
  clear_for = "5m",
  warmup = "2m",
  params = {
    max_goal = "85%",          -- of memory.max
    max_live = "60%",          -- of memory.max: beyond it the live heap is the trouble, not GOGC
  },
  evaluate = function(target, params)
    local limit, set = target.cgroup_memory_max_bytes, target.gomemlimit_bytes
    if (set and set < limit) or target.heap_live_bytes > limit * params.max_live / 100 then
      return
    end
    local off = target.gogc_percent < 0
    if off or (target.gogc_percent > 100 and target.next_gc_bytes > limit * params.max_goal / 100) then
      suggest {
        severity = "warning", value = 100 * target.next_gc_bytes / limit,
        message = off and string.format("GOGC=off under a hard limit of %s, without a GOMEMLIMIT: nothing is ever collected", format_bytes(limit))
          or string.format("at GOGC=%d the next GC comes at a heap of %s, and the container may take %s",
            target.gogc_percent, format_bytes(target.next_gc_bytes), format_bytes(limit)),
        advice = string.format("Set GOMEMLIMIT=%dMiB (90 %% of the limit), or lower GOGC.", math.floor(limit * 0.9 / 1048576)),
      }
    end
  end,
}
