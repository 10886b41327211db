-- io_buffers_held: buffers of idle connections are much of the heap.
--
-- bufio.NewReaderSize and NewWriterSize allocate at once and keep their buffer for the life of the reader: with ten thousand connections
-- of 64 KiB each way that is more than a GiB, most of it for connections that say nothing.
--
-- It is a price, not a leak: said only where it is a large share of the heap for ten minutes.
return {
  name = "io_buffers_held",
  doc = "docs/rules.md#io_buffers_held",
  needs = { "profile" },
  for_ = "10m",
  clear_for = "5m",
  warmup = "1m",
  params = {
    min_bytes = "64MiB",       -- of buffers, ...
    min_percent = "25%",       -- ... and of the heap
  },
  evaluate = function(target, params)
    local sites = target:sites { frame = { "^bufio%.NewReaderSize$", "^bufio%.NewWriterSize$" }, limit = 3 }
    local top = sites[1]
    if not top or sites.inuse_bytes < params.min_bytes or (sites.inuse_percent or 0) < params.min_percent then
      return
    end
    suggest {
      severity = "info", value = sites.inuse_bytes, type_name = top.type_name, tag = top.tag,
      message = string.format("buffers of bufio hold %s, %.0f%% of the heap; most are of %s each, made in %s (%s:%d)",
        format_bytes(sites.inuse_bytes), sites.inuse_percent, format_bytes(top.object_bytes), top.func, top.file, top.line),
      advice = "Use smaller buffers (4 KiB is the default), or take them from a sync.Pool when data arrives and give them back when the "
        .. "connection is idle: net/http does so between requests, gorilla/websocket has WriteBufferPool, grpc-go has SharedWriteBuffer. "
        .. "Idle timeouts let go of connections nobody uses.",
      evidence = sites,
    }
  end,
}
