-- heap_growth: live heap that rises across many GCs and never falls back.
--
-- Judged over the bytes that survived each GC, so a busy but healthy process, whose heap breathes
-- between cycles, does not trip it.  Slow by intent (a minute at least): retention is the quick one;
-- this one also finds growth that is spread over many sites.

local POINTS_MIN = 10          -- GC cycles
local FALLS_SHARE = 0.05       -- of the steps
local DRAWDOWN_SHARE = 0.1     -- of the growth
local TAIL_SHARE = 0.1         -- the newest third holds at least this share of the growth

local function limit_of(target)
  local cgroup, gomemlimit = target.cgroup_memory_max_bytes, target.gomemlimit_bytes
  if cgroup and gomemlimit then
    return math.min(cgroup, gomemlimit)
  end
  return cgroup or gomemlimit
end

return {
  name = "heap_growth",
  doc = "docs/rules.md#heap_growth",
  group = "leak",
  clear_for = "30s",
  params = {
    min_growth = "64KiB/s",
    min_bytes = "16MiB",       -- gained in the window ...
    min_percent = "20%",       -- ... and relative to what was live at its start
    min_time = "60s",
    warmup = "60s",            -- of the process
    window = "10m",
    critical_in = "30m",       -- critical if a limit is reached sooner than this
    start = "30m",             -- of the process: caches fill; there it must grow by ...
    start_growth = "1MiB/s",   -- ... so much, ...
    start_limit_in = "10m",    -- ... or reach its limit in so short a time
  },
  evaluate = function(target, params)
    local window = math.min(params.window, (target.age or math.huge) - params.warmup)
    if window < params.min_time then
      return
    end
    local field = target.heap_live_bytes and "heap_live_bytes" or "profile_inuse_bytes"
    local trend = target:trend(field, { window = window, per_gc = true })
    if not trend or trend.points < POINTS_MIN or trend.seconds < params.min_time then
      return
    end
    local gained = trend.last - trend.first
    if trend.per_second < params.min_growth or gained < params.min_bytes
      or gained < trend.first * params.min_percent / 100
      or trend.falls > FALLS_SHARE * trend.points or trend.drawdown > DRAWDOWN_SHARE * gained then
      return
    end
    local tail = target:trend(field, { window = trend.seconds / 3, per_gc = true })
    if not tail or tail.last - tail.first < TAIL_SHARE * gained then
      return
    end
    local limit = limit_of(target)
    local left = limit and (limit - trend.last) / trend.per_second
    if target.age and target.age < params.start and trend.per_second < params.start_growth
      and not (left and left < params.start_limit_in) then
      return
    end
    local sites = target:sites { sort = "growth", window = window, limit = 3 } or {}
    local message = string.format("live heap rose by %s in %s (%s/s) over %d GCs and never fell back",
      format_bytes(gained), format_seconds(trend.seconds), format_bytes(trend.per_second), trend.points)
    if left then
      message = message .. string.format("; at this rate it reaches its limit of %s in %s", format_bytes(limit),
        format_seconds(math.max(left, 0)))
    end
    if sites[1] then
      message = message .. "; most of it in " .. sites[1].func
    end
    alert {
      severity = left and left < params.critical_in and "critical" or "warning",
      value = trend.per_second,
      message = message,
      advice = "Compare two captured profiles with go tool pprof -base to see what grew; the evidence lists the "
        .. "sites that grew most.",
      evidence = sites,
    }
  end,
}
