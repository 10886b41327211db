-- stack_memory_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/stack_memory.lua",
  tests = {
    { name = "many goroutines are told of", beats = 200, every = "5s", target = { age = "1h" },
      fields = { stack_inuse_bytes = "800MiB", sys_bytes = "2GiB", heap_released_bytes = "0", goroutines = 200000 },
      expect = { { suggestion = "stack_memory", severity = "info", by = 140, message = "200000 goroutines", advice = "Bound the number" } } },
    { name = "so are deep ones", beats = 200, every = "5s", target = { age = "1h" },
      fields = { stack_inuse_bytes = "800MiB", sys_bytes = "2GiB", heap_released_bytes = "0", goroutines = 1000 },
      expect = { { suggestion = "stack_memory", by = 140, advice = "deep recursion" } } },
    { name = "a small part is quiet", beats = 200, every = "5s", target = { age = "1h" },
      fields = { stack_inuse_bytes = "200MiB", sys_bytes = "8GiB", heap_released_bytes = "0", goroutines = 50000 }, expect = { { quiet = true } } },
    { name = "a peak of five minutes is quiet", beats = 200, every = "5s", target = { age = "1h" },
      fields = { stack_inuse_bytes = "10MiBx50 800MiBx60 10MiB", sys_bytes = "2GiB", heap_released_bytes = "0", goroutines = "100x50 200000x60 100" }, expect = { { quiet = true } } },
    { name = "it is over when they have ended", beats = 300, every = "5s", target = { age = "1h" },
      fields = { stack_inuse_bytes = "800MiBx160 20MiB", sys_bytes = "2GiB", heap_released_bytes = "0", goroutines = "200000x160 100" },
      expect = { { suggestion = "stack_memory", by = 140 }, { closed_by = 230 } } },
  },
}
