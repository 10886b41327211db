-- forced_gc_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/forced_gc.lua",
  tests = {
    { name = "a GC on a timer is told of", beats = 300, every = "5s", target = { age = "1h" },
      fields = { num_forced_gc = "10+1x400", num_gc = "100+2x400" },
      expect = { { suggestion = "forced_gc", severity = "info", by = 200, message = "forced" } } },
    { name = "a few after loading are quiet", beats = 300, every = "5s", target = { age = "1h" },
      fields = { num_forced_gc = "1 2 3 3", num_gc = "100+1x400" }, expect = { { quiet = true } } },
    { name = "few among many are quiet", beats = 300, every = "5s", target = { age = "1h" },
      fields = { num_forced_gc = "10+0.1x400", num_gc = "100+20x400" }, expect = { { quiet = true } } },
    { name = "it is over when it stops", beats = 600, every = "5s", target = { age = "1h" },
      fields = { num_forced_gc = "10+1x250 260x400", num_gc = "100+2x700" },
      expect = { { suggestion = "forced_gc", by = 200 }, { closed_by = 520 } } },
  },
}
