-- rate_changed: runtime.MemProfileRate was changed while the program ran.
--
-- The runtime keeps counts of samples only, and every reader scales all of them with the rate of now: what was sampled at another rate is over- or
-- understated by the ratio of the two, until the process ends.  The runtime's documentation says to set it once, as early as possible.
--
-- Setting it early in main is right, so the first seconds do not count; neither does a start from 0, which is how
-- profiling is switched on later (nothing was sampled before).
return {
  name = "rate_changed",
  doc = "docs/rules.md#rate_changed",
  needs = { "mem_profile_rate" },
  clear_for = "1m",
  params = {
    settle = "30s",            -- of the process: the program may still be setting it
  },
  evaluate = function(target, params)
    local state, rate = target.state, target.mem_profile_rate
    local settling = target.age and target.age < params.settle
    if state.generation ~= target.generation or settling or state.rate == 0 then
      state.generation, state.rate = target.generation, rate
    end
    if rate == state.rate then
      return
    end
    local ratio = rate > 0 and state.rate / rate or nil
    suggest {
      severity = "info", value = rate,
      message = rate > 0
        and string.format("runtime.MemProfileRate went from %s to %s: older samples count %.3g times what they should", format_bytes(state.rate),
          format_bytes(rate), 1 / ratio)
        or string.format("runtime.MemProfileRate went from %s to 0: nothing new is sampled, what is older only disappears", format_bytes(state.rate)),
      advice = "Set runtime.MemProfileRate once, as the first thing in main, or not at all. Profiles of this process are wrong until it is restarted; compare only "
        .. "sites that are younger than the change.",
    }
  end,
}
