-- context_leak: contexts are derived and never cancelled.
--
-- context.WithCancel, WithTimeout and WithDeadline enter each child in a map of its parent; it stays there
-- until the child is cancelled or the parent ends. A child of context.Background() of a server that is not
-- cancelled stays for ever (WithTimeout: until its time is up), with whatever it holds.
--
-- Contexts of requests in flight come and go with load: only what grows without a break counts.
local HOW = {
  "^context%.With[CTD]",
  "^context%.withCancel$",
  "^context%..*propagateCancel$",
  "^context%.AfterFunc$",
}

return {
  name = "context_leak",
  doc = "docs/rules.md#context_leak",
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
    local sites = target:sites { frame = HOW, sort = "growth", window = params.window, limit = 3 }
    for _, site in ipairs(sites) do
      local rise = target:rising(site, {
        window = params.window, min_time = params.min_time, min_bytes = params.min_bytes, min_gcs = params.min_gcs,
      })
      if rise then
        suggest {
          severity = "info", value = rise.per_second, type_name = site.type_name, tag = site.tag,
          message = string.format("contexts pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Call cancel on every path: ctx, cancel := context.WithCancel(parent), then defer cancel() on the next "
          .. "line. go vet (lostcancel) finds dropped cancels. Do not derive from a context that lives as long as the "
          .. "program what ends with a request; with WithTimeout, a long timeout keeps the child that long unless it "
          .. "is cancelled.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
