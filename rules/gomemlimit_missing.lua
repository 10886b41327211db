-- gomemlimit_missing: the container has a hard limit that the Go runtime does not know of.
--
-- Without GOMEMLIMIT the heap may grow to twice the live heap (GOGC=100) whatever the limit is, and the kernel kills what the
-- garbage collector could have freed.  Said only where that would matter: the memory has been high, and a part of it is
-- garbage or room for garbage, not live data.

return {
  name = "gomemlimit_missing",
  doc = "docs/rules.md#gomemlimit_missing",
  go_version = ">=1.19",       -- the first with a memory limit
  needs = { "cgroup_memory_max_bytes", "rss_bytes", "heap_live_bytes", "next_gc_bytes" },
  sources = { "process" },
  for_ = "10m",
  clear_for = "5m",
  warmup = "5m",
  params = {
    min_used = "60%",          -- of memory.max, in nineteen of twenty samples of ten minutes
    window = "10m",
  },
  evaluate = function(target, params)
    local limit = target.cgroup_memory_max_bytes
    if target.gomemlimit_bytes or (target.gogc_percent or 100) < 0 then
      return                   -- a limit is set; or the GC is off, which is another rule's matter
    end
    local usual = target:percentile("rss_bytes", params.window, 95)
    -- What the runtime may take at its next collection, beside what is not heap at all.
    local others = math.max(target.rss_bytes - (target.heap_alloc_bytes or target.heap_live_bytes), 0)
    local peak = others + target.next_gc_bytes
    if usual and usual >= params.min_used / 100 * limit and peak > limit * 0.9 and target.heap_live_bytes < limit * 0.7 then
      suggest {
        severity = "warning", value = 100 * usual / limit,
        message = string.format("no GOMEMLIMIT under a hard limit of %s: %s are used and the next GC comes only at a heap of %s",
          format_bytes(limit), format_bytes(usual), format_bytes(target.next_gc_bytes)),
        advice = string.format("Set GOMEMLIMIT=%dMiB (90 %% of the limit; leave more where cgo or mmap take memory too), so that the GC "
          .. "runs before the kernel kills. Keep GOGC as it is.", math.floor(limit * 0.9 / 1048576)),
      }
    end
  end,
}
