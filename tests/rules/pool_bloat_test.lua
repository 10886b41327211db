-- pool_bloat_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
local function pool(inuse, object)
  return {
    { func = "main.init.func1", file = "/src/app/pool.go", line = 42, primitive = "runtime.makeslice",
      stack = { "sync.(*Pool).Get", "main.encode" }, object_bytes = object, inuse = inuse },
    { func = "main.serve", primitive = "runtime.newobject", inuse = "50MiB" },
  }
end

return {
  rule = "../../rules/pool_bloat.lua",
  tests = {
    { name = "huge objects in a pool are named",
      beats = 200, every = "5s", gc = 1, sites = pool("100MiB", "1MiB"),
      expect = {
        { quiet_until = 118 },
        { suggestion = "pool_bloat", severity = "info", by = 125, message = "main.init.func1 (/src/app/pool.go:42)",
          evidence = "main.init.func1" } } },
    { name = "it is over when the pool is emptied",
      beats = 300, every = "5s", gc = 1, sites = pool("100MiBx200 1MiB", "1MiB"),
      expect = { { suggestion = "pool_bloat", by = 125 }, { closed_by = 265 } } },
    { name = "small objects are what pools are for",
      beats = 200, every = "5s", gc = 1, sites = pool("100MiB", "4KiB"), expect = { { quiet = true } } },
    { name = "a small share of the heap is quiet",
      beats = 200, every = "5s", gc = 1, sites = pool("10MiB", "1MiB"), expect = { { quiet = true } } },
    { name = "a spike of five minutes is quiet",
      beats = 300, every = "5s", gc = 1, sites = pool("1MiBx50 100MiBx60 1MiB", "1MiB"), expect = { { quiet = true } } },
  },
}
