-- leak_slope: one type and tag grows slowly, for an hour and more.
--
-- A few MiB an hour are below what retention looks at, and end in the OOM killer on a weekend.  What counts is
-- the lowest the entry was in each step of ten minutes: garbage, sawtooths and spikes do not move it.  It must rise in
-- each of six steps, and no slower at the end than at the start, which a cache that fills does.
--
-- Not to be mistaken for it: the first half hour of a process; a busier hour (the program allocates as much more as it
-- holds more); entries with so few samples that their growth may be chance.

local KEPT_SHARE = 0.6         -- the newest steps gain this share of what the oldest did
local STEP_SHARE = 0.3         -- every step gains this share of the mean
local CERTAIN = 3              -- standard errors
local QUICK_BYTES = 4 * 1024 * 1024 -- gained within config.retention_window: retention names it

local function key_of(entry)
  return entry.type_name .. "\0" .. entry.tag
end

-- Notes the low of each entry in the present step; after the step it becomes history.
local function follow(state, target, entries, params)
  if state.generation ~= target.generation or not state.step_end then
    state.generation, state.step_end = target.generation, target.now + params.step
    state.lows, state.steps, state.allocs, state.alloc_at_start = {}, {}, {}, target.total_alloc_bytes
  end
  local ended = target.now >= state.step_end
  local lows, steps = {}, {}
  for _, entry in ipairs(entries) do
    local key = key_of(entry)
    local low = math.min(state.lows[key] or math.huge, entry.bytes)
    if ended then
      local list = state.steps[key] or {}
      table.insert(list, low)
      if #list > params.steps + 1 then
        table.remove(list, 1)
      end
      steps[key] = list
    else
      lows[key], steps[key] = low, state.steps[key]
    end
  end
  state.lows, state.steps = lows, steps
  if ended then
    local total = target.total_alloc_bytes
    table.insert(state.allocs, total and state.alloc_at_start and total - state.alloc_at_start or -1)
    if #state.allocs > params.steps then
      table.remove(state.allocs, 1)
    end
    state.alloc_at_start, state.step_end = total, target.now + params.step
  end
end

-- How much more is allocated in the newest steps than in the oldest: 0.5 is half as much again.
local function busier(allocs)
  local first, last = allocs[1], allocs[#allocs]
  return first and first > 0 and last > first and last / first - 1 or 0
end

local function rises(lows, params)
  local steps = #lows - 1
  if steps < params.steps then
    return nil
  end
  local gained = lows[#lows] - lows[1]
  for i = 2, #lows do
    if lows[i] - lows[i - 1] < STEP_SHARE * gained / steps then
      return nil
    end
  end
  local half = steps // 2
  if lows[#lows] - lows[#lows - half] < KEPT_SHARE * (lows[1 + half] - lows[1]) then
    return nil
  end
  return gained
end

return {
  name = "leak_slope",
  doc = "docs/rules.md#leak_slope",
  group = "leak",
  needs = { "profile" },
  warmup = "30m",
  clear_for = "10m",
  params = {
    min_bytes = "8MiB",        -- gained over all steps ...
    min_growth = "10%/h",      -- ... and of what it held
    step = "10m",
    steps = 6,
  },
  evaluate = function(target, params)
    if target.age and target.age < 1800 then
      return
    end
    local state, entries = target.state, target:retentions(10)
    follow(state, target, entries, params)
    for _, entry in ipairs(entries) do
      local lows = state.steps[key_of(entry)]
      local gained = lows and rises(lows, params)
      local hours = params.step * params.steps / 3600
      local quick = entry.percent and entry.percent >= config.memory_spike_threshold_percent
        and (entry.growth_bytes_per_second or 0) * config.retention_window >= QUICK_BYTES
      if gained and not quick and not entry.sampling_blind and gained >= params.min_bytes
        and gained >= CERTAIN * (entry.standard_error_bytes or 0)
        and gained / lows[1] / hours * 100 >= params.min_growth * 3600
        and gained / lows[1] > 2 * busier(state.allocs) then
        alert {
          id = "leak_slope-" .. entry.type_name .. "-" .. entry.tag, severity = "warning",
          value = gained / hours, type_name = entry.type_name, tag = entry.tag,
          message = string.format("%s (%s:%d) holds %s, and its lowest rose by %s in %s, step by step", entry.func,
            entry.file, entry.line, format_bytes(entry.bytes), format_bytes(gained), format_seconds(hours * 3600)),
          advice = "Take two profiles an hour apart and compare them: go tool pprof -base first.pb.gz second.pb.gz. If it "
            .. "is a cache that still fills, see that it has a bound; otherwise find who keeps these: a map or slice that is only added to, "
            .. "goroutines that wait for ever.",
          evidence = { entry },
        }
      end
    end
  end,
}
