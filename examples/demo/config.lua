-- The configuration that run.sh starts goprofd with.  Addresses and folders that differ from run
-- to run come from the environment (GOPROF_METRICS_LISTEN_ADDR, GOPROF_PROFILE_CAPTURE_DIR), which
-- overrides this file.  examples/config/goprofd.lua explains every key.
return {
  -- Twice a second: the tour is short.  The default, once a second, is right for a server.
  sampling_interval_ms = 500,

  -- Watch one program.  Without this line goprofd watches every Go process it may read.
  targets = { { name = "demo-shop", exe = "demo-shop" } },

  -- The tour lasts half a minute: believe in a leak sooner than one would on a server, where a
  -- program may take its time to fill its caches (defaults: docs/rules.md).
  -- So it is with advice about garbage: a batch would be over after a quarter of an hour, the tour ends sooner.
  rules = {
    retention = { warmup = "1s", min_time = "5s" },
    append_growth = { for_ = "0s" },
    string_concat = { for_ = "0s" },
    map_growth = { for_ = "0s" },
    buffer_growth = { for_ = "0s" },
  },

  -- Keep a heap profile when a critical alert opens, at most one a minute.
  profile_capture_enabled = true,
  profile_capture_on_severities = { "critical" },
  profile_capture_min_interval_sec = 60,
}
