-- append_growth: slices that grow by append again and again, copying as they go.
--
-- runtime.growslice allocates a larger array each time a slice is full; making it large enough at
-- once saves the copies and the garbage.
return {
  name = "append_growth",
  doc = "docs/rules.md#append_growth",
  sources = { "process" },     -- net/http/pprof cuts off the frames that tell how memory is allocated
  group = "allocation",
  for_ = "15m",                -- a batch is over by then
  clear_for = "60s",
  params = {
    min_percent = "10%",       -- of all bytes allocated in the window
    min_rate = "1MiB/s",       -- below this nobody would notice the gain
    min_time = "10s",
    window = "1m",
  },
  evaluate = function(target, params)
    local sites = target:sites { primitive = "runtime.growslice", sort = "churn", window = params.window, limit = 3 }
    local top = sites and sites[1]
    if not top or not sites.seconds or sites.seconds < params.min_time
      or sites.churn_per_second < params.min_rate or (sites.churn_percent or 0) < params.min_percent then
      return
    end
    suggest {
      severity = "info", value = sites.churn_percent, type_name = top.type_name, tag = top.tag,
      message = string.format("%.0f%% of all allocation (%s/s) is append growing slices; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Give the slice its capacity before the loop: make([]T, 0, n), or slices.Grow; reuse a buffer with s = s[:0]. "
        .. "If n is unknown, a good guess still saves most of the copies.",
      evidence = sites,
    }
  end,
}
