-- gomemlimit_spiral: the live heap is so close to GOMEMLIMIT that the GC hardly does anything else.
--
-- A memory limit is kept by collecting more often; when nearly all of it is live there is nothing to gain and the program
-- crawls instead of being killed (the runtime gives the GC at most half of the CPU).

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
  name = "gomemlimit_spiral",
  doc = "docs/rules.md#gomemlimit_spiral",
  go_version = ">=1.19",
  needs = { "gomemlimit_bytes", "heap_live_bytes", "gc_cpu_fraction", "sys_bytes", "heap_released_bytes" },
  for_ = "1m",
  clear_for = "2m",
  warmup = "2m",
  params = {
    near = "95%",              -- of GOMEMLIMIT, by all that counts against it
    min_gc_cpu = "25%",        -- of the CPU within the window
    window = "2m",
  },
  evaluate = function(target, params)
    local used = target.sys_bytes - target.heap_released_bytes
    local gc = recent_gc_cpu(target, params.window)
    if gc and gc * 100 >= params.min_gc_cpu and used >= target.gomemlimit_bytes * params.near / 100 then
      alert {
        severity = "critical", value = gc * 100,
        message = string.format("GC takes %.0f%% of the CPU to stay within GOMEMLIMIT (%s), of which %s are live",
          gc * 100, format_bytes(target.gomemlimit_bytes), format_bytes(target.heap_live_bytes)),
        advice = "Raise GOMEMLIMIT and the container's limit, or hold less: see the top retentions. Lowering GOGC does not help here.",
        evidence = target:sites { sort = "inuse", limit = 3 },
      }
    end
  end,
}
