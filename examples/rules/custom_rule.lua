-- goroutines_per_heap: many goroutines on a small heap.
--
-- An example of a rule of your own.  Put the file into rules_dir, `goprofd -t -c FILE` checks it,
-- and SIGHUP (or POST /v1/rules/reload) loads it into the running daemon.
--
-- What a rule can do and see is in docs/rules.md.  In short: `target` has the fields of a snapshot
-- (nil where the source does not know one), alert{} says what holds now (it is closed when the rule
-- no longer says it), suggest{} gives advice, and there is no io, no os and no global variable.
return {
  name = "goroutines_per_heap",
  doc = "docs/rules.md",

  -- Each of these can be overridden in config.lua:
  --   rules = { goroutines_per_heap = { min_goroutines = 500 } }
  params = {
    min_goroutines = 1000,
    max_heap_per_goroutine = "8KiB",
  },

  evaluate = function(target, params)
    local goroutines, heap = target.goroutines, target.heap_alloc_bytes
    if not goroutines or not heap or goroutines < params.min_goroutines then
      return
    end
    local heap_per_goroutine = heap // goroutines
    if heap_per_goroutine < params.max_heap_per_goroutine then
      alert {
        id = "goroutines_per_heap",
        severity = "warning",
        value = goroutines,
        message = string.format("%d goroutines with %d bytes of heap each: are they all waiting?",
                                goroutines, heap_per_goroutine),
      }
    end
  end,
}
