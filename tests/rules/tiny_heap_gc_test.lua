-- tiny_heap_gc_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/tiny_heap_gc.lua",
  tests = {
    { name = "a small heap without rest is told of", beats = 150, every = "5s",
      fields = { num_gc = "1000+100x200", heap_live_bytes = "3MiB", gogc_percent = 100 },
      expect = { { suggestion = "tiny_heap_gc", severity = "info", by = 90, message = "20 times a second" } } },
    { name = "a large heap is another matter", beats = 150, every = "5s",
      fields = { num_gc = "1000+100x200", heap_live_bytes = "300MiB", gogc_percent = 100 }, expect = { { quiet = true } } },
    { name = "now and then is quiet", beats = 150, every = "5s",
      fields = { num_gc = "1000+10x200", heap_live_bytes = "3MiB", gogc_percent = 100 }, expect = { { quiet = true } } },
    { name = "it is over when the load is", beats = 300, every = "5s",
      fields = { num_gc = "1000+100x120 13000x200", heap_live_bytes = "3MiB", gogc_percent = 100 },
      expect = { { suggestion = "tiny_heap_gc", by = 90 }, { closed_by = 210 } } },
  },
}
