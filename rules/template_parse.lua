-- template_parse: templates are parsed again and again.
--
-- Parsing builds a tree of many small objects, and html/template then rewrites it; executing a parsed
-- template needs none of that.
local HOW = {
  "^text/template/parse%.Parse$",
  "^text/template%.%(%*Template%)%.Parse",
  "^html/template%.%(%*Template%)%.Parse",
  "^html/template%.%(%*Template%)%.escape$",
}

return {
  name = "template_parse",
  doc = "docs/rules.md#template_parse",
  group = "allocation",
  needs = { "profile" },
  for_ = "15m",                -- a batch is over by then
  clear_for = "5m",
  warmup = "1m",
  params = {
    min_percent = "2%",        -- of all bytes allocated in the window
    min_rate = "256KiB/s",     -- below this nobody would notice the gain
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
      message = string.format("%.0f%% of all allocation (%s/s) is parsing templates; most in %s (%s:%d)",
        sites.churn_percent, format_bytes(sites.churn_per_second), top.func, top.file, top.line),
      advice = "Parse once, at start or at package level: var page = template.Must(template.ParseFS(files, \"*.html\")), and "
        .. "only Execute in the handler; a parsed template may be used by many goroutines. Clone only where a request "
        .. "really adds definitions.",
      evidence = sites,
    }
  end,
}
