-- byte_string_copy: text is converted between []byte and string, and copied each time.
--
-- A conversion copies unless the compiler sees that it need not (map lookups m[string(b)], comparisons,
-- range, concatenation).
return {
  name = "byte_string_copy",
  doc = "docs/rules.md#byte_string_copy",
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
    local sites = target:sites { primitive = {
  "runtime.slicebytetostring",
  "runtime.stringtoslicebyte",
  "runtime.slicerunetostring",
  "runtime.stringtoslicerune",
}, sort = "churn", window = params.window, limit = 3 }
    local top = sites[1]
    if not top or not sites.seconds or sites.seconds < params.min_time
      or sites.churn_per_second < params.min_rate or (sites.churn_percent or 0) < params.min_percent then
      return
    end
    suggest {
      severity = "info", value = sites.churn_percent, type_name = top.type_name, tag = top.tag,
      message = string.format("%.0f%% of all allocation (%s/s) is conversion between []byte and string; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Stay with one of the two: many functions of package strings have a twin in bytes, io.Writer takes []byte "
        .. "and io.WriteString strings, and strconv.Append* write numbers into a []byte. A lookup m[string(b)] and a "
        .. "comparison string(a) == string(b) do not allocate. Use unsafe.String only for what is never changed.",
      evidence = sites,
    }
  end,
}
