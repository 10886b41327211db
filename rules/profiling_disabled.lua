-- profiling_disabled: the program keeps no heap profile, so nothing can be said about its sites.
--
-- The linker switches profiling off in programs that never mention runtime.MemProfile; some
-- programs set runtime.MemProfileRate = 0 themselves.

return {
  name = "profiling_disabled",
  doc = "docs/rules.md#profiling_disabled",
  clear_for = "60s",
  evaluate = function(target, params)
    if target.mem_profile_rate == 0 then
      suggest {
        severity = "info",
        message = "runtime.MemProfileRate is 0: this program records no allocations; only its totals are known",
        advice = "Import net/http/pprof or runtime/pprof (the linker switches heap profiling off in programs that "
          .. "cannot use it), and do not set runtime.MemProfileRate to 0; or, without a new build, set "
          .. "enable_heap_profiling = true on this target in goprofd's config, which writes the rate into the "
          .. "running process. The default rate costs next to nothing.",
      }
    end
  end,
}
