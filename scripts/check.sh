#!/usr/bin/env bash
# Checks everything, in the order of how fast it fails: format, vet on the
# systems that must compile, staticcheck, go.mod, then all tests with the race
# detector. The import rules of the project are among the tests (rooms_test.go).
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

step() { printf '== %s\n' "$*"; }

step gofmt
bad=$(gofmt -l $(find . -name .cache -prune -o -name '*.go' -print))
[ -z "$bad" ] || { printf 'not formatted, run gofmt -w:\n%s\n' "$bad" >&2; exit 1; }

step go vet
go vet ./...
for target in linux/arm64 darwin/arm64 freebsd/amd64; do
  step "go vet for $target"
  GOOS=${target%/*} GOARCH=${target#*/} CGO_ENABLED=0 go vet ./...
done

step staticcheck
go tool staticcheck ./...

step go mod tidy
go mod tidy -diff

step go test
go test -race -timeout 30m ./...

step fuzzing, 20000 inputs for each target
scripts/fuzz.sh 20000x
