-- leak_rate_test: see docs/rules.md, "Tests of a rule".
local fields = { heap_alloc_bytes = "1GiB" }
local function sites(inuse, alloc)
  return {
    { func = "main.remember", file = "/src/app/audit.go", line = 42, primitive = "runtime.growslice", inuse = inuse, alloc = alloc or inuse },
    { func = "main.cache", primitive = "runtime.mapassign", inuse = "700MiB" },
  }
end

return {
  rule = "../../rules/leak_rate.lua",
  tests = {
    { name = "a MiB a second in a large heap is named within a minute",
      beats = 120, gc = 8, fields = fields, sites = sites("1MiBx20 +1MiBx100"),
      expect = {
        { quiet_until = 48 },
        { alert = "leak_rate-main.remember", severity = "warning", by = 80, group = "leak", value = "1MiB",
          message = "main.remember (/src/app/audit.go:42) takes 1 MiB/s", evidence = "main.remember" } } },
    { name = "it is over when it ends",
      beats = 300, gc = 4, fields = fields, sites = sites("1MiB+1MiBx80"),
      expect = { { alert = "leak_rate-main.remember", by = 80 }, { closed_by = 230 } } },
    { name = "what jumps and stays is quiet",
      beats = 300, gc = 4, fields = fields, sites = sites("1MiBx50 81MiB"), expect = { { quiet = true } } },
    { name = "what breathes is quiet",
      beats = 300, gc = 2, fields = fields,
      sites = sites("10MiB+2MiBx20 50MiB-2MiBx20 10MiB+2MiBx20 50MiB-2MiBx20 10MiB+2MiBx20 50MiB-2MiBx20 10MiB", "10MiB+2MiBx300"),
      expect = { { quiet = true } } },
    { name = "slow growth is for others",
      beats = 400, gc = 4, fields = fields, sites = sites("1MiB+64KiBx399"), expect = { { quiet = true } } },
    { name = "a large share is retention's",
      beats = 120, gc = 4, fields = { heap_alloc_bytes = "100MiB" }, sites = sites("60MiB+1MiBx119"), expect = { { quiet = true } } },
    { name = "a start is its own matter",
      beats = 300, gc = 4, target = { age = "0s" }, fields = fields, sites = sites("1MiB+1MiBx299"), expect = { { quiet = true } } },
  },
}
