-- tiny_heap_gc: a live heap of a few MiB is collected many times a second.
--
-- The heap's goal is never below 4 MiB (times GOGC / 100), so a program with next to nothing in use and a busy request path
-- collects without end.  A little more room costs nothing and ends it.

return {
  name = "tiny_heap_gc",
  doc = "docs/rules.md#tiny_heap_gc",
  needs = { "num_gc", "heap_live_bytes", "gogc_percent" },
  for_ = "5m",
  clear_for = "5m",
  warmup = "1m",
  params = {
    max_live = "8MiB",
    min_gcs = "10/s",
    window = "2m",
  },
  evaluate = function(target, params)
    local gcs = target:rate("num_gc", params.window)
    if gcs and gcs >= params.min_gcs and target.heap_live_bytes <= params.max_live and target.gogc_percent > 0 then
      suggest {
        severity = "info", value = gcs,
        message = string.format("a live heap of %s is collected %.0f times a second", format_bytes(target.heap_live_bytes), gcs),
        advice = "Give it room: GOGC=400 or more, with a GOMEMLIMIT as a brake. It is cheaper than making less garbage.",
        evidence = target:sites { sort = "churn", window = params.window, limit = 3 },
      }
    end
  end,
}
