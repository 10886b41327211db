-- bufio_churn: readers, writers and scanners of package bufio are made for each small piece of work.
--
-- Each has a buffer of 4 KiB (a Scanner up to 64 KiB) that is thrown away after a line or a message.
local HOW = { "^bufio%.NewReaderSize$", "^bufio%.NewWriterSize$", "^bufio%.%(%*Scanner%)%.Scan$" }

return {
  name = "bufio_churn",
  doc = "docs/rules.md#bufio_churn",
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
      message = string.format("%.0f%% of all allocation (%s/s) is making bufio readers, writers and scanners; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Keep one for each connection or file, or pool them and use Reset. For a text in memory, strings.Lines (Go "
        .. "1.24), strings.Cut or bytes.IndexByte need no buffer. Choose the size with NewReaderSize where messages "
        .. "are small.",
      evidence = sites,
    }
  end,
}
