//go:build !linux

package cache

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// bootID is a random id of this boot where the system has one (FreeBSD 13 and
// macOS), else the time of boot.
func bootID() string {
	for _, name := range []string{"kern.boot_id", "kern.bootsessionuuid"} {
		if id, err := unix.Sysctl(name); err == nil && id != "" {
			return id
		}
	}
	if tv, err := unix.SysctlTimeval("kern.boottime"); err == nil {
		return strconv.FormatInt(int64(tv.Sec), 10)
	}
	return ""
}

// reflink is only known on Linux.
func reflink(_, _ *os.File) error { return errors.ErrUnsupported }

// copySparse copies the first n bytes of src, leaving out blocks of zeros.
func copySparse(dst, src *os.File, n int64) error { return copyRange(dst, src, 0, n) }

// writeBack waits for the disk, too.
func writeBack(f *os.File) error { return f.Sync() }

// tellsMaps is only known of Linux.
func tellsMaps(*os.File) bool { return false }

// writable is only known on Linux.
func writable(*os.File) (bool, error) { return false, errors.ErrUnsupported }

// punch is only known on Linux.
func punch(_ *os.File, _, _ int64) error { return errors.ErrUnsupported }
