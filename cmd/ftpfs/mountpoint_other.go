//go:build !linux

package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"syscall"
)

// mountedAt returns the mount at dir, nil if there is none. Without a list of
// mounts that can be read alike everywhere it goes by the device number, so
// the kind of the mount stays unknown.
func mountedAt(dir string) (*mount, error) {
	var here, above syscall.Stat_t
	if syscall.Stat(dir, &here) != nil || syscall.Stat(filepath.Dir(dir), &above) != nil {
		return nil, nil // what is wrong with dir is said by its check
	}
	if here.Dev == above.Dev {
		return nil, nil
	}
	return &mount{dir: dir, uid: -1}, nil
}

func unmountCommand(ctx context.Context, dir string) *exec.Cmd {
	return exec.CommandContext(ctx, "umount", dir)
}
