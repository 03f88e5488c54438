package fs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// mountInfo is one line of /proc/self/mountinfo; proc(5).
type mountInfo struct {
	device string // major:minor
	point  string
	fsType string
}

// mountAt returns the topmost mount at dir. It reads only /proc: the process
// that serves a mount must not touch it.
func mountAt(dir string) (found mountInfo, ok bool, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return found, false, err
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return found, false, err
	}
	defer f.Close()
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		_, rest, _ := strings.Cut(lines.Text(), " - ")
		if len(fields) < 5 || unescape.Replace(fields[4]) != dir {
			continue
		}
		fsType, _, _ := strings.Cut(rest, " ")
		found, ok = mountInfo{device: fields[2], point: dir, fsType: fsType}, true
	}
	return found, ok, lines.Err()
}

// raiseReadAhead lets the kernel read kib KiB ahead: FUSE can only lower its
// 128 KiB. Root only.
func raiseReadAhead(dir string, kib int) error {
	m, ok, err := mountAt(dir)
	if err != nil || !ok {
		return errors.Join(err, syscall.ENOENT)
	}
	return os.WriteFile("/sys/class/bdi/"+m.device+"/read_ahead_kb", fmt.Appendln(nil, kib), 0o644)
}

// detach unmounts dir lazily.
func detach(ctx context.Context, dir string) error {
	if err := syscall.Unmount(dir, syscall.MNT_DETACH); err == nil {
		return nil
	}
	if out, err := exec.CommandContext(ctx, "fusermount3", "-u", "-z", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("fusermount3 -uz: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// DetachDead detaches the mount at dir if it is an ftpfs whose process is
// gone, and tells whether it did.
func DetachDead(dir string) (bool, error) {
	m, ok, err := mountAt(dir)
	if err != nil || !ok || m.fsType != "fuse.ftpfs" {
		return false, err
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != syscall.ENOTCONN { // stat would be answered from the kernel's cache
		return false, nil
	}
	return true, detach(context.Background(), dir)
}

// mayBypass tells whether the kernel would let us hand it files: it asks for
// CAP_SYS_ADMIN.
func mayBypass() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}
