-- retention: one type and tag holds a large share of the heap and keeps taking more.
--
-- A large share alone is no fault: a cache that filled and stays flat is doing its job.  So the
-- entry must also have grown over several GC cycles, still be growing, and stand at a new high: what
-- fell back before (a batch, a sawtooth) will fall back again.
--
-- The shares are goprof-optimizer's: memory_spike_threshold_percent and
-- high_retention_threshold_percent of the config.  Judged as of the last GC, so a leak shows one or
-- two cycles late.
--
-- In the first half hour of a process growth is what caches do: there it must be fast, or end at a limit soon.

local HEAD_SHARE = 0.1           -- the first third of the observed time holds this share of the growth,
local TAIL_SHARE = 0.2           -- the last third this: it went on all the time and has not stopped
local DRAWDOWN_SHARE = 0.2       -- it never gave back more than this share of what it took
local FALLS_SHARE = 0.15         -- of the steps; sampling makes a steady rise stumble

local ADVICE = {
  ["runtime.mapassign"] = "A map keeps its memory after delete. Bound it (LRU or TTL), delete what is done, "
    .. "and recreate the map now and then if it was much larger once.",
  ["runtime.makemap"] = "Maps made here stay reachable. Find the cache, registry or session table that holds "
    .. "them and remove entries when they are done.",
  ["runtime.growslice"] = "A slice is appended to and never cut. Bound it or drop the front by copying: "
    .. "s = s[n:] keeps the whole backing array alive (slices.Clone the rest).",
  ["runtime.makeslice"] = "Buffers made here stay reachable. Keep a copy of the part that is needed "
    .. "(bytes.Clone, slices.Clone) instead of a sub-slice, and bound what a pool or cache may keep.",
  ["runtime.concatstrings"] = "Strings built here stay reachable. Look for a map key, log buffer or cache that "
    .. "collects them without limit.",
  ["runtime.newproc"] = "Goroutines started here do not end. Give each a context or a close of its channel.",
}
local ADVICE_BY_TYPE = {
  ["[]uint8"] = "Byte slices stay reachable. A sub-slice pins its whole buffer: keep bytes.Clone(part), and bound "
    .. "what a pool or cache may keep.",
  ["string"] = "Strings stay reachable. A substring pins the whole text it was cut from: keep "
    .. "strings.Clone(part), and bound caches and map keys.",
}
local ADVICE_DEFAULT = "Find who still points at it: a global map or slice without a bound, a cache without "
  .. "eviction, a channel nobody reads, a goroutine that never ends."

local function grows(target, entry, window, params)
  local growth = target:growth(entry, window)
  if not growth or growth.rises < params.min_rises or growth.seconds < params.min_time then
    return nil
  end
  local gained = growth.last - growth.first
  if gained < params.min_growth or growth.falls > FALLS_SHARE * growth.points then
    return nil
  end
  local later = target:growth(entry, growth.seconds * 2 / 3)
  local tail = target:growth(entry, growth.seconds / 3)
  if not later or later.first - growth.first < HEAD_SHARE * gained
    or not tail or tail.last - tail.first < TAIL_SHARE * gained then
    return nil
  end
  return growth
end

-- A short window finds a leak early, a long one finds a slow leak, or one in a program that rarely
-- collects; so windows of all sizes are tried, the shortest first.
local function leak(target, entry, longest, params)
  local whole = target:growth(entry, longest)
  if not whole or whole.drawdown > DRAWDOWN_SHARE * (whole.last - whole.min) then
    return nil
  end
  local window = params.min_time * 1.2
  while window < longest do
    local growth = grows(target, entry, window, params)
    if growth then
      return growth
    end
    window = window * 2
  end
  return grows(target, entry, longest, params)
end

-- Whether growth in the start of a process is more than caches that fill.
local function is_pressing(target, growth, params)
  local headroom = target.memory_limit_headroom_bytes
  return growth.per_second >= params.start_growth
    or headroom and headroom / math.max(growth.per_second, 1) < params.start_limit_in
end

local function describe(entry, growth)
  local what = format_bytes(entry.bytes)
  if entry.type_name ~= "unknown" then
    what = what .. " of " .. entry.type_name
  end
  if entry.tag ~= entry.func then
    what = what .. " for " .. entry.tag
  end
  return string.format("%s (%s:%d) retains %s: %.0f%% of the heap, %s more than %s ago and still growing",
    entry.func, entry.file, entry.line, what, entry.percent,
    format_bytes(growth.last - growth.first), format_seconds(growth.seconds))
end

return {
  name = "retention",
  doc = "docs/rules.md#retention",
  group = "leak",
  params = {
    warning_percent = config.memory_spike_threshold_percent,
    critical_percent = config.high_retention_threshold_percent,
    min_bytes = "8MiB",        -- an entry smaller than this is nobody's problem
    min_growth = "4MiB",       -- gained within the window
    min_rises = 4,             -- GC cycles that found more than the one before
    min_time = "10s",          -- from the first to the last of them
    warmup = "5s",             -- of the process: filling up after a start is not counted
    window = config.retention_window,
    start = "30m",             -- of the process: there it must grow by ...
    start_growth = "1MiB/s",   -- ... so much, ...
    start_limit_in = "10m",    -- ... or reach its limit in so short a time
  },
  evaluate = function(target, params)
    local window = params.window
    if target.age then
      window = math.min(window, target.age - params.warmup)
    end
    if window < params.min_time then
      return
    end
    local starting = target.age and target.age < params.start
    for _, entry in ipairs(target:retentions(10)) do
      local severity = entry.percent >= params.critical_percent and "critical"
        or entry.percent >= params.warning_percent and "warning"
      local growth = severity and entry.bytes >= params.min_bytes and leak(target, entry, window, params)
      if growth and (not starting or is_pressing(target, growth, params)) then
        local id = "retention-" .. entry.type_name .. "-" .. entry.tag
        local message = describe(entry, growth)
        alert {
          id = id, severity = severity, source = "retention", value = entry.percent,
          type_name = entry.type_name, tag = entry.tag, message = message,
          evidence = { entry },
        }
        suggest {
          id = id, severity = severity, value = growth.per_second,
          type_name = entry.type_name, tag = entry.tag, message = message,
          advice = ADVICE[entry.primitive] or ADVICE_BY_TYPE[entry.type_name] or ADVICE_DEFAULT,
          evidence = target:sites { sort = "growth", window = growth.seconds + 1, limit = 3 },
        }
      end
    end
  end,
}
