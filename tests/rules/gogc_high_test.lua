-- gogc_high_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/gogc_high.lua",
  tests = {
    { name = "a goal beyond the container is told of", beats = 120, every = "5s", target = { age = "1h" },
      fields = { next_gc_bytes = "950MiB", heap_live_bytes = "190MiB", cgroup_memory_max_bytes = "1GiB", gogc_percent = 400 },
      expect = { { suggestion = "gogc_high", severity = "warning", by = 70, message = "GOGC=400", advice = "GOMEMLIMIT=921MiB" } } },
    { name = "so is a GC that is off", beats = 120, every = "5s", target = { age = "1h" },
      fields = { next_gc_bytes = "16GiB", heap_live_bytes = "190MiB", cgroup_memory_max_bytes = "1GiB", gogc_percent = -1 },
      expect = { { suggestion = "gogc_high", by = 70, message = "GOGC=off" } } },
    { name = "a memory limit takes care of it", beats = 120, every = "5s", target = { age = "1h" },
      fields = { next_gc_bytes = "950MiB", heap_live_bytes = "190MiB", cgroup_memory_max_bytes = "1GiB", gogc_percent = 400, gomemlimit_bytes = "900MiB" },
      expect = { { quiet = true } } },
    { name = "the default is quiet", beats = 120, every = "5s", target = { age = "1h" },
      fields = { next_gc_bytes = "900MiB", heap_live_bytes = "450MiB", cgroup_memory_max_bytes = "1GiB", gogc_percent = 100 },
      expect = { { quiet = true } } },
    { name = "it is over when the limit is set", beats = 240, every = "5s", target = { age = "1h" },
      fields = { next_gc_bytes = "950MiB", heap_live_bytes = "190MiB", cgroup_memory_max_bytes = "1GiB", gogc_percent = 400, gomemlimit_bytes = "_x100 900MiB" },
      expect = { { suggestion = "gogc_high", by = 70 }, { closed_by = 170 } } },
  },
}
