-- non_go_memory: memory that Go did not allocate is large and grows.
--
-- C libraries through cgo, mmap, or threads: the garbage collector neither sees nor frees it, and no heap profile shows it.
-- The part is measured page by page where goprofd may look; without that it is what the runtime does not account for.

return {
  name = "non_go_memory",
  doc = "docs/rules.md#non_go_memory",
  needs = { "rss_part_non_go_bytes", "rss_bytes" },
  for_ = "10m",
  clear_for = "10m",
  warmup = "10m",
  params = { min_percent = "20%", min_bytes = "256MiB", min_growth = "32MiB", window = "10m" },
  evaluate = function(target, params)
    local trend = target:trend("rss_part_non_go_bytes", params.window)
    local part = target.rss_part_non_go_bytes
    if trend and trend.seconds > params.window / 2 and part >= params.min_bytes
      and part >= target.rss_bytes * params.min_percent / 100
      and trend.last - trend.first >= params.min_growth and trend.falls <= trend.rises / 4 and trend.per_second > 0 then
      alert {
        severity = "warning", value = part,
        message = string.format("%s of %s resident are not Go's, %s more than %s ago", format_bytes(part), format_bytes(target.rss_bytes),
          format_bytes(trend.last - trend.first), format_seconds(trend.seconds)),
        advice = "Look at what calls C or mmap: free what C.malloc and C.CString made, close what a library opened; with glibc MALLOC_ARENA_MAX=2 "
          .. "keeps many threads from keeping many arenas. A heap profile does not show any of it.",
      }
    end
  end,
}
