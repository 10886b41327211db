-- logger_chain: a logger is derived from itself again and again.
--
-- logger = logger.With(...) in a loop or on a shared field makes each logger carry the attributes of all
-- before it: memory grows, and each line that is logged is longer than the last.
--
-- A logger derived for each request goes with the request.
local HOW = {
  "^log/slog%.%(%*Logger%)%.With$",
  "^go%.uber%.org/zap%.%(%*Logger%)%.With$",
  "^go%.uber%.org/zap%.%(%*SugaredLogger%)%.With$",
  "^github%.com/rs/zerolog%.Context%.",
  "^github%.com/sirupsen/logrus%.%(%*Entry%)%.WithFields?$",
}

return {
  name = "logger_chain",
  doc = "docs/rules.md#logger_chain",
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
          message = string.format("derived loggers pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Derive from a base that never changes, into a local variable: log := base.With(\"request\", id). Do not "
          .. "store the result where it is the base of the next one, and do not keep loggers of requests that have "
          .. "ended.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
