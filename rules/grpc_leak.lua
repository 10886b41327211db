-- grpc_leak: gRPC streams or client connections are opened and not ended.
--
-- A client stream ends when its context is cancelled, or when RecvMsg has returned an error or io.EOF;
-- until then its buffers and its goroutine stay. A client connection stays, with its goroutines, until
-- Close.
--
-- Streams in use rise and fall with load; only growth without a break counts.
local HOW = {
  "^google%.golang%.org/grpc%.newClientStream",
  "^google%.golang%.org/grpc/internal/transport%..*%.NewStream$",
  "^google%.golang%.org/grpc%.NewClient$",
  "^google%.golang%.org/grpc%.DialContext$",
}

return {
  name = "grpc_leak",
  doc = "docs/rules.md#grpc_leak",
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
          message = string.format("gRPC streams or connections pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Cancel the context of every stream when you are done with it, or read until RecvMsg returns an error. "
          .. "Make one client connection for each server and share it: grpc.NewClient for each request leaks one each "
          .. "time unless it is closed.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
