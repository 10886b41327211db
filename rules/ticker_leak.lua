-- ticker_leak: tickers that are not stopped, before Go 1.23.
--
-- Up to Go 1.22 the runtime keeps a ticker until Stop is called; time.Tick has no Stop at all. It costs
-- memory, and CPU at each tick.
--
-- Go 1.23 collects tickers that nobody refers to.
local HOW = { "^time%.NewTicker$", "^time%.Tick$" }

-- A runtime before Go 1.23 keeps timers that nobody refers to, and so does a later one that was built for an
-- older go line in go.mod.
local function keeps_timers(target)
  local old = target:go_before("1.23")
  return old or old == false
    and string.find(target:setting("DefaultGODEBUG") or "", "asynctimerchan=1", 1, true) ~= nil
end

return {
  name = "ticker_leak",
  doc = "docs/rules.md#ticker_leak",
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
          message = string.format("tickers pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Stop each ticker: defer ticker.Stop() where it is made. time.Tick cannot be stopped: use it only for "
          .. "what lives as long as the program. From Go 1.23 on tickers that nobody refers to are collected.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
