-- go_upgrade: a newer Go would take a good part of what the GC costs.
--
-- The Green Tea collector is the default since Go 1.26 (an experiment in 1.25); its release notes tell of 10 to 40 percent
-- less GC overhead.  Said only where GC is a notable part of the CPU.

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
  name = "go_upgrade",
  doc = "docs/rules.md#go_upgrade",
  go_version = "<1.26",
  needs = { "gc_cpu_fraction" },
  for_ = "30m",
  clear_for = "30m",
  warmup = "5m",
  params = { min_gc_cpu = "10%", window = "10m" },
  evaluate = function(target, params)
    local gc = recent_gc_cpu(target, params.window)
    if gc and gc * 100 >= params.min_gc_cpu then
      suggest {
        severity = "info", value = gc * 100,
        message = string.format("GC takes %.0f%% of the CPU and the program is built with %s", gc * 100, target.go_version),
        advice = "Build it with Go 1.26 or later: its collector takes 10 to 40 % less. On 1.25 GOEXPERIMENT=greenteagc does the same.",
      }
    end
  end,
}
