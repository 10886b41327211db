-- buffer_growth: bytes.Buffer and strings.Builder grow from empty, copying as they go.
--
-- Each time one is full, a buffer of twice the size is made and all is copied; about half of the bytes are
-- thrown away at once.
--
-- Writing a lot into a buffer that was made large enough, or is reused, allocates nothing and is not seen
-- here.
local HOW = {
  "^bytes%.growSlice$",
  "^bytes%.%(%*Buffer%)%.grow$",
  "^bytes%.%(%*Buffer%)%.Grow$",
  "^strings%.%(%*Builder%)%.",
}

return {
  name = "buffer_growth",
  doc = "docs/rules.md#buffer_growth",
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
      message = string.format("%.0f%% of all allocation (%s/s) is buffers and builders growing; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Say the size first: buf.Grow(n), or bytes.NewBuffer(make([]byte, 0, n)). Reuse one with buf.Reset(), from "
        .. "a sync.Pool where several goroutines need it (put back only what is not huge). Write straight to the "
        .. "io.Writer where the text is not needed as a whole.",
      evidence = sites,
    }
  end,
}
