#!/bin/sh
# check_layers.sh - data runs one way: core knows neither lua nor http, and these not each other.
# Usage: sh tests/check_layers.sh   (from anywhere; prints each include that breaks the rule)
cd "$(dirname "$0")/.." || exit 1
fail=0
bad() { # PATTERN FOLDER [EXCEPT]: prints offending lines
    if grep -rnE "#include \"($1)" "$2" --include='*.[ch]' | grep -v "^core/main\.c:"; then fail=1; fi
}
bad 'lua/|http/' core
bad 'http/' lua
bad 'lua/' http
bad 'core/(store|goproc|pprof|capture|sampler)' core/base
bad 'core/(goproc|pprof|capture|sampler)' core/store
bad 'core/(pprof|capture|sampler)' core/goproc
bad 'core/(goproc|capture|sampler)' core/pprof
bad 'core/(goproc|sampler)' core/capture
bad 'core/(store|goproc|pprof|capture|export|scrape|sampler)' core/transport
bad 'core/(goproc|capture|export|sampler)' core/scrape
bad 'core/(goproc|pprof|sampler)' lua
bad 'core/(goproc|sampler)' http
# Third-party headers each have one home.
if grep -rlE '#include <(lua|lauxlib|lualib)\.h>' core http --include='*.[ch]'; then fail=1; fi
if grep -rlE '#include <h2o(\.h|/)' core lua --include='*.[ch]'; then fail=1; fi
if grep -rlE '#include <Zydis/' core lua http --include='*.[ch]' | grep -vE '^core/goproc/(code_refs|call_argument)\.c$'; then fail=1; fi
if grep -rlE '#include <curl/' core lua http --include='*.[ch]' | grep -v '^core/transport/curl_library\.h$'; then fail=1; fi
exit $fail
