-- runtime_overhead: the runtime's own tables are large against the heap they describe.
--
-- Tables of spans and GC bitmaps grow with the number of spans and never shrink; profiling records grow with the number of
-- distinct stacks and are never freed (golang/go#69590: recursion in a parser can make gigabytes of them).

return {
  name = "runtime_overhead",
  doc = "docs/rules.md#runtime_overhead",
  needs = { "mspan_sys_bytes", "mcache_sys_bytes", "gc_sys_bytes", "buck_hash_sys_bytes", "sys_bytes" },
  for_ = "10m",
  clear_for = "10m",
  warmup = "2m",
  params = { max_records = "100MiB", max_tables = "20%", min_tables = "256MiB" },
  evaluate = function(target, params)
    local records = target.buck_hash_sys_bytes
    local tables = target.mspan_sys_bytes + target.mcache_sys_bytes + target.gc_sys_bytes
    if records >= params.max_records then
      suggest {
        id = "runtime_overhead-records", severity = "warning", value = records,
        message = string.format("the runtime's records of allocation stacks take %s (%s sites)", format_bytes(records), target.profile_sites or "?"),
        advice = "Recursive code makes a new stack with each depth. Cut stacks: GODEBUG=profstackdepth=32 (Go 1.23 and later), or raise "
          .. "runtime.MemProfileRate. The records are freed only when the process ends.",
      }
    end
    if tables >= params.min_tables and tables >= target.sys_bytes * params.max_tables / 100 then
      suggest {
        id = "runtime_overhead-tables", severity = "info", value = tables,
        message = string.format("tables of spans and GC bitmaps take %s of %s obtained from the system", format_bytes(tables), format_bytes(target.sys_bytes)),
        advice = "The heap was much larger once, or consists of very many spans. The tables do not shrink; restart after the peak, or make the peak smaller.",
      }
    end
  end,
}
