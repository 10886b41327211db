-- pointer_heavy: tens of millions of tiny objects, and a GC that marks them over and over.
--
-- The cost of a GC is the number of pointers it follows, not of bytes.  Heaps of small nodes (trees, linked lists,
-- map[string]*T, []*T) cost several times as much to mark as the same data in slices of values.
--
-- A large heap that is collected rarely costs little: so the GC must run often, for a quarter of an hour.  (GCCPUFraction
-- is an average over the life of the process and would not show it.)
return {
  name = "pointer_heavy",
  doc = "docs/rules.md#pointer_heavy",
  needs = { "heap_objects", "heap_alloc_bytes", "num_gc" },
  for_ = "15m",
  clear_for = "5m",
  warmup = "5m",
  params = {
    min_objects = 10000000,
    max_mean = "64B",          -- bytes an object, on average
    min_gcs = "0.2/s",         -- GC cycles
    window = "5m",
  },
  evaluate = function(target, params)
    local objects = target:percentile("heap_objects", params.window, 50)
    local bytes = target:percentile("heap_alloc_bytes", params.window, 50)
    local gcs = target:rate("num_gc", params.window)
    if not objects or not bytes or not gcs or objects < params.min_objects or bytes / objects > params.max_mean
      or gcs < params.min_gcs then
      return
    end
    local small = {}
    for _, site in ipairs(target:sites { limit = 20 } or {}) do
      if site.object_bytes <= params.max_mean and #small < 3 then
        table.insert(small, site)
      end
    end
    local where = small[1] and string.format("; most in %s (%s:%d)", small[1].func, small[1].file, small[1].line) or ""
    suggest {
      severity = "info", value = objects,
      message = string.format("the heap is %.0f million objects of %.0f bytes on average, marked %.1f times a second%s",
        objects / 1e6, bytes / objects, gcs, where),
      advice = "Keep values in slices and refer to them by index: []T instead of []*T, map[K]int32 into a slice, one large []byte with offsets instead of many "
        .. "strings. Maps whose keys and values have no pointers are not scanned at all. Or raise GOGC: the cost of marking falls in proportion.",
      evidence = small,
    }
  end,
}
