-- map_never_shrinks_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
local function session_map(map, entries)
  return {
    { func = "main.(*store).put", file = "/src/app/store.go", line = 42, primitive = "runtime.mapassign", inuse = map },
    { func = "main.(*store).put", file = "/src/app/store.go", line = 43, primitive = "runtime.newobject", inuse = entries },
  }
end

return {
  rule = "../../rules/map_never_shrinks.lua",
  tests = {
    { name = "a table that outlived its entries is named",
      beats = 400, every = "5s", gc = 2, sites = session_map("64MiB", "100MiBx100 5MiB"),
      expect = {
        { quiet_until = 210 },
        { suggestion = "map_never_shrinks-main.(*store).put", severity = "info", by = 230,
          message = "keeps 64 MiB", evidence = "main.(*store).put" } } },
    { name = "it is over when the map is made anew",
      beats = 500, every = "5s", gc = 2, sites = session_map("64MiBx300 2MiB", "100MiBx100 5MiB"),
      expect = { { suggestion = "map_never_shrinks-main.(*store).put", by = 230 }, { closed_by = 370 } } },
    { name = "it is over when the map fills again",
      beats = 500, every = "5s", gc = 2, sites = session_map("64MiB", "100MiBx100 5MiBx200 90MiB"),
      expect = { { suggestion = "map_never_shrinks-main.(*store).put", by = 230 }, { closed_by = 370 } } },
    { name = "a full map is quiet",
      beats = 400, every = "5s", gc = 2, sites = session_map("64MiB", "100MiB"), expect = { { quiet = true } } },
    { name = "a map of numbers is quiet",
      beats = 400, every = "5s", gc = 2, sites = session_map("64MiB", "0"), expect = { { quiet = true } } },
    { name = "a nightly dip of five minutes is quiet",
      beats = 400, every = "5s", gc = 2, sites = session_map("64MiB", "100MiBx100 5MiBx60 100MiB"), expect = { { quiet = true } } },
    { name = "a small map is quiet",
      beats = 400, every = "5s", gc = 2, sites = session_map("4MiB", "100MiBx100 5MiB"), expect = { { quiet = true } } },
    { name = "another process is another map",
      beats = 400, every = "5s", gc = 2, restart_at = 101, sites = session_map("64MiB", "100MiBx100 5MiB"),
      expect = { { quiet = true } } },
  },
}
