-- read_all: whole bodies and files are read into memory, growing a buffer as they come.
--
-- io.ReadAll doubles its buffer until the end is reached: before Go 1.26 it allocates several times the
-- size of what it reads.
local HOW = { "^io%.ReadAll$", "^io/ioutil%.ReadAll$", "^os%.ReadFile$", "^io/ioutil%.ReadFile$" }

return {
  name = "read_all",
  doc = "docs/rules.md#read_all",
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
      message = string.format("%.0f%% of all allocation (%s/s) is reading whole bodies and files at once; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Decode from the reader instead (json.NewDecoder, bufio.Scanner, io.Copy to the destination). Where the size is known "
        .. "(Content-Length), read into a buffer of that size with io.ReadFull; reuse a bytes.Buffer with ReadFrom."
        .. (target:go_before("1.26") and " Go 1.26 halves what io.ReadAll allocates." or ""),
      evidence = sites,
    }
  end,
}
