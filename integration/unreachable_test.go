//go:build linux

package integration

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPendingWithoutServer: what a mount that was killed has not uploaded can
// be read and written on in the next one, before the server is back. Ending
// that waits for nobody, and the one after it uploads all.
func TestPendingWithoutServer(t *testing.T) {
	for _, k := range bothServers {
		t.Run(string(k), func(t *testing.T) {
			s := startServer(t, k)
			putDir(t, s.Served+"/d")
			m := mount(t, s, faultTimeout, "--delay-connect", "--retry=0")
			m.Expect("level=WARN")
			f := openFile(t, m.Dir+"/d/f", syscall.O_RDWR|syscall.O_CREAT)
			must(t, f.Sync())
			must(t, errOf(f.WriteString("kept")))
			s.Kill()
			wantErrno(t, f.Close(), outage...)
			m.Kill()

			m.Start(t)
			equal(t, "before the server is back", sh(t, m.Dir, "cat d/f; stat -c %s d/f"), "kept4")
			f = openFile(t, m.Dir+"/d/f", syscall.O_WRONLY|syscall.O_APPEND)
			must(t, errOf(f.WriteString(" and more\n")))
			wantErrno(t, f.Close(), outage...)
			equal(t, "written on", sh(t, m.Dir, "cat d/f"), "kept and more")
			start := time.Now()
			o := ftpfs(t, nil, "umount", m.Dir)
			equal(t, "exit code of umount", o.Code, exitFailure)
			if took := time.Since(start); took > 2*faultLimit || !strings.Contains(o.Stderr, "not on the server yet: 1") {
				t.Errorf("umount took %v and said %q", took, o.Stderr)
			}
			m.killed = true // it ends with 1, too
			m.Wait(t)

			s.Start(t)
			m.Start(t)
			eventually(t, 20*time.Second, func() error { return holds(s.Served+"/d/f", []byte("kept and more\n")) })
		})
	}
}
