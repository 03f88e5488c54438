package main

import "golang.org/x/sys/unix"

// processUmask returns the process's umask. Unix has no call that only reads
// it, so it is set twice; nothing creates files yet.
func processUmask() uint32 {
	mask := unix.Umask(0o077)
	unix.Umask(mask)
	return uint32(mask)
}
