-- timer_leak: time.After or time.NewTimer in a loop, before Go 1.23.
--
-- Up to Go 1.22 a timer that has not fired is kept by the runtime even if nobody can see it any more:
-- select { case <-work: case <-time.After(time.Hour): } in a loop keeps each timer for an hour.
--
-- Go 1.23 collects timers that nobody refers to, so from there on the rule is silent, and so it is where
-- the version is not known.
local HOW = { "^time%.After$", "^time%.NewTimer$" }

-- A runtime before Go 1.23 keeps timers that nobody refers to, and so does a later one that was built for an
-- older go line in go.mod.
local function keeps_timers(target)
  local old = target:go_before("1.23")
  return old or old == false
    and string.find(target:setting("DefaultGODEBUG") or "", "asynctimerchan=1", 1, true) ~= nil
end

return {
  name = "timer_leak",
  doc = "docs/rules.md#timer_leak",
  group = "leak",
  needs = { "profile" },
  warmup = "1m",
  clear_for = "1m",
  params = {
    min_bytes = "4MiB",        -- gained by one site ...
    min_time = "30s",          -- ... in this time or more, all along and to the last
    min_gcs = 4,               -- GCs that found more than the one before
    window = "10m",
  },
  evaluate = function(target, params)
    if not keeps_timers(target) then
      return
    end
    local sites = target:sites { frame = HOW, sort = "growth", window = params.window, limit = 3 }
    for _, site in ipairs(sites) do
      local rise = target:rising(site, {
        window = params.window, min_time = params.min_time, min_bytes = params.min_bytes, min_gcs = params.min_gcs,
      })
      if rise then
        suggest {
          severity = "info", value = rise.per_second, type_name = site.type_name, tag = site.tag,
          message = string.format("timers pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Make one timer before the loop, t := time.NewTimer(d), and stop and drain it before t.Reset(d); or use a "
          .. "context with a timeout. Or upgrade: from Go 1.23 on (with go 1.23 in go.mod) timers that nobody refers "
          .. "to are collected.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
