-- cgo_handle_leak: cgo.Handle values are made and not deleted.
--
-- runtime/cgo.NewHandle enters a Go value in a table of the process so that C may hold a number for it;
-- only Handle.Delete takes it out again. A callback whose C side forgets to release it leaks the value and
-- all it points at.
--
-- A table that reaches its size and stays is fine.
local HOW = "^runtime/cgo%.NewHandle$"

return {
  name = "cgo_handle_leak",
  doc = "docs/rules.md#cgo_handle_leak",
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
          message = string.format("cgo handles pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Call Delete on every handle once C is done with it, also where the C call fails; give the C side a "
          .. "release callback that does. One handle for a session, rather than one for each call, is easier to "
          .. "account for.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
