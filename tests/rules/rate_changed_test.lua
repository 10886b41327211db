-- rate_changed_test: see docs/rules.md, "Tests of a rule".
local function rate(series)
  return { mem_profile_rate = series }
end

return {
  rule = "../../rules/rate_changed.lua",
  tests = {
    { name = "another rate is named at once",
      beats = 100, fields = rate("524288x20 4096"),
      expect = { { quiet_until = 20 }, { suggestion = "rate_changed", severity = "info", by = 22, message = "from 512 KiB to 4 KiB: older samples count 0.00781 times" } } },
    { name = "switching it off is named",
      beats = 100, fields = rate("524288x20 0"), expect = { { suggestion = "rate_changed", by = 22, message = "to 0: nothing new is sampled" } } },
    { name = "it is over with the process",
      beats = 300, restart_at = 100, fields = rate("524288x20 4096"), expect = { { suggestion = "rate_changed", by = 22 }, { closed_by = 170 } } },
    { name = "a program that sets its rate at the start is quiet",
      beats = 100, target = { age = "0s" }, fields = rate("524288x10 4096"), expect = { { quiet = true } } },
    { name = "profiling that is switched on later is quiet",
      beats = 100, fields = rate("0x50 524288"), expect = { { quiet = true } } },
    { name = "the same rate is quiet", beats = 100, fields = rate("524288"), expect = { { quiet = true } } },
    { name = "what is not known is quiet", beats = 100, expect = { { quiet = true } } },
  },
}
