-- http_body_leak: an HTTP client opens connections and does not get them back.
--
-- A response body that is not closed keeps its connection, two goroutines and two buffers for ever; so does
-- each http.Transport that is made for one request and dropped. The memory stands at net/http's dialing, so
-- the heap cannot name the guilty caller, but it can name the cause.
--
-- A pool of idle connections that fills and stays is no leak.
local HOW = { "^net/http%.%(%*Transport%)%.dialConn$", "^net/http%.%(%*persistConn%)%." }

return {
  name = "http_body_leak",
  doc = "docs/rules.md#http_body_leak",
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
          message = string.format("HTTP client connections pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Close every response body, on error paths and unwanted statuses too, and read it to its end so that the "
          .. "connection can be reused: defer resp.Body.Close(), then io.Copy(io.Discard, resp.Body). Share one "
          .. "http.Client: a Transport made for each request keeps idle connections of its own. Goroutines in "
          .. "(*persistConn).readLoop in a goroutine profile confirm it; the linter bodyclose finds the callers.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
