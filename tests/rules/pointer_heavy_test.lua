-- pointer_heavy_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
local nodes = { { func = "main.(*tree).insert", file = "/src/app/tree.go", line = 42, primitive = "runtime.newobject",
                  object_bytes = 48, inuse = "900MiB" } }

return {
  rule = "../../rules/pointer_heavy.lua",
  tests = {
    { name = "twenty million nodes, marked each second, are named",
      beats = 400, every = "5s", gc = 1, sites = nodes,
      fields = { heap_objects = 20000000, heap_alloc_bytes = "960MiB" },
      expect = {
        { quiet_until = 170 },
        { suggestion = "pointer_heavy", severity = "info", by = 260, message = "20 million objects of 50 bytes",
          evidence = "main.(*tree).insert" } } },
    { name = "it is over when they are gone",
      beats = 600, every = "5s", gc = 1, sites = nodes,
      fields = { heap_objects = "20000000x300 1000000", heap_alloc_bytes = "960MiBx300 100MiB" },
      expect = { { suggestion = "pointer_heavy", by = 260 }, { closed_by = 400 } } },
    { name = "a heap that is rarely collected is quiet",
      beats = 400, every = "5s", gc = 20, sites = nodes,
      fields = { heap_objects = 20000000, heap_alloc_bytes = "960MiB" }, expect = { { quiet = true } } },
    { name = "large objects are quiet",
      beats = 400, every = "5s", gc = 1, sites = nodes,
      fields = { heap_objects = 20000000, heap_alloc_bytes = "20GiB" }, expect = { { quiet = true } } },
    { name = "a job of ten minutes is quiet",
      beats = 400, every = "5s", gc = 1, sites = nodes,
      fields = { heap_objects = "1000000x100 20000000x120 1000000", heap_alloc_bytes = "100MiBx100 960MiBx120 100MiB" },
      expect = { { quiet = true } } },
    { name = "what is not known is quiet", beats = 300, every = "5s", gc = 1, sites = nodes, expect = { { quiet = true } } },
  },
}
