-- cleanup_leak: objects with a cleanup are made and never become unreachable.
--
-- runtime.AddCleanup (Go 1.24) keeps a function and its argument for each object until the object is
-- unreachable. If the function or the argument refers to the object itself, that never happens: the object,
-- what it points at and the native resource behind it leak.
--
-- Finalizers (runtime.SetFinalizer) have the same fault, but the runtime keeps their records outside the
-- heap, where the profile does not show them.
local HOW = "^runtime%.AddCleanup"

return {
  name = "cleanup_leak",
  doc = "docs/rules.md#cleanup_leak",
  group = "leak",
  go_version = ">=1.24",
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
          message = string.format("cleanups pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Neither the function nor the argument of AddCleanup may refer to the object: pass the handle or "
          .. "descriptor, not the object that holds it, and use no closure over it. GODEBUG=checkfinalizers=1 (Go "
          .. "1.25) reports such cleanups. Prefer an explicit Close where there is a moment for it.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
