-- map_growth: maps that are filled from empty again and again, or made without their size.
--
-- runtime.mapassign allocates while a map grows, runtime.makemap when it is made.
return {
  name = "map_growth",
  doc = "docs/rules.md#map_growth",
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
    local sites = target:sites { primitive = { "runtime.mapassign", "runtime.makemap" }, sort = "churn", window = params.window, limit = 3 }
    local top = sites and sites[1]
    if not top or not sites.seconds or sites.seconds < params.min_time
      or sites.churn_per_second < params.min_rate or (sites.churn_percent or 0) < params.min_percent then
      return
    end
    suggest {
      severity = "info", value = sites.churn_percent, type_name = top.type_name, tag = top.tag,
      message = string.format("%.0f%% of all allocation (%s/s) is maps being made and growing; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Give the map its size: make(map[K]V, n). A map that is filled for each request can be kept and emptied with "
        .. "clear(m)" .. (target:go_before("1.21") == false and "" or " (Go 1.21; before it, delete in a range loop)")
        .. "; for few keys a slice is cheaper than a map.",
      evidence = sites,
    }
  end,
}
