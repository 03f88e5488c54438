//go:build !linux

package fs

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// raiseReadAhead: only Linux has the setting.
func raiseReadAhead(string, int) error { return errors.ErrUnsupported }

// detach unmounts dir by force: only Linux can do it lazily.
func detach(ctx context.Context, dir string) error {
	if out, err := exec.CommandContext(ctx, "umount", "-f", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("umount -f: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// DetachDead detaches a FUSE mount at dir whose process is gone, and tells
// whether it did.
func DetachDead(dir string) (bool, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != syscall.ENOTCONN {
		return false, nil
	}
	return true, detach(context.Background(), dir)
}

// mayBypass: only Linux can.
func mayBypass() bool { return false }
