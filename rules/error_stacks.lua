-- error_stacks: stacks are recorded for errors that happen all the time.
--
-- pkg/errors and cockroachdb/errors walk and keep the stack each time an error is made or wrapped;
-- debug.Stack formats it. That is for faults, not for "not found".
local HOW = {
  "^github%.com/pkg/errors%.callers$",
  "^github%.com/cockroachdb/errors/withstack%.",
  "^github%.com/go%-errors/errors%.",
  "^runtime/debug%.Stack$",
}

return {
  name = "error_stacks",
  doc = "docs/rules.md#error_stacks",
  group = "allocation",
  needs = { "profile" },
  for_ = "15m",                -- a batch is over by then
  clear_for = "5m",
  warmup = "1m",
  params = {
    min_percent = "3%",        -- of all bytes allocated in the window
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
      message = string.format("%.0f%% of all allocation (%s/s) is recording stacks of errors; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Make expected outcomes variables (var ErrNotFound = errors.New(\"not found\")) and wrap with "
        .. "fmt.Errorf(\"...: %w\", err), which records no stack. Keep stacks for what a person will look at, and wrap "
        .. "only once on the way up.",
      evidence = sites,
    }
  end,
}
