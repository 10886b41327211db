-- metrics_cardinality_test: see docs/rules.md, "Tests of a rule".
local function site(series)
  return { {
      func = "github.com/prometheus/client_golang/prometheus.(*metricMap).getOrCreateMetricWithLabelValues", file = "/src/app/main.go", line = 42, primitive = "runtime.newobject",
      stack = { "github.com/prometheus/client_golang/prometheus.(*MetricVec).GetMetricWithLabelValues", "main.observe" }, object_bytes = "512",
      inuse = series.inuse, alloc = series.alloc or series.inuse } }
end
local target = { go_version = "go1.24.0" }

return {
  rule = "../../rules/metrics_cardinality.lua",
  tests = {
    { name = "what grows all the time is named",
      beats = 305, gc = 1, target = target, sites = site { inuse = "2MiB+256KiBx304" },
      expect = {
        { quiet_until = 118 },
        { suggestion = "metrics_cardinality", severity = "info", by = 245, group = "leak", message = "github.com/prometheus/client_golang/prometheus.(*metricMap).getOrCreateMetricWithLabelValues (",
          evidence = "github.com/prometheus/client_golang/prometheus.(*metricMap).getOrCreateMetricWithLabelValues" } } },
    { name = "it is over when the growth ends",
      beats = 545, gc = 1, target = target, sites = site { inuse = "2MiB+256KiBx245" },
      expect = { { suggestion = "metrics_cardinality", by = 245 }, { closed_by = 445 } } },
    { name = "what filled up and stays flat is quiet",
      beats = 300, gc = 2, target = target, sites = site { inuse = "40MiB", alloc = "40MiB+1MiBx300" },
      expect = { { quiet = true } } },
    { name = "what is given back again is quiet",
      beats = 240, gc = 2, target = target,
      sites = site { inuse = "10MiB+1MiBx20 30MiB-1MiBx20 10MiB+1MiBx20 30MiB-1MiBx20 10MiB+1MiBx20 30MiB-1MiBx20 10MiB",
                     alloc = "10MiB+1MiBx600" },
      expect = { { quiet = true } } },
    { name = "the start of a process is its own matter",
      beats = 60, gc = 1, target = { go_version = "go1.24.0", age = "0s" }, sites = site { inuse = "0+1MiBx40 40MiB" },
      expect = { { quiet = true } } },
    { name = "the same growth anywhere else is not this",
      beats = 305, gc = 1, target = target,
      sites = { { func = "main.other", primitive = "runtime.newobject", inuse = "2MiB+256KiBx304" } },
      expect = { { quiet = true } } },
  },
}
