-- json_hot: encoding/json makes a large part of the garbage.
--
-- Reflection, interfaces for map[string]any, a buffer for each Marshal and strings for each key.
local HOW = { "^encoding/json%.", "^encoding/json/" }

return {
  name = "json_hot",
  doc = "docs/rules.md#json_hot",
  group = "allocation",
  needs = { "profile" },
  for_ = "15m",                -- a batch is over by then
  clear_for = "5m",
  warmup = "1m",
  params = {
    min_percent = "15%",       -- of all bytes allocated in the window
    min_rate = "4MiB/s",       -- below this nobody would notice the gain
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
      message = string.format("%.0f%% of all allocation (%s/s) is encoding/json; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Decode into structs that you reuse, not into map[string]any; leave out fields you do not need, or take "
        .. "them as json.RawMessage. Encode with json.NewEncoder(w) straight to the writer. If it is still too much, "
        .. "generated code (easyjson) or another codec (sonic, go-json; encoding/json/v2 behind GOEXPERIMENT=jsonv2 "
        .. "from Go 1.25 on) allocates a fraction.",
      evidence = sites,
    }
  end,
}
