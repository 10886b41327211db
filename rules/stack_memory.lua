-- stack_memory: goroutine stacks are a notable part of the memory.
--
-- Either there are very many goroutines (goroutine_growth tells when they leak), or some have run deep: a stack doubles when it
-- is full and shrinks by half only at a GC that finds it mostly unused.

return {
  name = "stack_memory",
  doc = "docs/rules.md#stack_memory",
  needs = { "stack_inuse_bytes", "sys_bytes", "heap_released_bytes", "goroutines" },
  for_ = "10m",
  clear_for = "5m",
  warmup = "2m",
  params = { min_percent = "15%", min_bytes = "128MiB", deep = "16KiB" },
  evaluate = function(target, params)
    local stacks, all = target.stack_inuse_bytes, target.sys_bytes - target.heap_released_bytes
    if stacks < params.min_bytes or stacks < all * params.min_percent / 100 or target.goroutines == 0 then
      return
    end
    local each = stacks / target.goroutines
    suggest {
      severity = "info", value = stacks,
      message = string.format("stacks hold %s, %.0f%% of the Go memory: %d goroutines of %s on average",
        format_bytes(stacks), 100 * stacks / math.max(all, 1), target.goroutines, format_bytes(each)),
      advice = each > params.deep and "Look for deep recursion and large arrays in frames: /debug/pprof/goroutine shows the stacks. Stacks shrink only at a GC."
        or "Bound the number of goroutines: a pool of workers or a semaphore. GET /debug/pprof/goroutine shows what they wait for.",
    }
  end,
}
