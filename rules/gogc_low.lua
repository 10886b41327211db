-- gogc_low: GC takes much CPU though there is memory to spare.
--
-- Doubling GOGC about halves the CPU that GC takes and doubles the room above the live heap.  Said only where that
-- room is known to exist: a limit, and a live heap far below it.

-- Share of the CPU that GC took within the window.  The runtime's figure is that since the program started, so it is
-- taken apart: what it was at both ends, each weighed with the time it stands for.
local function recent_gc_cpu(target, window)
  local trend = target:trend("gc_cpu_fraction", window)
  local age = target.age
  if not trend or not age or trend.seconds < window / 2 or age <= trend.seconds then
    return nil
  end
  local before = age - trend.seconds
  return math.max(0, (trend.last * age - trend.first * before) / trend.seconds)
end

return {
  name = "gogc_low",
  doc = "docs/rules.md#gogc_low",
  needs = { "gc_cpu_fraction", "heap_live_bytes", "cgroup_memory_max_bytes", "gogc_percent", "num_gc", "rss_bytes" },
  for_ = "10m",
  clear_for = "5m",
  warmup = "5m",
  params = {
    min_gc_cpu = "15%",        -- of the CPU within the window
    min_gcs = "1/s",           -- a GC a second or more
    max_live = "30%",          -- of memory.max
    window = "5m",
  },
  evaluate = function(target, params)
    local limit = target.cgroup_memory_max_bytes
    local gc = recent_gc_cpu(target, params.window)
    local gcs = target:rate("num_gc", params.window)
    if gc and gcs and target.gogc_percent > 0 and gc * 100 >= params.min_gc_cpu and gcs >= params.min_gcs
      and target.heap_live_bytes < limit * params.max_live / 100 and target.rss_bytes < limit / 2 then
      suggest {
        severity = "info", value = gc * 100,
        message = string.format("GC takes %.0f%% of the CPU (%.1f a second at GOGC=%d) though the live heap is %s of %s",
          gc * 100, gcs, target.gogc_percent, format_bytes(target.heap_live_bytes), format_bytes(limit)),
        advice = string.format("Raise GOGC, for a start to %d, and set GOMEMLIMIT to 90 %% of the limit as a brake. Then look at what "
          .. "allocates most: less garbage is better than rarer collections.", target.gogc_percent * 2),
        evidence = target:sites { sort = "churn", window = params.window, limit = 3 },
      }
    end
  end,
}
