-- limit_near: memory grows towards a limit and will reach it soon.
--
-- The limit is the one with the least headroom: memory.max or memory.high of the cgroup (or of one above it), or
-- GOMEMLIMIT.  Time to it is told by the robust slope of what counts against it, so that a spike is no trend; a heap
-- that fills up to its next collection and falls back does not count as growing either.  Being close and staying
-- there is what a well-sized limit looks like: close alone is only said just below it.

return {
  name = "limit_near",
  doc = "docs/rules.md#limit_near",
  needs = { "memory_limit_bytes", "memory_limit_used_bytes", "memory_limit_headroom_bytes" },
  for_ = "15s",
  clear_for = "1m",
  warmup = "1m",               -- filling up after a start is not counted
  params = {
    warning_time = "30m",
    critical_time = "5m",
    min_used = "60%",          -- of the limit: far below it a slope says little about the day
    full = "97%",              -- used for so long that nothing is left for a spike
  },
  evaluate = function(target, params)
    local limit, used = target.memory_limit_bytes, target.memory_limit_used_bytes
    local percent = 100 * used / math.max(limit, 1)
    local left = target.time_to_limit_seconds
    local severity
    if left and percent >= params.min_used and left < params.critical_time then
      severity = "critical"
    elseif left and percent >= params.min_used and left < params.warning_time then
      severity = "warning"
    elseif percent >= params.full and not (target.gomemlimit_bytes == limit) then
      severity = "warning"
    end
    if not severity then
      return
    end
    alert {
      severity = severity, value = percent,
      message = string.format("%s of %s are used (%.0f%%), %s are left%s", format_bytes(used), format_bytes(limit), percent,
        format_bytes(target.memory_limit_headroom_bytes),
        left and " and reached in " .. format_seconds(left) or ""),
      advice = "See what grows: GET /v1/memory says what the memory consists of, the top retentions who holds it. To gain time raise the "
        .. "limit, or set GOMEMLIMIT to 90 % of it so that the GC works harder before the kernel kills.",
      evidence = target:sites { sort = "growth", window = "5m", limit = 3 },
    }
  end,
}
