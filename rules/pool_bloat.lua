-- pool_bloat: a sync.Pool is full of objects that became huge.
--
-- What is put back into a pool keeps the size of its largest use, and one large request after the other makes every object of
-- the pool large (golang/go#23199).  The standard library guards against it: fmt does not put back what is beyond 64 KiB.
--
-- A pool is emptied over two GCs, so what stays for ten minutes is in use all the time; a pool of large buffers of one
-- size may be right, so a large share of the heap is asked for.
return {
  name = "pool_bloat",
  doc = "docs/rules.md#pool_bloat",
  needs = { "profile" },
  for_ = "10m",
  clear_for = "5m",
  warmup = "1m",
  params = {
    min_object = "64KiB",      -- smaller ones are what pools are for
    min_bytes = "64MiB",       -- of such objects, ...
    min_percent = "25%",       -- ... and of the heap
  },
  evaluate = function(target, params)
    local sites = target:sites { frame = "^sync%.%(%*Pool%)%.Get$", limit = 20 }
    local large, bytes, percent = {}, 0, 0
    for _, site in ipairs(sites) do
      if site.object_bytes >= params.min_object then
        bytes, percent = bytes + site.inuse_bytes, percent + (site.percent or 0)
        if #large < 3 then
          table.insert(large, site)
        end
      end
    end
    if bytes < params.min_bytes or percent < params.min_percent then
      return
    end
    local top = large[1]
    suggest {
      severity = "info", value = bytes, type_name = top.type_name, tag = top.tag,
      message = string.format("objects of sync.Pool hold %s, %.0f%% of the heap; most are of %s each, made in %s (%s:%d)",
        format_bytes(bytes), percent, format_bytes(top.object_bytes), top.func, top.file, top.line),
      advice = "Put back only what is not huge: if cap(buf) <= 64<<10 { pool.Put(&buf) }. Keep pools by size class where sizes differ widely, and "
        .. "pool pointers (*[]byte): a slice put into a pool allocates its header each time (staticcheck SA6002).",
      evidence = large,
    }
  end,
}
