-- leak_rate: one site takes memory fast, whatever its share of the heap.
--
-- retention asks for a large share, which in a large heap takes long to reach; a site that gained tens of MiB within minutes, GC by GC
-- and without giving anything back, is worth a name at once.
--
-- Not to be mistaken for it: the first ten minutes of a process; what jumps and stays (a batch that was read, a table that was
-- loaded); what breathes.  What retention names is left to it.
return {
  name = "leak_rate",
  doc = "docs/rules.md#leak_rate",
  group = "leak",
  needs = { "profile" },
  warmup = "10m",
  clear_for = "1m",
  params = {
    min_bytes = "24MiB",       -- gained by one site ...
    min_time = "30s",          -- ... in this time or more, all along and to the last, ...
    window = "3m",             -- ... but not longer than this
    min_gcs = 3,               -- GCs that found more than the one before
  },
  evaluate = function(target, params)
    local sites = target:sites { sort = "growth", window = params.window, limit = 3, min_bytes = params.min_bytes }
    for _, site in ipairs(sites or {}) do
      local rise = target:rising(site, {
        window = params.window, min_time = params.min_time, min_bytes = params.min_bytes, min_gcs = params.min_gcs,
      })
      local heap = target.heap_alloc_bytes
      local share = heap and heap > 0 and 100 * site.inuse_bytes / heap or 0
      if rise and share < config.memory_spike_threshold_percent then
        alert {
          id = "leak_rate-" .. site.func, severity = "warning", value = rise.per_second,
          type_name = site.type_name, tag = site.tag,
          message = string.format("%s (%s:%d) takes %s/s: %s more than %s ago, %s now, and still growing", site.func, site.file,
            site.line, format_bytes(rise.per_second), format_bytes(rise.last - rise.first), format_seconds(rise.seconds),
            format_bytes(site.inuse_bytes)),
          advice = "See who keeps what this function allocates: a map or slice that is only added to, a channel nobody reads, goroutines that do not end. "
            .. "go tool pprof -base of two captured profiles shows the callers.",
          evidence = sites,
        }
      end
    end
  end,
}
