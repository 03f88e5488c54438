package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// mountedAt returns the topmost mount at dir, nil if there is none. It does
// not touch the mount, which may hang.
func mountedAt(dir string) (*mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, failf("cannot list the mounts: %v; mount /proc", err)
	}
	defer f.Close()
	return findMount(f, dir)
}

// findMount looks for the last mount at dir in a mountinfo file, proc(5):
//
//	36 35 98:0 /root /mountpoint rw,noatime master:1 - type source superoptions
func findMount(r io.Reader, dir string) (*mount, error) {
	var found *mount
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(tail) < 3 || unescapeMount(fields[4]) != dir {
			continue
		}
		found = &mount{dir: dir, fstype: tail[0], uid: -1}
		for opt := range strings.SplitSeq(tail[2], ",") {
			if v, ok := strings.CutPrefix(opt, "user_id="); ok {
				if n, err := strconv.Atoi(v); err == nil {
					found.uid = n
				}
			}
		}
	}
	return found, lines.Err()
}

// unescapeMount undoes the kernel's escapes for blanks and backslashes, such
// as \040.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unmountCommand(ctx context.Context, dir string) *exec.Cmd {
	return exec.CommandContext(ctx, "fusermount3", "-u", dir)
}
