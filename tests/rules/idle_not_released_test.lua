-- idle_not_released_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/idle_not_released.lua",
  tests = {
    { name = "free heap that stays is told of", beats = 900, every = "5s", target = { age = "2h" },
      fields = { heap_idle_bytes = "900MiB", heap_released_bytes = "100MiB", rss_bytes = "1200MiB", heap_inuse_bytes = "300MiB" },
      expect = { { suggestion = "idle_not_released", severity = "info", by = 800, message = "800 MiB of" } } },
    { name = "what goes within the hour is quiet", beats = 900, every = "5s", target = { age = "2h" },
      fields = { heap_idle_bytes = "900MiB", heap_released_bytes = "100MiBx600 880MiB", rss_bytes = "1200MiBx600 400MiB" }, expect = { { quiet = true } } },
    { name = "a small part is quiet", beats = 900, every = "5s", target = { age = "2h" },
      fields = { heap_idle_bytes = "400MiB", heap_released_bytes = "100MiB", rss_bytes = "4GiB" }, expect = { { quiet = true } } },
    { name = "what was never touched is quiet", beats = 900, every = "5s", target = { age = "2h" },
      fields = { heap_idle_bytes = "900MiB", heap_released_bytes = "100MiB", rss_bytes = "1200MiB", rss_part_heap_idle_bytes = "10MiB" }, expect = { { quiet = true } } },
    { name = "it is over when it was returned", beats = 1000, every = "5s", target = { age = "2h" },
      fields = { heap_idle_bytes = "900MiB", heap_released_bytes = "100MiBx830 880MiB", rss_bytes = "1200MiBx830 400MiB" },
      expect = { { suggestion = "idle_not_released", by = 800 }, { closed_by = 920 } } },
  },
}
