-- heap_high: memory comes close to a limit that will stop the service.
--
-- cgroup limit:  resident memory that cannot be dropped (anonymous and shared) against memory.max.
-- GOMEMLIMIT:    the live heap against the limit.  A process that runs *at* its memory limit is
--                healthy (that is what GOGC=off does); one whose live heap fills the limit
--                collects garbage without end.  With such a limit below the cgroup's, resident memory
--                close to the cgroup's limit is intended, so it must come closer to count.
-- no limit:      goprof-optimizer's fixed bound on the heap.  Set max_heap = 0 to switch it off.

local WINDOW = 15 -- seconds; the median, so that one spike between two GCs is no alert

local function median(target, field)
  return target:percentile(field, WINDOW, 50)
end

local function resident(target)
  local anon = median(target, "rss_anon_bytes")
  return anon and anon + (median(target, "rss_shmem_bytes") or 0)
end

local function top_sites(target)
  return target:sites { sort = "inuse", limit = 3 } or {}
end

local function judge(target, id, what, used, limit, warning_percent, critical_percent, advice)
  local percent = 100 * used / limit
  if percent < warning_percent then
    return
  end
  local critical = percent >= critical_percent
  alert {
    id = id, severity = critical and "critical" or "warning", value = percent,
    message = string.format("%s is at %.0f%% of its limit: %s of %s", what, percent, format_bytes(used),
      format_bytes(limit)),
    advice = advice,
    evidence = top_sites(target),
  }
end

return {
  name = "heap_high",
  doc = "docs/rules.md#heap_high",
  params = {
    max_heap = "512MiB",       -- only where no limit is known
    warning_percent = "80%",
    critical_percent = "90%",
    tight_percent = "97%",     -- of the cgroup's limit, where GOMEMLIMIT holds below it
  },
  evaluate = function(target, params)
    local cgroup = target.cgroup_memory_max_bytes
    local gomemlimit = target.gomemlimit_bytes
    local used = cgroup and cgroup > 0 and resident(target)
    if used then
      local guarded = gomemlimit and gomemlimit < cgroup
      judge(target, "heap_high-cgroup", "memory of the container", used, cgroup,
        guarded and params.tight_percent or params.warning_percent,
        guarded and params.tight_percent or params.critical_percent,
        gomemlimit and "Raise the container's limit or reduce what is live; GOMEMLIMIT cannot go lower than the live heap."
          or "Set GOMEMLIMIT to 90-95% of the container's limit, so that the GC works harder before the OOM "
          .. "killer does; if the live heap itself is that large, raise the limit or reduce it.")
    end
    local live = gomemlimit and gomemlimit > 0 and median(target, "heap_live_bytes")
    if live then
      judge(target, "heap_high-gomemlimit", "the live heap", live, gomemlimit,
        params.warning_percent, params.critical_percent,
        "The GC runs ever more often as the live heap nears GOMEMLIMIT and cannot win. Raise the limit, or "
          .. "reduce what the sites in the evidence keep.")
    end
    local heap = not used and not live and params.max_heap > 0 and median(target, "heap_alloc_bytes")
    if heap and heap >= params.max_heap then
      alert {
        id = "heap_high", severity = "warning", value = heap,
        message = string.format("the heap is %s; more than %s", format_bytes(heap),
          format_bytes(params.max_heap)),
        advice = "If this is normal here, raise rules.heap_high.max_heap in the config, or set GOMEMLIMIT or a "
          .. "container limit: they are judged instead.",
        evidence = top_sites(target),
      }
    end
  end,
}
