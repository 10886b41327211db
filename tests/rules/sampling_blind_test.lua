-- sampling_blind_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
local function site(inuse, samples)
  return { { func = "main.load", file = "/src/app/load.go", line = 42, samples = samples, inuse = inuse } }
end
local heap = { heap_alloc_bytes = "100MiB" }

return {
  rule = "../../rules/sampling_blind.lua",
  tests = {
    { name = "a figure that rests on a few samples is named",
      beats = 200, every = "5s", gc = 1, fields = heap, sites = site("24MiB", 3),
      expect = {
        { quiet_until = 118 },
        { suggestion = "sampling_blind", severity = "info", by = 125, message = "main.load (/src/app/load.go:42)", evidence = "main.load" } } },
    { name = "it is over when it is small again",
      beats = 300, every = "5s", gc = 1, fields = heap, sites = site("24MiBx150 4MiB", 3),
      expect = { { suggestion = "sampling_blind", by = 125 }, { closed_by = 215 } } },
    { name = "many samples are quiet",
      beats = 200, every = "5s", gc = 1, fields = heap, sites = site("32MiB", 40),
      expect = { { quiet = true } } },
    { name = "little memory is quiet",
      beats = 200, every = "5s", gc = 1, fields = heap, sites = site("8MiB", 3), expect = { { quiet = true } } },
    { name = "a small share of the heap is quiet",
      beats = 200, every = "5s", gc = 1, fields = { heap_alloc_bytes = "1GiB" }, sites = site("24MiB", 3),
      expect = { { quiet = true } } },
  },
}
