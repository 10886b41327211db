-- forced_gc: the program calls runtime.GC again and again.
--
-- Each call stops until a whole collection is done, whatever the heap needs; mostly a profiler's "gc=1", a
-- debug.FreeOSMemory on a timer, or a habit.  Some programs do it once after loading their data, which is fine.

return {
  name = "forced_gc",
  doc = "docs/rules.md#forced_gc",
  needs = { "num_forced_gc", "num_gc" },
  for_ = "5m",
  clear_for = "10m",
  warmup = "2m",
  params = {
    min_forced = 5,            -- within the window
    min_percent = "20%",       -- of all collections of the window
    window = "10m",
  },
  evaluate = function(target, params)
    local forced, all = target:delta("num_forced_gc", params.window), target:delta("num_gc", params.window)
    local trend = target:trend("num_forced_gc", params.window)
    if forced and all and all > 0 and forced >= params.min_forced and 100 * forced / all >= params.min_percent
      and trend.seconds > params.window / 2 then
      suggest {
        severity = "info", value = forced,
        message = string.format("the program forced %d of %d collections of the last %s", forced, all, format_seconds(trend.seconds)),
        advice = "Look for runtime.GC and debug.FreeOSMemory, and for profilers that ask for /debug/pprof/heap?gc=1 (Pyroscope: "
          .. "DisableGCRuns). The runtime returns memory by itself; with a GOMEMLIMIT also in time.",
      }
    end
  end,
}
