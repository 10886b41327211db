-- http_conn_churn: an HTTP client opens a new connection for almost every request.
--
-- A connection has buffers, goroutines and a TLS handshake, and is meant to be reused.
-- http.DefaultTransport keeps only two idle ones for each host, and none whose body was not read to its
-- end.
--
-- Opening many connections at a start or to many hosts passes.
local HOW = { "^net/http%.%(%*Transport%)%.dialConn$", "^crypto/tls%.%(%*Conn%)%.clientHandshake$" }

return {
  name = "http_conn_churn",
  doc = "docs/rules.md#http_conn_churn",
  group = "allocation",
  needs = { "profile" },
  for_ = "15m",                -- a batch is over by then
  clear_for = "5m",
  warmup = "1m",
  params = {
    min_percent = "5%",        -- of all bytes allocated in the window
    min_rate = "1MiB/s",       -- below this nobody would notice the gain
    min_time = "1m",           -- of the window that must have been seen
    window = "5m",
  },
  evaluate = function(target, params)
    local sites = target:sites { frame = HOW, sort = "churn", window = params.window, limit = 3 }
    local top = sites[1]
    if not top or not sites.seconds or sites.seconds < params.min_time
      or sites.churn_per_second < params.min_rate or (sites.churn_percent or 0) < params.min_percent then
      return
    end
    suggest {
      severity = "info", value = sites.churn_percent, type_name = top.type_name, tag = top.tag,
      message = string.format("%.0f%% of all allocation (%s/s) is opening HTTP and TLS client connections; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Share one http.Client and read each body to its end before closing it. For many requests to few hosts "
        .. "raise Transport.MaxIdleConnsPerHost (default 2) and MaxIdleConns. Look for DisableKeepAlives, a Transport "
        .. "made for each request, and servers that answer Connection: close.",
      evidence = sites,
    }
  end,
}
