-- idle_not_released: much of the resident memory is free heap that was not given back.
--
-- After a spike the runtime keeps some for the next one and returns the rest over minutes; if it stays for an hour,
-- spikes come back faster than the scavenger works.  It costs nothing but memory.

return {
  name = "idle_not_released",
  doc = "docs/rules.md#idle_not_released",
  needs = { "heap_idle_bytes", "heap_released_bytes", "rss_bytes" },
  for_ = "1h",                 -- a nightly batch and what it leaves are over by then
  clear_for = "5m",
  warmup = "5m",
  params = { min_percent = "30%", min_bytes = "256MiB", window = "10m" },
  evaluate = function(target, params)
    local idle = target.heap_idle_bytes - target.heap_released_bytes
    -- What the pages themselves say counts more, where it is known: idle spans may never have been touched.
    idle = math.min(idle, target.rss_part_heap_idle_bytes or idle)
    if idle >= params.min_bytes and idle >= target.rss_bytes * params.min_percent / 100 then
      local highest = target:max("heap_inuse_bytes", params.window)
      suggest {
        severity = "info", value = idle,
        message = string.format("%s of %s resident are free heap that was not returned to the system", format_bytes(idle), format_bytes(target.rss_bytes)),
        advice = "Normal after a spike" .. (highest and " (the heap was " .. format_bytes(highest) .. " of late)" or "")
          .. ". If it lasts and memory is short set GOMEMLIMIT, which makes the runtime return memory in time, and make the spikes smaller.",
      }
    end
  end,
}
