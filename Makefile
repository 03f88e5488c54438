# make demo: try ftpfs on a server of its own.  make test: check everything.
# make soak: a mixed load for ten minutes, or SOAK=1h, on servers that are
# restarted every 20 s; before that 200 kills of ftpfs under a write load for
# each server and write mode, after it each fuzz target for as long. All
# install what they lack on a Debian machine, as root.
SHELL := /bin/bash

.PHONY: build demo test check soak bench

build:
	go build -o bin/ftpfs ./cmd/ftpfs

demo:
	@scripts/need.sh fusermount3=fuse3
	@$(MAKE) --no-print-directory build
	@exec bin/ftpfs demo

test:
	@scripts/test-deps.sh
	@scripts/check.sh

check:
	@scripts/check.sh

SOAK ?= 10m

soak:
	@scripts/test-deps.sh
	FTPFS_SOAK=$(SOAK) PATH=$$PATH:/usr/sbin:/sbin go test -race -count=1 -timeout 0 -v -run '^(TestCrash|TestSoak)$$' ./integration
	@scripts/fuzz.sh $(SOAK)

# What operations cost in round trips, against the budget. make test has it too.
bench:
	@go test -count=1 -v -run '^TestBudget$$' ./fs/transfer | grep -E 'round trips|^(ok|FAIL|---)'
