-- io_buffers_held_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
local function buffers(inuse)
  return {
    { func = "bufio.NewReaderSize", primitive = "runtime.makeslice", stack = { "main.accept", "main.main" },
      object_bytes = "64KiB", inuse = inuse },
    { func = "main.serve", primitive = "runtime.newobject", inuse = "50MiB" },
  }
end

return {
  rule = "../../rules/io_buffers_held.lua",
  tests = {
    { name = "buffers that are most of the heap are named",
      beats = 200, every = "5s", gc = 1, sites = buffers("200MiB"),
      expect = {
        { quiet_until = 118 },
        { suggestion = "io_buffers_held", severity = "info", by = 125, message = "200 MiB, 80% of the heap", evidence = "main.accept" } } },
    { name = "it is over when they are given back",
      beats = 300, every = "5s", gc = 1, sites = buffers("200MiBx200 10MiB"),
      expect = { { suggestion = "io_buffers_held", by = 125 }, { closed_by = 265 } } },
    { name = "a few connections are quiet",
      beats = 200, every = "5s", gc = 1, sites = buffers("10MiB"), expect = { { quiet = true } } },
    { name = "a rush of five minutes is quiet",
      beats = 300, every = "5s", gc = 1, sites = buffers("10MiBx50 200MiBx60 10MiB"), expect = { { quiet = true } } },
  },
}
