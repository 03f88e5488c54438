//go:build linux

package integration

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestWriteBackEndings: with --write=back close does not wait for the server.
// What ends the mount waits for what is left, and it is all there.
func TestWriteBackEndings(t *testing.T) {
	for name, end := range endings() {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, proftpd)
			m := mount(t, s, "--write=back")
			sh(t, m.Dir, "mkdir d; echo first > d/first")
			s.Freeze()
			sh(t, m.Dir, "cd d; for i in $(seq 20); do echo $i > f$i; done")
			thawed := make(chan struct{})
			go func() {
				defer close(thawed)
				for len(pendingIn(m.Cache)) == 0 && !m.ended() {
				}
				s.Thaw()
			}()
			end(t, m)
			m.Wait(t)
			<-thawed
			equal(t, "files", sh(t, s.Served, "cd d; for i in $(seq 20); do cat f$i; done"), sh(t, "/", "seq 20"))
			noTemporaries(t, s.Served)
		})
	}
}

// TestSecondSignal: a second signal ends the mount at once. What is left is
// listed, and goes up with the next mount.
func TestSecondSignal(t *testing.T) {
	s := startServer(t, proftpd)
	m := mount(t, s, "--write=back")
	m.Expect("level=WARN")
	sh(t, m.Dir, "echo first > first; sync first")
	s.Freeze()
	sh(t, m.Dir, "echo one > one; echo two > two")
	eventually(t, 10*time.Second, func() error { // two at a time can be one
		if m.ended() {
			return nil
		}
		return cmp.Or(m.cmd.Process.Signal(syscall.SIGTERM), errors.New("it does not end"))
	})
	if code := m.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("ftpfs ended with %d, want 1", code)
	}
	m.killed = true
	s.Thaw()
	if o := ftpfs(t, nil, "recover", "--list", "--cache-dir", m.Cache); o.Code != 0 || strings.Count(o.Stdout, "goes up with the next mount") != 2 {
		t.Errorf("recover --list ended with %d: %s%s", o.Code, o.Stdout, o.Stderr)
	}
	m.Start(t)
	equal(t, "shown", sh(t, m.Dir, "cat one two"), "one\ntwo")
	if o := ftpfs(t, nil, "flush", m.Dir); o.Code != 0 {
		t.Errorf("ftpfs flush ended with %d: %s", o.Code, o.Stderr)
	}
	equal(t, "on the server", sh(t, s.Served, "cat one two"), "one\ntwo")
}

// TestRecoverTo: what the server refused is handed back.
func TestRecoverTo(t *testing.T) {
	s := startServer(t, vsftpd)
	m := mount(t, s)
	m.Expect("level=WARN")
	sh(t, m.Dir, "mkdir .git")
	put(t, s.Served+"/.git/index", []byte("base"))
	shFails(t, m.Dir, fmt.Sprintf("exec 3<>.git/index; cat <&3; echo theirs > %s/.git/index; echo ours >&3; cat .git/index; exit 1", s.Served))
	m.Unmount(t)
	to := t.TempDir()
	if o := ftpfs(t, nil, "recover", "--to", to, "--cache-dir", m.Cache); o.Code != 0 || !strings.Contains(o.Stdout, "/.git/index") {
		t.Errorf("recover --to ended with %d: %s%s", o.Code, o.Stdout, o.Stderr)
	}
	equal(t, "handed back", sh(t, to, "cat */.git/index"), "baseours")
	if left := recoveredIn(m.Cache); len(left) > 0 {
		t.Errorf("left in the recovery folder: %q", left)
	}
}
