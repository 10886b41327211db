-- goprofd.lua: every option with its default, commented out.  Check a change with
--
--     goprofd -t -c /etc/goprofd/goprofd.lua
--
-- It lists all problems at once.  Environment variables (GOPROF_LOG_LEVEL=debug) and flags
-- (--log-level=debug) override this file.  docs/config.md says more about each option.
return {
  -- Who is watched --------------------------------------------------------------------------

  -- Without a list: every Go process that may be read.  The first entry that matches decides.
  -- targets = {
  --   { name = "api", exe = "/srv/api/bin/api" },    -- by executable, or */api
  --   { name = "worker", exe = "worker-*" },         -- without /: by its base name
  --   { name = "debugged", pid = 4711 },             -- this one process
  --   { name = "far", url = "http://far.example:6060" },  -- elsewhere: its net/http/pprof is scraped
  --   { discover = true, exclude = { "kubelet", "containerd*" } },
  -- },

  -- Which target an HTTP request without ?target= means; "": the first.
  -- default_target = "",

  -- How often and for how long ----------------------------------------------------------------

  -- sampling_interval_ms = "1s",
  -- max_history_samples = 3600,       -- per target: an hour at one a second
  -- history_max_bytes = "256MiB",     -- all targets together; the oldest goes first

  -- What is served ----------------------------------------------------------------------------

  -- Profiles tell a lot about a program: think before you listen beyond loopback.
  -- metrics_listen_addr = "127.0.0.1:8080",   -- or ":8080", or "unix:/run/goprofd/goprofd.sock"
  -- prometheus_enabled = true,
  -- pprof_enabled = true,
  -- pprof_listen_addr = "",                   -- a listener of its own for /debug/pprof
  -- http_threads = 1,

  -- Rules -------------------------------------------------------------------------------------

  -- Where rules live.  Left out: ./rules if there is one, else the rules installed with goprofd.
  -- rules_dir = "/etc/goprofd/rules",
  -- rules_watch = true,                       -- reload when one of them changes
  -- rules = {
  --   heap_growth = { window = "30m" },       -- overrides the rule's own params
  --   goroutine_growth = { enabled = false },
  -- },
  -- alerting_enabled = true,
  -- memory_spike_threshold_percent = 30,      -- share of the heap one type may retain: warning
  -- high_retention_threshold_percent = 70,    -- and critical
  -- retention_window_sec = "10m",

  -- Captured profiles ----------------------------------------------------------------------------

  -- Alerts capture a heap profile only when this is true; `POST /v1/capture/heap` and SIGUSR1 always do.
  -- profile_capture_enabled = false,
  -- profile_capture_dir = "./profiles",
  -- profile_capture_on_severities = { "critical" },
  -- profile_capture_min_interval_sec = "1m",  -- per target
  -- profile_capture_before_sec = "1m",        -- the profile of so long before as well, to compare with
  -- profile_capture_max_files = 10,           -- per target; the oldest goes first

  -- The daemon itself ------------------------------------------------------------------------------

  -- log_level = "info",                       -- debug, info, warn, error
  -- shutdown_grace_period_sec = "15s",
}
