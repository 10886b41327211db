-- interface_boxing: values are put into interfaces and moved to the heap for it.
--
-- Passing a number, a struct or a string as any (or another interface) allocates a copy (runtime.convT*):
-- arguments of logging and formatting, container/list and heap, sync.Map, atomic.Value. Values up to 255,
-- constants and pointers cost nothing.
return {
  name = "interface_boxing",
  doc = "docs/rules.md#interface_boxing",
  sources = { "process" },     -- net/http/pprof cuts off the frames that tell how memory is allocated
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
    local sites = target:sites { primitive = "runtime.convT*", sort = "churn", window = params.window, limit = 3 }
    local top = sites[1]
    if not top or not sites.seconds or sites.seconds < params.min_time
      or sites.churn_per_second < params.min_rate or (sites.churn_percent or 0) < params.min_percent then
      return
    end
    suggest {
      severity = "info", value = sites.churn_percent, type_name = top.type_name, tag = top.tag,
      message = string.format("%.0f%% of all allocation (%s/s) is values being put into interfaces; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "In the hot path use typed calls: generics instead of any, a typed logging API (slog.LogAttrs with "
        .. "slog.Int, zap's fields), strconv instead of fmt, pointers in sync.Map and sync.Pool. Check a level before "
        .. "the arguments of a log line are built.",
      evidence = sites,
    }
  end,
}
