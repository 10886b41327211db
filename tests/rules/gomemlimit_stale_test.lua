-- gomemlimit_stale_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/gomemlimit_stale.lua",
  tests = {
    { name = "a limit above the container's is told of", beats = 60, every = "5s",
      fields = { gomemlimit_bytes = "2GiB", cgroup_memory_max_bytes = "1GiB" },
      expect = { { suggestion = "gomemlimit_stale", severity = "warning", by = 20, advice = "921MiB" } } },
    { name = "one far below that is reached is told of", beats = 60, every = "5s",
      fields = { gomemlimit_bytes = "400MiB", cgroup_memory_max_bytes = "2GiB", sys_bytes = "420MiB", heap_released_bytes = "20MiB" },
      expect = { { suggestion = "gomemlimit_stale", severity = "info", by = 20 } } },
    { name = "one far below that is not reached is quiet", beats = 60, every = "5s",
      fields = { gomemlimit_bytes = "400MiB", cgroup_memory_max_bytes = "2GiB", sys_bytes = "120MiB", heap_released_bytes = "20MiB" },
      expect = { { quiet = true } } },
    { name = "nine tenths are right", beats = 60, every = "5s",
      fields = { gomemlimit_bytes = "920MiB", cgroup_memory_max_bytes = "1GiB", sys_bytes = "900MiB", heap_released_bytes = "0" },
      expect = { { quiet = true } } },
    { name = "it is over when the container is resized", beats = 100, every = "5s",
      fields = { gomemlimit_bytes = "2GiB", cgroup_memory_max_bytes = "1GiBx40 3GiB" },
      expect = { { suggestion = "gomemlimit_stale", by = 20 }, { closed_by = 60 } } },
  },
}
