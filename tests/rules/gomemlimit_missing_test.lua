-- gomemlimit_missing_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/gomemlimit_missing.lua",
  tests = {
    { name = "a heap that may outgrow the container is told of", beats = 300, every = "5s", target = { age = "2h", go_version = "go1.24.0" },
      fields = { cgroup_memory_max_bytes = "1GiB", rss_bytes = "800MiB", heap_live_bytes = "480MiB", heap_alloc_bytes = "700MiB", next_gc_bytes = "960MiB", gogc_percent = 100 },
      expect = { { suggestion = "gomemlimit_missing", severity = "warning", by = 140, message = "no GOMEMLIMIT", advice = "GOMEMLIMIT=921MiB" } } },
    { name = "it is over once one is set", beats = 400, every = "5s", target = { age = "2h", go_version = "go1.24.0" },
      fields = { cgroup_memory_max_bytes = "1GiB", rss_bytes = "800MiB", heap_live_bytes = "480MiB", heap_alloc_bytes = "700MiB", next_gc_bytes = "960MiB", gogc_percent = 100, gomemlimit_bytes = "_x200 900MiB" },
      expect = { { suggestion = "gomemlimit_missing", by = 140 }, { closed_by = 270 } } },
    { name = "far below the limit it does not matter", beats = 300, every = "5s", target = { age = "2h", go_version = "go1.24.0" },
      fields = { cgroup_memory_max_bytes = "4GiB", rss_bytes = "800MiB", heap_live_bytes = "480MiB", heap_alloc_bytes = "700MiB", next_gc_bytes = "960MiB", gogc_percent = 100 },
      expect = { { quiet = true } } },
    { name = "a heap that is nearly all live is another rule's matter", beats = 300, every = "5s", target = { age = "2h", go_version = "go1.24.0" },
      fields = { cgroup_memory_max_bytes = "1GiB", rss_bytes = "900MiB", heap_live_bytes = "800MiB", heap_alloc_bytes = "850MiB", next_gc_bytes = "1600MiB", gogc_percent = 100 },
      expect = { { quiet = true } } },
    { name = "a spike is quiet", beats = 300, every = "5s", target = { age = "2h", go_version = "go1.24.0" },
      fields = { cgroup_memory_max_bytes = "1GiB", rss_bytes = "200MiBx100 900MiBx10 200MiB", heap_live_bytes = "100MiB", heap_alloc_bytes = "150MiB", next_gc_bytes = "950MiB", gogc_percent = 100 },
      expect = { { quiet = true } } },
  },
}
