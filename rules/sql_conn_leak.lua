-- sql_conn_leak: database connections or statements are taken and not given back.
--
-- sql.Rows that are not closed keep their connection, and the pool opens another one for the next query: it
-- has no limit unless one is set. A statement prepared for each request and not closed is kept by its
-- connection, and by the server.
--
-- A pool that fills up to its limit and stays is doing its job.
local HOW = {
  "^database/sql%.%(%*DB%)%.openNewConnection$",
  "^database/sql%.%(%*DB%)%.conn$",
  "^database/sql%.%(%*DB%)%.prepareDC$",
}

return {
  name = "sql_conn_leak",
  doc = "docs/rules.md#sql_conn_leak",
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
          message = string.format("database connections or statements pile up: %s (%s:%d) holds %s, %s more than %s ago and still growing", site.func,
            site.file, site.line, format_bytes(site.inuse_bytes), format_bytes(rise.last - rise.first),
            format_seconds(rise.seconds)),
          advice = "Close rows on every path: rows, err := db.Query(...), then defer rows.Close(), and look at rows.Err(). "
          .. "Commit or roll back every Tx, and Close every Stmt (prepare once, not for each request). Set "
          .. "db.SetMaxOpenConns and SetConnMaxIdleTime; db.Stats() shows InUse.",
          evidence = sites,
        }
        return
      end
    end
  end,
}
