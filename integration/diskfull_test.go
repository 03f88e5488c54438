//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startOnSmallDisk starts a server whose folder is a tmpfs of so many bytes.
func startOnSmallDisk(t *testing.T, k kind, size int) *server {
	t.Helper()
	s := startServer(t, k)
	s.Kill()
	must(t, syscall.Mount("small", s.Served, "tmpfs", 0, fmt.Sprintf("size=%d,mode=755,uid=%d", size, ftpUID)))
	t.Cleanup(func() { must(t, syscall.Unmount(s.Served, syscall.MNT_DETACH)) })
	s.Start(t)
	return s
}

// TestDiskFull: a server without space refuses what does not fit, the program
// hears of it, and what fits afterwards is taken.
func TestDiskFull(t *testing.T) {
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startOnSmallDisk(t, k, 4<<20)
			m := mount(t, s)
			m.Expect("level=WARN")
			// It becomes full in the middle of the upload.
			// A program of its own writes: this one forks, which makes copies of its descriptors.
			if said := shFails(t, m.Dir, "head -c 8M /dev/urandom > large"); !strings.Contains(said, "No space left on device") {
				t.Errorf("head said %q", said)
			}
			sh(t, m.Dir, "rm -f large")
			// A try that was under way gives its space back in the background.
			eventually(t, 10*time.Second, func() error { return os.WriteFile(m.Dir+"/small", []byte("fits"), 0o644) })
			must(t, holds(s.Served+"/small", []byte("fits")))
			must(t, holds(m.Dir+"/small", []byte("fits")))
			m.Unmount(t)
			noTemporaries(t, s.Served)
			the.found.ended(t, "")
		})
	}
}

// TestNoSpaceLeft: on a disk that is full all that needs no space works, what
// needs some is refused and leaves the version that was there, and when there
// is space again it is as before.
func TestNoSpaceLeft(t *testing.T) {
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startOnSmallDisk(t, k, 8<<20)
			old := randomBytes(43, 300_000)
			for _, name := range []string{"replaced", "appended", "patched", "synced"} {
				put(t, s.Served+"/"+name, old)
			}
			stock(t, s, 3)
			m := mount(t, s)
			m.Expect("level=WARN") // what was refused is in the recovery folder
			sh(t, m.Dir, "cat replaced d0/f > /dev/null")
			err := os.WriteFile(s.Served+"/filler", make([]byte, 8<<20), 0o600)
			wantErrno(t, err, syscall.ENOSPC)

			wantErrno(t, os.WriteFile(m.Dir+"/replaced", randomBytes(44, 400_000), 0o644), syscall.ENOSPC)
			wantErrno(t, writeAt(m.Dir+"/appended", os.O_WRONLY|os.O_APPEND, 50_000, false), syscall.ENOSPC)
			wantErrno(t, writeAt(m.Dir+"/patched", os.O_RDWR, 50_000, false), syscall.ENOSPC)
			wantErrno(t, writeAt(m.Dir+"/synced", os.O_RDWR, 50_000, true), syscall.ENOSPC)
			wantErrno(t, os.WriteFile(m.Dir+"/new", randomBytes(45, 100_000), 0o644), syscall.ENOSPC)
			for _, root := range []string{m.Dir, s.Served} {
				for _, name := range []string{"replaced", "appended", "patched", "synced"} {
					if err := holds(root+"/"+name, old); err != nil {
						t.Error("the old version:", err)
					}
				}
				// The open has made it, or not; nothing that was refused is there.
				if b, err := os.ReadFile(root + "/new"); len(b) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("new: %d bytes, %v", len(b), err)
				}
			}
			sh(t, m.Dir, "ls -l > /dev/null; cat d0/f; mv d0/f d0/g; mv d0 moved; chmod 600 moved/g; rm d1/f; rmdir d1; rm -f new")
			equal(t, "on the server", sh(t, s.Served, "ls -A; stat -c %a moved/g"), "appended\nd2\nfiller\nmoved\npatched\nreplaced\nsynced\n600")

			must(t, os.Remove(s.Served+"/filler"))
			must(t, os.WriteFile(m.Dir+"/replaced", old[:200_000], 0o644))
			must(t, writeAt(m.Dir+"/appended", os.O_WRONLY|os.O_APPEND, 50_000, false))
			must(t, os.WriteFile(m.Dir+"/new", old, 0o644))
			sh(t, m.Dir, "mkdir d1; cp new d1/")
			m.Unmount(t)
			must(t, holds(s.Served+"/replaced", old[:200_000]))
			must(t, holds(s.Served+"/appended", append(slices.Clip(old), randomBytes(46, 50_000)...)))
			must(t, holds(s.Served+"/d1/new", old))
			noTemporaries(t, s.Served)
			the.found.ended(t, "")
		})
	}
}

// writeAt writes n bytes at the beginning of a file, or at its end with
// O_APPEND, and returns the first error of write, fsync if it is asked for,
// and close.
func writeAt(name string, flags, n int, sync bool) error {
	f, err := os.OpenFile(name, flags, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(randomBytes(46, n))
	if err == nil && sync {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
