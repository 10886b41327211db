-- time_format_test: see docs/rules.md, "Tests of a rule".
local function sites(churn, rest)
  return {
    { func = "time.Time.Format", file = "/src/app/main.go", line = 42, primitive = "runtime.slicebytetostring",
      stack = { "main.stamp", "main.main" }, inuse = "1MiB", alloc = churn },
    { func = "main.rest", primitive = "runtime.newobject", inuse = "1MiB", alloc = rest },
  }
end

return {
  rule = "../../rules/time_format.lua",
  tests = {
    { name = "what goes on for a quarter of an hour is named",
      beats = 240, every = "5s", gc = 1, sites = sites("1MiB+50MiBx239", "1MiB+10MiBx239"),
      expect = {
        { quiet_until = 180 },
        { suggestion = "time_format", severity = "info", by = 220, message = "main.stamp (", evidence = "main.stamp" } } },
    { name = "it is over when it ends",
      beats = 500, every = "5s", gc = 1, sites = sites("1MiB+50MiBx240", "1MiB+10MiBx499"),
      expect = { { suggestion = "time_format", by = 220 }, { closed_by = 400 } } },
    { name = "a batch of ten minutes is quiet",
      beats = 500, every = "5s", gc = 1, sites = sites("1MiBx100 +50MiBx110", "1MiB+10MiBx499"),
      expect = { { quiet = true } } },
    { name = "a small share of all is quiet",
      beats = 300, every = "5s", gc = 1, sites = sites("1MiB+50MiBx299", "1MiB+10GiBx299"),
      expect = { { quiet = true } } },
    { name = "a low rate is quiet, whatever its share",
      beats = 300, every = "5s", gc = 1, sites = sites("1MiB+20KiBx299", "1MiB"),
      expect = { { quiet = true } } },
    { name = "the same elsewhere is not this",
      beats = 300, every = "5s", gc = 1,
      sites = { { func = "main.other", primitive = "runtime.newobject", inuse = "1MiB", alloc = "1MiB+50MiBx299" } },
      expect = { { quiet = true } } },
  },
}
