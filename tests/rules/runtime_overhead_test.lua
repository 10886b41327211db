-- runtime_overhead_test: see docs/rules.md, "Tests of a rule".  A beat is five seconds.
return {
  rule = "../../rules/runtime_overhead.lua",
  tests = {
    { name = "records of stacks without end are told of", beats = 200, every = "5s",
      fields = { mspan_sys_bytes = "1MiB", mcache_sys_bytes = "1MiB", gc_sys_bytes = "8MiB", buck_hash_sys_bytes = "400MiB", sys_bytes = "2GiB", profile_sites = 900000 },
      expect = { { suggestion = "runtime_overhead-records", severity = "warning", by = 140, advice = "profstackdepth" } } },
    { name = "tables of a heap that was are told of", beats = 200, every = "5s",
      fields = { mspan_sys_bytes = "300MiB", mcache_sys_bytes = "1MiB", gc_sys_bytes = "200MiB", buck_hash_sys_bytes = "4MiB", sys_bytes = "2GiB" },
      expect = { { suggestion = "runtime_overhead-tables", severity = "info", by = 140 } } },
    { name = "ordinary ones are quiet", beats = 200, every = "5s",
      fields = { mspan_sys_bytes = "3MiB", mcache_sys_bytes = "1MiB", gc_sys_bytes = "10MiB", buck_hash_sys_bytes = "4MiB", sys_bytes = "300MiB" }, expect = { { quiet = true } } },
    { name = "another process starts anew", beats = 400, every = "5s", restart_at = 160,
      fields = { mspan_sys_bytes = "1MiB", mcache_sys_bytes = "1MiB", gc_sys_bytes = "8MiB", buck_hash_sys_bytes = "400MiBx160 2MiB", sys_bytes = "2GiB" },
      expect = { { suggestion = "runtime_overhead-records", by = 140 }, { closed_by = 300 } } },
  },
}
