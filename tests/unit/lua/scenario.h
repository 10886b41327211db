/* scenario.h - tests of rules written as text: tests/rules/NAME.test.
 *
 *   case a leak is named within twenty seconds      one case; the rest belongs to it
 *   beats 60                                        one second each
 *   target age=60s go=go1.22.0                      age at the start (default 1h); go version
 *   param retention.min_bytes = 1MiB                an override, as in config.lua
 *   field heap_alloc_bytes 20MiB+2MiBx60            a series: start, then +step or -step N times
 *   site main.leak main.go:42 runtime.makeslice inuse 1MiB+2MiBx60 alloc 1MiB+2MiBx60
 *   gc 1                                            a GC (num_gc + 1, a new profile) every so many beats
 *   expect alert critical retention-unknown by 20   firing at this severity, by this beat
 *   expect suggestion info append_growth by 30
 *   expect message main.leak                        in a finding that is open at the end of some beat
 *   expect closed by 90                             from then on nothing is open
 *   expect quiet                                    no rule ever says anything
 *   expect quiet until 30
 *
 * A series is a list of values and runs: "5", "5x10" (ten times), "5+2x10" (5, then ten steps of 2),
 * "+2x10" (goes on from the value before), "_" and "_x10" (not known).  The last value stays.
 * All shipped rules run in every case; '#' begins a comment. */
#ifndef GOPROFD_TESTS_LUA_SCENARIO_H
#define GOPROFD_TESTS_LUA_SCENARIO_H

/* Runs all cases of tests/rules/[name].test, asserting what they expect. */
void scenario_run_file(const char *name);

#endif
