-- compress_writers: a compressor is made for each use.
--
-- A flate writer has tables of several hundred KiB, a zstd encoder more: made for each response they are
-- most of the garbage of a service.
local HOW = {
  "^compress/flate%.NewWriter",
  "^compress/flate%.NewReader",
  "^compress/gzip%.NewReader$",
  "^compress/flate%.%(%*compressor%)%.init$",
  "^compress/flate%.newDeflateFast$",
  "^github%.com/klauspost/compress/.*%.NewWriter",
  "^github%.com/klauspost/compress/.*%.NewReader",
  "^github%.com/klauspost/compress/flate%.",
}

return {
  name = "compress_writers",
  doc = "docs/rules.md#compress_writers",
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
      message = string.format("%.0f%% of all allocation (%s/s) is making compressors and decompressors; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Keep writers in a sync.Pool and Reset them: zw := pool.Get().(*gzip.Writer); zw.Reset(w); defer "
        .. "pool.Put(zw) after Close. gzip.Reader has Reset, too. A lower level has smaller tables; do not compress "
        .. "small responses.",
      evidence = sites,
    }
  end,
}
