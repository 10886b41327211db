-- channel_leak: channels are made and stay reachable.
--
-- A channel is freed when nobody can reach it. If ever more are kept, goroutines are blocked on them (a
-- sender whose receiver gave up is the classic), or a table of waiters is not cleaned.
--
-- Channels of work in flight come and go with it; those of timers are timer_leak's and ticker_leak's.
return {
  name = "channel_leak",
  doc = "docs/rules.md#channel_leak",
  sources = { "process" },     -- net/http/pprof cuts off the frames that tell how memory is allocated
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
    local sites = target:sites { primitive = "runtime.makechan", sort = "growth", window = params.window, limit = 3 }
    for _, site in ipairs(sites) do
      local rise = site.type_name ~= "chan time.Time" and target:rising(site, {
        window = params.window, min_time = params.min_time, min_bytes = params.min_bytes, min_gcs = params.min_gcs,
      })
      if rise then
        suggest {
          severity = "info", value = rise.per_second, type_name = site.type_name, tag = site.tag,
          message = string.format("channels pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Give a result channel a buffer of 1, so that the sender can end when nobody listens any more, and let "
          .. "every send and receive also wait for ctx.Done(). Take waiters out of their table on every path, by "
          .. "defer. A goroutine profile shows who is blocked in chan send or chan receive.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
