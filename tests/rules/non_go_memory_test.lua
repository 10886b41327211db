-- non_go_memory_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/non_go_memory.lua",
  tests = {
    { name = "C memory that grows is told of", beats = 400, every = "5s", target = { age = "3h" },
      fields = { rss_part_non_go_bytes = "300MiB+1MiBx500", rss_bytes = "1GiB+1MiBx500" },
      expect = { { alert = "non_go_memory", severity = "warning", by = 300, message = "are not Go's" } } },
    { name = "large and flat is quiet", beats = 400, every = "5s", target = { age = "3h" },
      fields = { rss_part_non_go_bytes = "700MiB", rss_bytes = "1GiB" }, expect = { { quiet = true } } },
    { name = "small is quiet", beats = 400, every = "5s", target = { age = "3h" },
      fields = { rss_part_non_go_bytes = "10MiB+0.2MiBx500", rss_bytes = "1GiB" }, expect = { { quiet = true } } },
    { name = "it is over when growth stops", beats = 700, every = "5s", target = { age = "3h" },
      fields = { rss_part_non_go_bytes = "300MiB+1MiBx320 620MiB", rss_bytes = "1GiB+1MiBx320 1344MiB" },
      expect = { { alert = "non_go_memory", by = 300 }, { closed_by = 580 } } },
  },
}
