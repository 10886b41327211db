-- gomemlimit_stale: GOMEMLIMIT does not fit the container's limit.
--
-- At or above memory.max it never helps: the kernel kills first.  Far below, it makes the GC work for memory that nobody
-- else may use.  Both happen when the container is resized and the variable is not (grafana/loki#23514).  Far below is
-- only said while the limit is in fact what drives the GC.

return {
  name = "gomemlimit_stale",
  doc = "docs/rules.md#gomemlimit_stale",
  go_version = ">=1.19",
  needs = { "gomemlimit_bytes", "cgroup_memory_max_bytes" },
  for_ = "1m",
  clear_for = "1m",
  params = {
    low = "60%",               -- of memory.max: below this it is too low, if it is reached
    reached = "90%",           -- of GOMEMLIMIT, by what counts against it
  },
  evaluate = function(target, params)
    local set, max = target.gomemlimit_bytes, target.cgroup_memory_max_bytes
    if set >= max then
      suggest {
        severity = "warning", value = 100 * set / max,
        message = string.format("GOMEMLIMIT (%s) is not below the container's limit (%s): the kernel kills before the GC tries",
          format_bytes(set), format_bytes(max)),
        advice = string.format("Set it to about 90 %% of the limit, %dMiB, and derive it from the limit where the container starts.",
          math.floor(max * 0.9 / 1048576)),
      }
    elseif set < max * params.low / 100 then
      local used = target.sys_bytes and target.heap_released_bytes and target.sys_bytes - target.heap_released_bytes
      if used and used >= set * params.reached / 100 then
        suggest {
          severity = "info", value = 100 * set / max,
          message = string.format("GOMEMLIMIT (%s) is reached, though the container may take %s", format_bytes(set), format_bytes(max)),
          advice = string.format("If nothing else runs in the container raise it, up to %dMiB: the GC then runs less often.",
            math.floor(max * 0.9 / 1048576)),
        }
      end
    end
  end,
}
