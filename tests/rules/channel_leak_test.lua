-- channel_leak_test: see docs/rules.md, "Tests of a rule".
local function site(series)
  return { {
      func = "main.request", file = "/src/app/main.go", line = 42, primitive = "runtime.makechan",
      stack = { "main.main" }, object_bytes = "112",
      inuse = series.inuse, alloc = series.alloc or series.inuse } }
end
local target = { go_version = "go1.24.0" }

return {
  rule = "../../rules/channel_leak.lua",
  tests = {
    { name = "what grows all the time is named",
      beats = 125, gc = 1, target = target, sites = site { inuse = "2MiB+256KiBx124" },
      expect = {
        { quiet_until = 28 },
        { suggestion = "channel_leak", severity = "info", by = 65, group = "leak", message = "main.request (",
          evidence = "main.request" } } },
    { name = "it is over when the growth ends",
      beats = 365, gc = 1, target = target, sites = site { inuse = "2MiB+256KiBx65" },
      expect = { { suggestion = "channel_leak", by = 65 }, { closed_by = 265 } } },
    { name = "what filled up and stays flat is quiet",
      beats = 300, gc = 2, target = target, sites = site { inuse = "40MiB", alloc = "40MiB+1MiBx300" },
      expect = { { quiet = true } } },
    { name = "what is given back again is quiet",
      beats = 240, gc = 2, target = target,
      sites = site { inuse = "10MiB+1MiBx20 30MiB-1MiBx20 10MiB+1MiBx20 30MiB-1MiBx20 10MiB+1MiBx20 30MiB-1MiBx20 10MiB",
                     alloc = "10MiB+1MiBx600" },
      expect = { { quiet = true } } },
    { name = "the start of a process is its own matter",
      beats = 60, gc = 1, target = { go_version = "go1.24.0", age = "0s" }, sites = site { inuse = "0+1MiBx40 40MiB" },
      expect = { { quiet = true } } },
    { name = "the same growth anywhere else is not this",
      beats = 125, gc = 1, target = target,
      sites = { { func = "main.other", primitive = "runtime.newobject", inuse = "2MiB+256KiBx124" } },
      expect = { { quiet = true } } },
    { name = "channels of timers are left to the rules about timers",
      beats = 125, gc = 1, target = target,
      sites = { { func = "main.poll", primitive = "runtime.makechan", type = "chan time.Time", inuse = "2MiB+256KiBx124" } },
      expect = { { quiet = true } } },
  },
}
