-- regexp_compile: regular expressions are compiled again and again.
--
-- Compiling parses and builds a program of many small objects, and costs thousands of times as much as a
-- match. It belongs in a variable.
--
-- Compiling what users enter is legitimate; a service does that rarely enough to stay below the rate.
local HOW = { "^regexp%.compile$", "^regexp%.Compile$", "^regexp%.MustCompile$", "^regexp/syntax%.Parse$" }

return {
  name = "regexp_compile",
  doc = "docs/rules.md#regexp_compile",
  group = "allocation",
  needs = { "profile" },
  for_ = "15m",                -- a batch is over by then
  clear_for = "5m",
  warmup = "1m",
  params = {
    min_percent = "2%",        -- of all bytes allocated in the window
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
      message = string.format("%.0f%% of all allocation (%s/s) is compiling regular expressions; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Compile once: var pattern = regexp.MustCompile(`...`) at package level, or in a sync.OnceValue (Go 1.21). "
        .. "Patterns that come from data: keep a bounded cache of the compiled ones. regexp.MatchString compiles on "
        .. "each call. For plain texts strings.Contains, Cut and HasPrefix do.",
      evidence = sites,
    }
  end,
}
