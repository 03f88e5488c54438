package main

import (
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// mountAdvice says what is probably missing when mounting fails.
func mountAdvice() string {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return "there is no /dev/fuse: load the kernel module fuse, or give the container that device"
	}
	if unix.Access("/dev/fuse", unix.R_OK|unix.W_OK) != nil {
		return "you may not open /dev/fuse: have root run chmod a+rw /dev/fuse, or make you a member of its group"
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return "install fuse3"
	}
	return "see the log with --foreground --log-level=debug"
}
