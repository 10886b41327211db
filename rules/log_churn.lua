-- log_churn: logging makes a large part of the garbage.
--
-- Fields are boxed, lines are formatted, and often for a level that nobody keeps.
local HOW = {
  "^log%.",
  "^log/slog%.",
  "^go%.uber%.org/zap[./]",
  "^github%.com/rs/zerolog[./]",
  "^github%.com/sirupsen/logrus%.",
}

return {
  name = "log_churn",
  doc = "docs/rules.md#log_churn",
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
      message = string.format("%.0f%% of all allocation (%s/s) is logging; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Check the level before arguments are built (logger.Enabled, zap's Check), and use typed fields: "
        .. "slog.LogAttrs with slog.Int, zap.Int, zerolog's chain; not Sugar, Printf or WithFields maps. Sample "
        .. "repeated lines. slog.LogValuer puts off expensive values until they are written.",
      evidence = sites,
    }
  end,
}
