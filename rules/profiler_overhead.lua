-- profiler_overhead: profilers inside the program make a notable part of its garbage.
--
-- Each profile that runtime/pprof writes symbolizes all stacks and compresses the result, and agents that
-- send deltas keep two of them. Often it is asked for more often than anybody looks.
local HOW = {
  "^runtime/pprof%.",
  "^net/http/pprof%.",
  "^github%.com/grafana/pyroscope%-go",
  "^gopkg%.in/DataDog/dd%-trace%-go%.v1/profiler%.",
  "^github%.com/DataDog/dd%-trace%-go/v2/profiler%.",
}

return {
  name = "profiler_overhead",
  doc = "docs/rules.md#profiler_overhead",
  group = "allocation",
  needs = { "profile" },
  for_ = "15m",                -- a batch is over by then
  clear_for = "5m",
  warmup = "1m",
  params = {
    min_percent = "5%",        -- of all bytes allocated in the window
    min_rate = "256KiB/s",     -- below this nobody would notice the gain
    min_time = "1m",           -- of the window that must have been seen
    window = "5m",
  },
  evaluate = function(target, params)
    local sites = target:sites { frame = HOW, sort = "churn", window = params.window, limit = 3 }
    local top = sites[1]
    if not top or not sites.seconds or sites.seconds < params.min_time
      or sites.churn_per_second < params.min_rate or (sites.churn_percent or 0) < params.min_percent then
      return
    end
    suggest {
      severity = "info", value = sites.churn_percent, type_name = top.type_name, tag = top.tag,
      message = string.format("%.0f%% of all allocation (%s/s) is writing profiles inside the program; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Profile less often (a heap profile each minute is plenty), or drop the heap profiles of the agent: goprofd "
        .. "reads the same data from outside, without a GC and without allocating here. For Pyroscope set "
        .. "DisableGCRuns.",
      evidence = sites,
    }
  end,
}
