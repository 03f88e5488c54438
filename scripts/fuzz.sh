#!/usr/bin/env bash
# fuzz.sh TIME|COUNTx: feeds each fuzz target of the project new inputs for TIME,
# or COUNT of them, one target per core. What breaks one stays in its testdata/fuzz
# as a test. At the end of a TIME, Go before 1.27 now and then fails without an input
# ("context deadline exceeded", golang/go#75804); a COUNT has no such end.
set -euo pipefail
cd "$(dirname "$0")/.."

fuzz() { # TIME|COUNTx FILE:TARGET
  local out
  out=$(go test -run '^$' -fuzz "^${2#*:}\$" -fuzztime "$1" -parallel 1 "$(dirname "$2")" 2>&1) || { echo "$out" >&2; return 1; }
  echo "${2#*:}: $(grep -o 'execs: [0-9]*' <<<"$out" | tail -1)"
}
export -f fuzz

grep -roP --include='*_test.go' '^func \KFuzz\w+' . | xargs -P "$(nproc)" -I '{}' bash -c 'fuzz "$@"' fuzz "$1" '{}'
