package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ftpfs/conn"
	"ftpfs/fs/transfer"
)

// The control socket of a mount speaks JSON, one value a line: the client
// sends one request, the server answers with responses; the last one is Done
// or has an Error.

// Commands of a request.
const (
	cmdStatus   = "status"
	cmdFlush    = "flush"    // upload what is pending
	cmdRefresh  = "refresh"  // forget listings: those of Path, or all
	cmdUmount   = "umount"   // flush, unmount, end
	cmdHandOver = "handover" // after the mount is gone: end now and leave the journal to another process
)

type request struct {
	Command string `json:"command"`
	Path    string `json:"path,omitempty"` // below the mountpoint
}

type response struct {
	Status  *mountStatus `json:"status,omitempty"`
	Pending *int         `json:"pending,omitempty"` // files to upload, while a command waits for them
	Note    string       `json:"note,omitempty"`    // a line for the user
	Error   string       `json:"error,omitempty"`
	Done    bool         `json:"done,omitempty"`
}

// mountStatus is what `ftpfs status --json` prints.
type mountStatus struct {
	PID        int             `json:"pid"`
	URL        string          `json:"url"` // without password
	Mountpoint string          `json:"mountpoint"`
	Identity   string          `json:"identity"`      // of the server, for the journal
	Mounted    bool            `json:"mounted"`       // false while uploads go on after the mount is gone
	Since      time.Time       `json:"since"`         // of the mount
	Uptime     float64         `json:"uptime"`        // seconds
	CacheDir   string          `json:"cache_dir"`     //
	Log        string          `json:"log,omitempty"` // file
	Sessions   conn.PoolStatus `json:"sessions"`      //
	Transfer   transfer.Status `json:"transfer"`      //
	ReadOnly   bool            `json:"read_only"`     //
}

// mountName is a short file name for a mountpoint: its last component for
// people, a hash of the whole path to tell it from others.
func mountName(mountpoint string) string {
	base := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, filepath.Base(mountpoint))
	sum := sha256.Sum256([]byte(mountpoint))
	return base[:min(len(base), 12)] + "-" + hex.EncodeToString(sum[:6])
}

const (
	socketExt   = ".sock"
	drainPrefix = ".draining-" // of the socket of a process whose mount is gone; then its pid
)

// runtimeDirs returns the folders where the control sockets of a user's mounts
// can be, the preferred one first.
func runtimeDirs(getenv func(string) string, uid int) []string {
	var dirs []string
	if d := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) {
		dirs = append(dirs, filepath.Join(d, "ftpfs"))
	}
	if uid == 0 {
		dirs = append(dirs, "/run/ftpfs")
	}
	// Not os.TempDir: $TMPDIR may differ between the mount and its client.
	return append(dirs, fmt.Sprintf("/tmp/ftpfs-%d", uid))
}

// makeRuntimeDir creates dir, or checks that it is a folder that nobody but
// uid can have prepared.
func makeRuntimeDir(dir string, uid int) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !st.IsDir() || st.Mode().Perm()&0o077 != 0 || !ok || int(sys.Uid) != uid {
		return fmt.Errorf("%s is not a folder that only user %d can enter: remove it", dir, uid)
	}
	return nil
}
