-- limit_near_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/limit_near.lua",
  tests = {
    { name = "a limit that will be reached within minutes is critical", beats = 60, every = "5s", target = { age = "1h" },
      fields = { memory_limit_bytes = "1GiB", memory_limit_used_bytes = "900MiB", memory_limit_headroom_bytes = "124MiB", time_to_limit_seconds = 200 },
      expect = { { alert = "limit_near", severity = "critical", by = 10, message = "reached in" } } },
    { name = "one that is half an hour away is a warning, and it is over when growth stops", beats = 120, every = "5s", target = { age = "1h" },
      fields = { memory_limit_bytes = "1GiB", memory_limit_used_bytes = "800MiB", memory_limit_headroom_bytes = "224MiB", time_to_limit_seconds = "1500x50 _" },
      expect = { { alert = "limit_near", severity = "warning", by = 10 }, { closed_by = 80 } } },
    { name = "a slope far below the limit is quiet", beats = 60, every = "5s", target = { age = "1h" },
      fields = { memory_limit_bytes = "1GiB", memory_limit_used_bytes = "200MiB", memory_limit_headroom_bytes = "824MiB", time_to_limit_seconds = 250 },
      expect = { { quiet = true } } },
    { name = "close and flat is quiet", beats = 60, every = "5s", target = { age = "1h" },
      fields = { memory_limit_bytes = "1GiB", memory_limit_used_bytes = "940MiB", memory_limit_headroom_bytes = "84MiB" },
      expect = { { quiet = true } } },
    { name = "no limit, nothing said", beats = 20, every = "5s", fields = { rss_bytes = "10GiB" }, expect = { { quiet = true } } },
  },
}
