-- fragmentation_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/fragmentation.lua",
  tests = {
    { name = "spans that are mostly holes are told of", beats = 500, every = "5s", target = { age = "3h" },
      fields = { heap_inuse_bytes = "1500MiB", heap_alloc_bytes = "500MiB" },
      expect = { { suggestion = "fragmentation", severity = "info", by = 400, message = "are lost between them" } } },
    { name = "a sawtooth that fills its spans is quiet", beats = 500, every = "5s", target = { age = "3h" }, gc = 10,
      fields = { heap_inuse_bytes = "1500MiB", heap_alloc_bytes = "500MiB 800MiB 1100MiB 1400MiB 500MiB 800MiB 1100MiB 1400MiB 500MiB 1400MiBx500" },
      expect = { { quiet = true } } },
    { name = "a small loss is quiet", beats = 500, every = "5s", target = { age = "3h" },
      fields = { heap_inuse_bytes = "100MiB", heap_alloc_bytes = "30MiB" }, expect = { { quiet = true } } },
    { name = "it is over when the spans are freed", beats = 700, every = "5s", target = { age = "3h" },
      fields = { heap_inuse_bytes = "1500MiBx420 600MiB", heap_alloc_bytes = "500MiB" },
      expect = { { suggestion = "fragmentation", by = 400 }, { closed_by = 560 } } },
  },
}
