-- read_buffer_pin: whole bodies or files, read at once, stay reachable.
--
-- io.ReadAll and os.ReadFile give one large buffer. Whoever keeps a field or a line of it as a sub-slice
-- keeps all of it. What holds it cannot be seen from the heap profile; that large read buffers pile up can.
--
-- A cache of bodies that is meant to grow looks the same until it is full.
local HOW = { "^io%.ReadAll$", "^io/ioutil%.ReadAll$", "^os%.ReadFile$", "^bytes%.%(%*Buffer%)%.ReadFrom$" }

return {
  name = "read_buffer_pin",
  doc = "docs/rules.md#read_buffer_pin",
  group = "leak",
  needs = { "profile" },
  warmup = "1m",
  clear_for = "1m",
  params = {
    min_bytes = "4MiB",        -- gained by one site ...
    min_time = "30s",          -- ... in this time or more, all along and to the last
    min_gcs = 4,               -- GCs that found more than the one before
    min_object = "32KiB",   -- smaller ones are not worth pinning anything for
    window = "10m",
  },
  evaluate = function(target, params)
    local sites = target:sites { frame = HOW, sort = "growth", window = params.window, limit = 3 }
    for _, site in ipairs(sites) do
      local rise = site.object_bytes >= params.min_object and target:rising(site, {
        window = params.window, min_time = params.min_time, min_bytes = params.min_bytes, min_gcs = params.min_gcs,
      })
      if rise then
        suggest {
          severity = "info", value = rise.per_second, type_name = site.type_name, tag = site.tag,
          message = string.format("large read buffers pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Keep a copy of the part that is needed and let the buffer go: bytes.Clone(part) (Go 1.20; before it "
          .. "append([]byte(nil), part...)), or string(part). Better, decode from the reader and never hold the whole: "
          .. "json.NewDecoder(r), bufio.Scanner. Limit what a client may send with http.MaxBytesReader.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
