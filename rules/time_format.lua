-- time_format: formatting times makes a notable part of the garbage.
--
-- Time.Format makes a string for each call; log lines and keys built from times do it a million times for
-- the same second.
local HOW = { "^time%.Time%.Format$", "^time%.Time%.String$", "^time%.Time%.GoString$" }

return {
  name = "time_format",
  doc = "docs/rules.md#time_format",
  group = "allocation",
  needs = { "profile" },
  for_ = "15m",                -- a batch is over by then
  clear_for = "5m",
  warmup = "1m",
  params = {
    min_percent = "5%",        -- of all bytes allocated in the window
    min_rate = "1MiB/s",       -- below this nobody would notice the gain
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
      message = string.format("%.0f%% of all allocation (%s/s) is formatting times; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Append to a buffer that is reused: t.AppendFormat(buf[:0], layout). Keep the formatted text of the present "
        .. "second, or store t.Unix() and format when a person reads it.",
      evidence = sites,
    }
  end,
}
