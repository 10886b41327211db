-- substring_pin: large texts stay reachable, most likely because of small parts of them.
--
-- A substring shares the memory of the text it was cut from: keeping one word of a line, or one line of a
-- file, keeps all of it. Converting a large []byte to a string and keeping what strings.Split gives is the
-- usual way there.
--
-- Only texts of some KiB count: for small ones the waste is small, too.
return {
  name = "substring_pin",
  doc = "docs/rules.md#substring_pin",
  sources = { "process" },     -- net/http/pprof cuts off the frames that tell how memory is allocated
  group = "leak",
  needs = { "profile" },
  warmup = "1m",
  clear_for = "1m",
  params = {
    min_bytes = "4MiB",        -- gained by one site ...
    min_time = "30s",          -- ... in this time or more, all along and to the last
    min_gcs = 4,               -- GCs that found more than the one before
    min_object = "4KiB",   -- smaller ones are not worth pinning anything for
    window = "10m",
  },
  evaluate = function(target, params)
    local sites = target:sites { primitive = { "runtime.slicebytetostring", "runtime.rawstring", "runtime.concatstrings" }, sort = "growth", window = params.window, limit = 3 }
    for _, site in ipairs(sites) do
      local rise = site.object_bytes >= params.min_object and target:rising(site, {
        window = params.window, min_time = params.min_time, min_bytes = params.min_bytes, min_gcs = params.min_gcs,
      })
      if rise then
        suggest {
          severity = "info", value = rise.per_second, type_name = site.type_name, tag = site.tag,
          message = string.format("large strings pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Copy what is kept: strings.Clone(part) (Go 1.18; before it string([]byte(part))). Map keys and cached "
          .. "fields cut out of a request or a file are the usual places. If the whole texts are meant to be kept, "
          .. "bound the cache.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
