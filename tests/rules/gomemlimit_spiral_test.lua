-- gomemlimit_spiral_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/gomemlimit_spiral.lua",
  tests = {
    { name = "a GC that only keeps the limit is critical", beats = 120, every = "5s", target = { age = "1h", go_version = "go1.24.0" },
      fields = { gomemlimit_bytes = "1GiB", heap_live_bytes = "980MiB", sys_bytes = "1040MiB", heap_released_bytes = "10MiB", gc_cpu_fraction = "0.01+0.0007x200" },
      expect = { { alert = "gomemlimit_spiral", severity = "critical", by = 80, message = "to stay within GOMEMLIMIT" } } },
    { name = "the same memory with little GC is quiet", beats = 120, every = "5s", target = { age = "1h", go_version = "go1.24.0" },
      fields = { gomemlimit_bytes = "1GiB", heap_live_bytes = "980MiB", sys_bytes = "1040MiB", heap_released_bytes = "10MiB", gc_cpu_fraction = "0.02" },
      expect = { { quiet = true } } },
    { name = "much GC far from the limit is another matter", beats = 120, every = "5s", target = { age = "1h", go_version = "go1.24.0" },
      fields = { gomemlimit_bytes = "4GiB", heap_live_bytes = "980MiB", sys_bytes = "1040MiB", heap_released_bytes = "10MiB", gc_cpu_fraction = "0.01+0.0007x200" },
      expect = { { quiet = true } } },
    { name = "it is over when the GC rests", beats = 240, every = "5s", target = { age = "1h", go_version = "go1.24.0" },
      fields = { gomemlimit_bytes = "1GiB", heap_live_bytes = "980MiB", sys_bytes = "1040MiB", heap_released_bytes = "10MiB", gc_cpu_fraction = "0.01+0.0007x100 0.08-0.0001x200" },
      expect = { { alert = "gomemlimit_spiral", by = 80 }, { closed_by = 180 } } },
  },
}
