-- leak_slope_test: see docs/rules.md, "Tests of a rule".  A beat is ten seconds, a step sixty beats.
local rest = { func = "main.serve", primitive = "runtime.newobject", inuse = "200MiB" }
local function leak(inuse)
  return { { func = "main.remember", file = "/src/app/session.go", line = 42, inuse = inuse }, rest }
end

return {
  rule = "../../rules/leak_slope.lua",
  tests = {
    { name = "forty MiB an hour are named after seven steps",
      beats = 700, every = "10s", gc = 3, sites = leak("40MiB+120KiBx699"),
      expect = {
        { quiet_until = 360 },
        { alert = "leak_slope-unknown-main.remember", severity = "warning", by = 450, group = "leak",
          message = "main.remember (/src/app/session.go:42)", evidence = "main.remember" } } },
    { name = "a sawtooth whose lows rise is named too",
      beats = 700, every = "10s", gc = 1,
      sites = leak { "40MiB+1MiBx30 43MiB+1MiBx30 46MiB+1MiBx30 49MiB+1MiBx30 52MiB+1MiBx30 55MiB+1MiBx30",
                     "58MiB+1MiBx30 61MiB+1MiBx30 64MiB+1MiBx30 67MiB+1MiBx30 70MiB+1MiBx30 73MiB+1MiBx30",
                     "76MiB+1MiBx30 79MiB+1MiBx30 82MiB+1MiBx30 85MiB+1MiBx30 88MiB+1MiBx30 91MiB+1MiBx30" },
      expect = { { alert = "leak_slope-unknown-main.remember", by = 500 } } },
    { name = "it is over when the growth ends",
      beats = 900, every = "10s", gc = 3, sites = leak("40MiB+120KiBx500"),
      expect = { { alert = "leak_slope-unknown-main.remember", by = 450 }, { closed_by = 800 } } },
    { name = "a sawtooth is quiet",
      beats = 1200, every = "10s", gc = 1,
      sites = leak { "40MiB+1MiBx99 40MiB+1MiBx99 40MiB+1MiBx99 40MiB+1MiBx99 40MiB+1MiBx99 40MiB+1MiBx99",
                     "40MiB+1MiBx99 40MiB+1MiBx99 40MiB+1MiBx99 40MiB+1MiBx99 40MiB+1MiBx99 40MiB+1MiBx99" },
      expect = { { quiet = true } } },
    { name = "a cache that fills ever more slowly is quiet",
      beats = 900, every = "10s", gc = 3,
      sites = leak { "20MiB+400KiBx60 +250KiBx60 +160KiBx60 +100KiBx60 +60KiBx60 +40KiBx60 +25KiBx60 +15KiBx60 +10KiBx60 +5KiBx60" },
      expect = { { quiet = true } } },
    { name = "a busier hour is quiet",
      beats = 500, every = "10s", gc = 3, sites = leak("40MiB+120KiBx499"),
      fields = { total_alloc_bytes = { "0+1MiBx60 +2MiBx60 +3MiBx60 +4MiBx60 +5MiBx60 +6MiBx60 +7MiBx60 +8MiBx60 +9MiBx60" } },
      expect = { { quiet = true } } },
    { name = "a tenth of a percent an hour is quiet",
      beats = 700, every = "10s", gc = 3, sites = leak("400MiB+2KiBx699"),
      expect = { { quiet = true } } },
    { name = "the start of a process is its own matter",
      beats = 400, every = "10s", gc = 3, target = { age = "0s" }, sites = leak("40MiB+120KiBx399"),
      expect = { { quiet = true } } },
    { name = "a new process starts anew",
      beats = 600, every = "10s", gc = 3, restart_at = 300, sites = leak("40MiB+120KiBx599"),
      expect = { { quiet = true } } },
    { name = "what retention names is left to it",
      beats = 700, every = "10s", gc = 3,
      sites = { { func = "main.remember", inuse = "40MiB+1MiBx699" } }, fields = { heap_alloc_bytes = "50MiB+1MiBx699" },
      expect = { { quiet = true } } },
  },
}
