-- metrics_cardinality: a metric gets ever more label values.
--
-- Each new combination of label values is a time series that client_golang and OpenTelemetry keep until the
-- process ends. User ids, URLs or error texts as labels grow without bound, here and in the monitoring that
-- stores them.
--
-- The label values of a service are met within its first minutes: so the growth must go on for two.
local HOW = {
  "^github%.com/prometheus/client_golang/prometheus%.%(%*metricMap%)%.getOrCreate",
  "^github%.com/prometheus/client_golang/prometheus%.%(%*MetricVec%)%.",
  "^go%.opentelemetry%.io/otel/sdk/metric/internal/aggregate%.",
}

return {
  name = "metrics_cardinality",
  doc = "docs/rules.md#metrics_cardinality",
  group = "leak",
  needs = { "profile" },
  warmup = "1m",
  clear_for = "1m",
  params = {
    min_bytes = "4MiB",        -- gained by one site ...
    min_time = "2m",           -- ... in this time or more, all along and to the last
    min_gcs = 4,               -- GCs that found more than the one before
    window = "10m",
  },
  evaluate = function(target, params)
    local sites = target:sites { frame = HOW, sort = "growth", window = params.window, limit = 3 }
    for _, site in ipairs(sites) do
      local rise = target:rising(site, {
        window = params.window, min_time = params.min_time, min_bytes = params.min_bytes, min_gcs = params.min_gcs,
      })
      if rise then
        suggest {
          severity = "info", value = rise.per_second, type_name = site.type_name, tag = site.tag,
          message = string.format("time series of metrics pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Take unbounded values out of the labels: the route instead of the path, a class instead of an error "
          .. "text, no ids. Count series with curl /metrics | cut -d'{' -f1 | sort | uniq -c. What is no longer needed "
          .. "goes with DeleteLabelValues; OpenTelemetry has a cardinality limit (OTEL_GO_X_CARDINALITY_LIMIT) and "
          .. "views that drop attributes.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
