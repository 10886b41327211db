-- defer_in_loop: deferred calls pile up in a function that does not return.
--
-- A defer in a loop is put on the heap (runtime.deferproc) and runs only when the function ends, not when
-- the iteration does: files stay open, locks held, memory kept.
--
-- A single defer in a function lives on the stack, and deep recursion ends: neither grows for long.
return {
  name = "defer_in_loop",
  doc = "docs/rules.md#defer_in_loop",
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
    local sites = target:sites { primitive = "runtime.deferproc", sort = "growth", window = params.window, limit = 3 }
    for _, site in ipairs(sites) do
      local rise = target:rising(site, {
        window = params.window, min_time = params.min_time, min_bytes = params.min_bytes, min_gcs = params.min_gcs,
      })
      if rise then
        suggest {
          severity = "info", value = rise.per_second, type_name = site.type_name, tag = site.tag,
          message = string.format("deferred calls pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Make the body of the loop a function of its own, so that its defers run at the end of each iteration; or "
          .. "close what was opened at the end of the iteration without defer.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
