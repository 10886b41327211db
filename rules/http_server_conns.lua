-- http_server_conns: an HTTP server collects connections that clients do not close.
--
-- Without IdleTimeout and ReadTimeout a connection lives as long as the client wants, with a goroutine and
-- 8 KiB of buffers. Clients that vanish without a FIN are never noticed.
--
-- More clients at a busier hour look the same for a while: so it must go on for five minutes.
local HOW = {
  "^net/http%.newBufioReader$",
  "^net/http%.newBufioWriterSize$",
  "^net/http%.%(%*Server%)%.newConn$",
}

return {
  name = "http_server_conns",
  doc = "docs/rules.md#http_server_conns",
  group = "leak",
  needs = { "profile" },
  warmup = "1m",
  clear_for = "1m",
  params = {
    min_bytes = "8MiB",        -- gained by one site ...
    min_time = "5m",           -- ... in this time or more, all along and to the last
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
          message = string.format("HTTP server connections pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Set ReadHeaderTimeout, ReadTimeout and IdleTimeout on http.Server (all are off by default), and look for "
          .. "handlers that never return: a missing context, an unbuffered channel. Compare with the number of "
          .. "established connections (ss -tn).",
          evidence = sites,
        }
        return
      end
    end
  end,
}
