//go:build linux

package integration

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mountLimit is how long one mount may live: a test that hangs gets the
// goroutines of ftpfs in its log instead of running into go test's timeout.
const mountLimit = 8 * time.Minute

// mounted is a running ftpfs.
type mounted struct {
	Dir    string  // the mountpoint
	Cache  string  // its --cache-dir
	server *server // nil: the demo's own
	flags  []string
	cmd    *exec.Cmd
	log    string        // file with all that it writes, over restarts
	done   chan struct{} // closed when the process has ended
	expect []string      // parts of warnings that the test expects
	killed bool          // by the test: no exit status is wanted
}

// mount mounts the server's root folder until the test ends; then it is
// unmounted and must have left nothing, see finish.
func mount(t *testing.T, s *server, flags ...string) *mounted {
	t.Helper()
	m := &mounted{Dir: mountpoint(t), Cache: t.TempDir(), server: s}
	m.flags = slices.Concat(flags, strings.Fields(os.Getenv("FTPFS_ARGS")))
	m.Start(t)
	return m
}

// Start starts the process, also again after Kill or Unmount, and waits until
// it is mounted.
func (m *mounted) Start(t *testing.T) {
	t.Helper()
	m.run(t, slices.Concat([]string{"--foreground", "--cache-dir", m.Cache, "--password-file", passwordFile(t, ftpPassword)},
		m.flags, []string{m.server.URL("/"), m.Dir}))
}

// run starts the process with these arguments and waits until it is mounted.
func (m *mounted) run(t *testing.T, args []string) {
	t.Helper()
	if m.log == "" {
		m.log = filepath.Join(t.TempDir(), "log")
		t.Cleanup(func() { m.finish(t) })
	}
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer log.Close()
	cmd, done := exec.Command(the.program(t), args...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	watchdog := time.AfterFunc(mountLimit, func() { cmd.Process.Signal(syscall.SIGQUIT) })
	go func() {
		cmd.Wait()
		watchdog.Stop()
		close(done)
	}()
	m.cmd, m.done, m.killed = cmd, done, false
	eventually(t, 20*time.Second, func() error {
		if m.ended() {
			return fmt.Errorf("ftpfs ended: %v: %s", m.cmd.ProcessState, m.Log())
		}
		// A dead mount of the process before may be there until it is replaced.
		var st syscall.Statfs_t
		if err := syscall.Statfs(m.Dir, &st); err != nil || st.Type != unix.FUSE_SUPER_MAGIC {
			return fmt.Errorf("not mounted: %v: %s", err, m.Log())
		}
		return nil
	})
}

// URL names a path on the server, without a password.
func (s *server) URL(path string) string {
	u := url.URL{Scheme: "ftp", User: url.User(ftpUser), Host: s.Addr(), Path: path}
	return u.String()
}

// passwordFile returns a private file with the password.
func passwordFile(t *testing.T, password string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(name, []byte(password+"\n"), 0o600))
	return name
}

// Expect says that warnings with these words are part of the test.
func (m *mounted) Expect(words ...string) { m.expect = append(m.expect, words...) }

// Log returns what the process wrote so far.
func (m *mounted) Log() string { return tailOf(m.log, 1<<30) }

// Unmount ends the mount as a user does, and waits for the process.
func (m *mounted) Unmount(t *testing.T) {
	t.Helper()
	if out, errs, err := command("/", the.program(t), "umount", m.Dir); err != nil {
		t.Errorf("ftpfs umount: %v: %s%s", err, out, errs)
	}
	m.Wait(t)
}

// Kill ends the process with SIGKILL; its mount stays behind, dead.
func (m *mounted) Kill() {
	m.killed = true
	m.cmd.Process.Kill()
	<-m.done
}

// Wait waits for the end of the process, which must come without a signal of
// ours, and with status 0.
func (m *mounted) Wait(t *testing.T) {
	t.Helper()
	select {
	case <-m.done:
		if !m.killed {
			equal(t, "exit status of ftpfs", m.cmd.ProcessState.String(), "exit status 0")
		}
	case <-time.After(30 * time.Second):
		m.cmd.Process.Signal(syscall.SIGQUIT)
		<-m.done
		t.Errorf("ftpfs did not end within 30 s; its goroutines are in the log")
	}
}

func (m *mounted) ended() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// finish ends the mount if the test did not, and checks that nothing is left:
// no mount, no session on the server, nothing pending in the cache folder, no
// data race and no warning that the test did not expect.
func (m *mounted) finish(t *testing.T) {
	t.Helper()
	if !m.ended() {
		m.Unmount(t)
	}
	m.Wait(t)
	if left, ok := mountedAt(m.Dir); ok {
		if !m.killed {
			t.Errorf("still mounted: %v", left)
		}
		syscall.Unmount(m.Dir, unix.MNT_FORCE|unix.MNT_DETACH)
	}
	if m.server != nil && m.server.cmd != nil {
		eventually(t, 10*time.Second, func() error {
			if n := m.server.Sessions(); n != 0 {
				return fmt.Errorf("%d sessions left on the server", n)
			}
			return nil
		})
	}
	if !m.killed && m.Cache != "" {
		if left := pendingIn(m.Cache); len(left) > 0 {
			t.Errorf("the cache folder has something pending: %q", left)
		}
		if left := recoveredIn(m.Cache); len(left) > 0 && len(m.expect) == 0 {
			t.Errorf("bytes did not reach the server: %q", left)
		}
	}
	checkLog(t, m.Log(), m.expect)
	if t.Failed() {
		t.Logf("log of ftpfs:\n%s", lastLines(m.Log(), 60))
	}
}

// lastLines returns the last n lines of a log, then the beginning of the
// stacks that SIGQUIT made it end in.
func lastLines(log string, n int) string {
	log, stacks, _ := strings.Cut(log, "SIGQUIT: quit")
	lines := strings.SplitAfter(log, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "") + stacks[:min(len(stacks), 20_000)]
}

// alarming matches log lines that somebody should look at.
var alarming = regexp.MustCompile(`level=(WARN|ERROR)|DATA RACE|^panic:|^fatal error:|goroutine \d+ \[`)

// checkLog fails the test for the first lines that it did not expect.
func checkLog(t *testing.T, log string, expect []string) {
	t.Helper()
	shown := 0
	for line := range strings.Lines(log) {
		expected := func(words string) bool { return strings.Contains(line, words) }
		if !alarming.MatchString(line) || slices.ContainsFunc(expect, expected) {
			continue
		}
		if shown++; shown > 5 {
			return
		}
		t.Errorf("unexpected in the log: %s", strings.TrimSpace(line))
	}
}
