-- sampling_blind: much of the heap rests on a handful of samples.
--
-- A heap profile sees one object in each MemProfileRate bytes or so.  With a rate that was set high, a site of many MiB may
-- stand on three samples: its size may be off by half, its growth may be chance (mattn/nostr-relay#27: 1080 objects reported, 355
-- there), and goprofd's leak rules stay silent about it.
--
-- At the default rate of 512 KiB nothing of this size is blind.
return {
  name = "sampling_blind",
  doc = "docs/rules.md#sampling_blind",
  needs = { "profile" },
  for_ = "10m",
  clear_for = "5m",
  warmup = "5m",
  params = {
    min_bytes = "16MiB",       -- of the entry, as estimated, ...
    min_percent = "10%",       -- ... and of the heap
  },
  evaluate = function(target, params)
    for _, entry in ipairs(target:retentions(10)) do
      if entry.sampling_blind and entry.bytes >= params.min_bytes and (entry.percent or 0) >= params.min_percent then
        local rate = target.mem_profile_rate
        suggest {
          severity = "info", value = entry.bytes, type_name = entry.type_name, tag = entry.tag,
          message = string.format("%s (%s:%d) is said to hold %s, give or take %s: fewer than five samples tell of it%s", entry.func,
            entry.file, entry.line, format_bytes(entry.bytes), format_bytes(entry.standard_error_bytes or 0),
            rate and "; the program samples once in " .. format_bytes(rate) or ""),
          advice = "Do not act on this figure. Set runtime.MemProfileRate lower, first thing in main (the default of 512 KiB costs next to nothing; 64 KiB is fine "
            .. "on one canary), and look again.",
          evidence = { entry },
        }
        return
      end
    end
  end,
}
