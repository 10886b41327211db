-- fmt_hot: formatting with package fmt makes a large part of the garbage.
--
-- fmt boxes its arguments, looks at their types at run time and builds a new string each time.
local HOW = "^fmt%."

return {
  name = "fmt_hot",
  doc = "docs/rules.md#fmt_hot",
  group = "allocation",
  needs = { "profile" },
  for_ = "15m",                -- a batch is over by then
  clear_for = "5m",
  warmup = "1m",
  params = {
    min_percent = "10%",       -- of all bytes allocated in the window
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
      message = string.format("%.0f%% of all allocation (%s/s) is formatting with fmt; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Use strconv (AppendInt, Quote) and string concatenation for simple texts, fmt.Appendf (Go 1.19) into a "
        .. "buffer that is reused, or fmt.Fprintf straight to the destination. Errors that carry no data can be "
        .. "variables (errors.New once). Do not format what is not logged.",
      evidence = sites,
    }
  end,
}
