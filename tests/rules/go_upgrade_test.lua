-- go_upgrade_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/go_upgrade.lua",
  tests = {
    { name = "much GC with an older Go is told of", beats = 600, every = "5s", target = { age = "3h", go_version = "go1.24.3" },
      fields = { gc_cpu_fraction = "0.05+0.0002x700" },
      expect = { { suggestion = "go_upgrade", severity = "info", by = 580, message = "go1.24.3" } } },
    { name = "a new Go is quiet", beats = 600, every = "5s", target = { age = "3h", go_version = "go1.26.1" },
      fields = { gc_cpu_fraction = "0.05+0.0002x700" }, expect = { { quiet = true } } },
    { name = "little GC is quiet", beats = 600, every = "5s", target = { age = "3h", go_version = "go1.24.3" },
      fields = { gc_cpu_fraction = "0.02" }, expect = { { quiet = true } } },
    { name = "ten busy minutes are quiet", beats = 800, every = "5s", target = { age = "3h", go_version = "go1.24.3" },
      fields = { gc_cpu_fraction = "0.02x100 0.02+0.0003x120 0.056-0.00002x600" }, expect = { { quiet = true } } },
  },
}
