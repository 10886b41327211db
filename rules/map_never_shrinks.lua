-- map_never_shrinks: a map was emptied and keeps the memory of its best days.
--
-- Deleting from a map frees keys and values that are pointers, but never the table itself (golang/go#20135; Swiss tables
-- since Go 1.24 do not change that), and clear(m) keeps it, too.  A map that once held a million entries stays that large.
--
-- From outside it shows when what the same function allocated beside the table, the entries, has gone and the table has
-- not.  A full map keeps both, and a map that is dropped loses both.  Maps whose entries lie in the table itself, or
-- are made elsewhere, cannot be told from full ones: nothing is said of them.

-- What [site]'s function holds beside the map itself.
local function beside(target, site)
  local name = string.gsub(site.func, "%p", "%%%0")
  local all = target:sites { func = "^" .. name .. "$", limit = 1 }
  return all and math.max(all.inuse_bytes - site.inuse_bytes, 0) or 0
end

return {
  name = "map_never_shrinks",
  doc = "docs/rules.md#map_never_shrinks",
  sources = { "process" },     -- net/http/pprof cuts off the frames that tell how memory is allocated
  needs = { "profile" },
  for_ = "10m",
  clear_for = "5m",
  params = {
    min_bytes = "32MiB",       -- of the table
    left_percent = "25%",      -- of what once stood beside it
  },
  evaluate = function(target, params)
    local state = target.state
    if state.generation ~= target.generation then
      state.generation, state.peaks = target.generation, {}
    end
    local maps = target:sites {
      primitive = { "runtime.mapassign", "runtime.makemap" }, min_bytes = params.min_bytes, limit = 3,
    }
    local peaks = {}
    for _, site in ipairs(maps) do
      local id, entries = tostring(site.site_id), beside(target, site)
      peaks[id] = math.max(state.peaks[id] or 0, entries)
      if peaks[id] >= params.min_bytes and entries < peaks[id] * params.left_percent / 100 then
        suggest {
          id = "map_never_shrinks-" .. site.func, severity = "info", value = site.inuse_bytes,
          type_name = site.type_name, tag = site.tag,
          message = string.format("the map of %s (%s:%d) keeps %s, though of the %s that stood beside it %s are left",
            site.func, site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(peaks[id]), format_bytes(entries)),
          advice = "Delete and clear keep a map's table. Copy what is left into a new map now and then (maps.Clone keeps the size: make "
            .. "one and insert), or swap in a fresh one after the peak. Pointers as values make the table smaller.",
          evidence = { site },
        }
      end
    end
    state.peaks = peaks
  end,
}
