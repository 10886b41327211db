-- io_copy_buffers: io.Copy allocates its buffer of 32 KiB for each call.
--
-- It needs none if the source has WriteTo or the destination ReadFrom; wrapping either in a struct hides
-- these methods.
local HOW = { "^io%.copyBuffer$", "^io%.Copy$", "^net/http/httputil%.%(%*ReverseProxy%)%.copyBuffer$" }

return {
  name = "io_copy_buffers",
  doc = "docs/rules.md#io_copy_buffers",
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
      message = string.format("%.0f%% of all allocation (%s/s) is buffers of io.Copy; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Use io.CopyBuffer with a buffer from a sync.Pool of *[]byte (32 KiB), or let io.Copy see WriterTo or "
        .. "ReaderFrom: do not hide *os.File, *net.TCPConn or *bytes.Reader behind a wrapper. httputil.ReverseProxy "
        .. "takes such a pool as BufferPool.",
      evidence = sites,
    }
  end,
}
