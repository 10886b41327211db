-- fragmentation: spans are held by a few small objects, and the space between these is lost.
--
-- A span of 8 KiB stays in use as long as one object in it does.  After a peak of small objects of which some survive, in-use
-- spans are much larger than what is in them.  Measured after collections, over a long time: right after a GC every heap
-- has holes, and they are filled again.

return {
  name = "fragmentation",
  doc = "docs/rules.md#fragmentation",
  needs = { "heap_inuse_bytes", "heap_alloc_bytes" },
  for_ = "20m",
  clear_for = "10m",
  warmup = "10m",
  params = {
    min_ratio = 1.5,           -- of in-use spans to objects, at the best moment of the window
    min_bytes = "256MiB",      -- lost between them
    window = "10m",
  },
  evaluate = function(target, params)
    -- At the fullest moment of the window: what is lost even then.
    local alloc, inuse = target:max("heap_alloc_bytes", params.window), target:min("heap_inuse_bytes", params.window)
    if alloc and inuse and inuse - alloc >= params.min_bytes and inuse >= alloc * params.min_ratio then
      suggest {
        severity = "info", value = inuse / math.max(alloc, 1),
        message = string.format("heap spans of %s hold at most %s of objects: %s are lost between them", format_bytes(inuse), format_bytes(alloc), format_bytes(inuse - alloc)),
        advice = "A peak of small objects left survivors scattered over its spans. Copy what lives long into objects of its own after a "
          .. "batch, or keep it apart (an index, a slice); pool the short-lived. GET /v1/memory shows the size classes that waste most.",
        evidence = target:sites { sort = "inuse", limit = 3 },
      }
    end
  end,
}
