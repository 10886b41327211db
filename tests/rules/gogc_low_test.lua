-- gogc_low_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/gogc_low.lua",
  tests = {
    { name = "a busy GC in a roomy container is told of", beats = 300, every = "5s", target = { age = "2h" },
      fields = { gc_cpu_fraction = "0.05+0.0003x400", heap_live_bytes = "100MiB", cgroup_memory_max_bytes = "2GiB", gogc_percent = 50, num_gc = "1000+10x400", rss_bytes = "300MiB" },
      expect = { { suggestion = "gogc_low", severity = "info", by = 250, advice = "Raise GOGC, for a start to 100" } } },
    { name = "without room it is quiet", beats = 300, every = "5s", target = { age = "2h" },
      fields = { gc_cpu_fraction = "0.05+0.0003x400", heap_live_bytes = "900MiB", cgroup_memory_max_bytes = "2GiB", gogc_percent = 50, num_gc = "1000+10x400", rss_bytes = "1500MiB" },
      expect = { { quiet = true } } },
    { name = "a GC that costs little is quiet", beats = 300, every = "5s", target = { age = "2h" },
      fields = { gc_cpu_fraction = "0.02", heap_live_bytes = "100MiB", cgroup_memory_max_bytes = "2GiB", gogc_percent = 50, num_gc = "1000+10x400", rss_bytes = "300MiB" },
      expect = { { quiet = true } } },
    { name = "a batch of three minutes is quiet", beats = 300, every = "5s", target = { age = "2h" },
      fields = { gc_cpu_fraction = "0.02x100 0.02+0.0008x36 0.048-0.0001x200", heap_live_bytes = "100MiB", cgroup_memory_max_bytes = "2GiB", gogc_percent = 50, num_gc = "1000x100 1000+10x36 1360+1x200", rss_bytes = "300MiB" },
      expect = { { quiet = true } } },
    { name = "it is over when the load is", beats = 500, every = "5s", target = { age = "2h" },
      fields = { gc_cpu_fraction = "0.05+0.0003x260 0.128-0.0001x300", heap_live_bytes = "100MiB", cgroup_memory_max_bytes = "2GiB", gogc_percent = 50, num_gc = "1000+10x260 3600x300", rss_bytes = "300MiB" },
      expect = { { suggestion = "gogc_low", by = 250 }, { closed_by = 420 } } },
  },
}
