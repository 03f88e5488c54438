# make demo: try ftpfs on a server of its own.  make test: check everything.
# Both install what they lack on a Debian machine, as root.
SHELL := /bin/bash

.PHONY: build demo test check

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
