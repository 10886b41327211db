-- goroutine_growth: goroutines are started and do not end.
--
-- The number must rise steadily (a straight line explains most of it), by enough to matter, and
-- stand at its high; requests that come and go, and spikes that fall back, do not count.

local STRAIGHT_SHARE = 0.6     -- robust slope x time, relative to the rise: what a line explains
local DRAWDOWN_SHARE = 0.25
local TAIL_SHARE = 0.1

return {
  name = "goroutine_growth",
  doc = "docs/rules.md#goroutine_growth",
  clear_for = "30s",
  params = {
    min_rise = 100,            -- goroutines gained in the window ...
    min_percent = "20%",       -- ... and relative to its start
    critical_count = 10000,    -- with a steady rise
    min_time = "60s",
    warmup = "30s",            -- of the process
    window = "5m",
  },
  evaluate = function(target, params)
    local window = math.min(params.window, (target.age or math.huge) - params.warmup)
    local trend = window >= params.min_time and target:trend("goroutines", window)
    if not trend or trend.seconds < params.min_time then
      return
    end
    local rise = trend.last - trend.first
    if rise < params.min_rise or rise < trend.first * params.min_percent / 100
      or trend.per_second * trend.seconds < STRAIGHT_SHARE * rise
      or trend.drawdown > DRAWDOWN_SHARE * rise then
      return
    end
    local tail = target:trend("goroutines", trend.seconds / 3)
    if not tail or tail.last - tail.first < TAIL_SHARE * rise then
      return
    end
    local advice = "See where they wait: goroutine profile, debug=2. Usual causes: a send or receive nobody answers, a "
      .. "missing context or timeout, an unclosed http response body."
    if target:go_before("1.27") == false then
      advice = advice .. " /debug/pprof/goroutineleak lists those that can never run again."
    end
    alert {
      severity = trend.last >= params.critical_count and "critical" or "warning",
      value = trend.last,
      message = string.format("goroutines rose steadily from %d to %d in %s", math.floor(trend.first),
        math.floor(trend.last), format_seconds(trend.seconds)),
      advice = advice,
      evidence = target:sites { primitive = "runtime.newproc", sort = "growth", window = window, limit = 3 },
    }
  end,
}
