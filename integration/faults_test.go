//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"
)

const (
	faultTimeout = "--timeout=3s"
	// faultLimit is how long a call may take on a server that does not
	// answer: a reply on the session at hand, then on a fresh one.
	faultLimit = 12 * time.Second
)

// outage lists what a call returns while the server is away.
var outage = []syscall.Errno{syscall.ETIMEDOUT, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ECONNREFUSED, syscall.EIO}

// stock fills the served folder with n folders of one file each.
func stock(t *testing.T, s *server, n int) {
	t.Helper()
	for i := range n {
		putDir(t, fmt.Sprintf("%s/d%d", s.Served, i))
		put(t, fmt.Sprintf("%s/d%d/f", s.Served, i), fmt.Appendf(nil, "file %d", i))
	}
}

// calls are ones that need the server, each in a folder of its own.
func calls(dir string) map[string]func() error {
	return map[string]func() error{
		"ls":     func() error { return errOf(os.ReadDir(dir + "/d0")) },
		"stat":   func() error { return errOf(os.Stat(dir + "/d1/f")) },
		"read":   func() error { return errOf(os.ReadFile(dir + "/d2/f")) },
		"create": func() error { return os.WriteFile(dir+"/d3/new", []byte("new"), 0o644) },
		"mkdir":  func() error { return os.Mkdir(dir+"/d4/new", 0o755) },
		"rename": func() error { return os.Rename(dir+"/d5/f", dir+"/d5/g") },
		"remove": func() error { return os.Remove(dir + "/d6/f") },
		"chmod":  func() error { return os.Chmod(dir+"/d7/f", 0o600) },
	}
}

// fails runs all calls at once; each must fail for the outage, in time.
func fails(t *testing.T, dir string) {
	t.Helper()
	type result struct {
		name string
		err  error
		took time.Duration
	}
	results := make(chan result)
	all := calls(dir)
	for name, call := range all {
		go func() {
			start := time.Now()
			err := call()
			results <- result{name, err, time.Since(start)}
		}()
	}
	for range all {
		r := <-results
		t.Logf("%s: %v after %v", r.name, r.err, r.took.Round(time.Millisecond))
		wantErrno(t, r.err, outage...)
		if r.took > faultLimit {
			t.Errorf("%s took %v", r.name, r.took)
		}
	}
}

// works waits until all calls succeed again, except what an earlier try did.
func works(t *testing.T, dir string) {
	t.Helper()
	for name, call := range calls(dir) {
		eventually(t, 15*time.Second, func() error {
			err := call()
			switch {
			case name == "mkdir" && os.IsExist(err), (name == "rename" || name == "remove") && os.IsNotExist(err):
				return nil
			case err != nil:
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
}

// TestServerHangs: a server that stops answering makes calls fail in time,
// what is known here still answers, and all works when it goes on.
// Not parallel, as the next: the forks of others would close their copies of the
// file that is being written, which uploads it.
func TestServerHangs(t *testing.T) {
	for k, forked := range map[kind]bool{proftpd: false, vsftpd: true, pureftpd: false, pyftpdlib: false} {
		t.Run(string(k), func(t *testing.T) {
			s := startServer(t, k)
			stock(t, s, 8)
			m := mount(t, s, faultTimeout, "--retry=0")
			m.Expect("level=WARN")
			equal(t, "folders", sh(t, m.Dir, "ls | wc -l"), "8")
			f := openFile(t, m.Dir+"/written", os.O_RDWR|os.O_CREATE)
			must(t, f.Sync())
			must(t, errOf(f.WriteString("written before")))
			s.Freeze()
			defer s.Thaw()
			start := time.Now()
			must(t, syscall.Statfs(m.Dir, new(syscall.Statfs_t)))
			must(t, errOf(os.Stat(m.Dir+"/d0")))
			if d := time.Since(start); d > time.Second {
				t.Errorf("statfs and stat took %v", d)
			}
			if forked {
				sh(t, "/", "true") // a fork closes its copy of f, which nobody hears of
			}
			wantErrno(t, f.Close(), outage...)
			if d := time.Since(start); d > 2*faultLimit {
				t.Errorf("close took %v", d)
			}
			fails(t, m.Dir)
			s.Thaw()
			works(t, m.Dir)
			// What close could not send is kept and sent.
			eventually(t, 30*time.Second, func() error { return holds(s.Served+"/written", []byte("written before")) })
			must(t, holds(m.Dir+"/written", []byte("written before")))
			the.found.ended(t, "")
		})
	}
}

// TestServerRestarts: the server dies with all its sessions and comes back.
func TestServerRestarts(t *testing.T) {
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			s := startServer(t, k)
			stock(t, s, 8)
			large := randomBytes(40, 16<<20)
			put(t, s.Served+"/large", large)
			m := mount(t, s, faultTimeout, "--retry=0")
			m.Expect("level=WARN")
			r := openFile(t, m.Dir+"/large", os.O_RDONLY)
			head := make([]byte, 100_000)
			must(t, errOf(io.ReadFull(r, head)))
			w := openFile(t, m.Dir+"/written", os.O_RDWR|os.O_CREATE)
			must(t, w.Sync())
			must(t, errOf(w.WriteString("written before")))
			s.Kill()
			fails(t, m.Dir)
			wantErrno(t, w.Close(), outage...)
			s.Start(t)
			works(t, m.Dir)
			rest, err := io.ReadAll(r)
			must(t, err)
			equal(t, "large", bytes.Equal(append(head, rest...), large), true)
			eventually(t, 30*time.Second, func() error { return holds(s.Served+"/written", []byte("written before")) })
			sh(t, m.Dir, "echo x > after; cat after d0/f")
			must(t, holds(s.Served+"/after", []byte("x\n")))
			the.found.ended(t, "")
		})
	}
}

// TestIdleSessions: a server that closes idle sessions is not noticed.
func TestIdleSessions(t *testing.T) {
	// Pure-FTPd counts minutes, and pyftpdlib not at all after a transfer.
	for k, conf := range map[kind]string{proftpd: "TimeoutIdle 1", vsftpd: "idle_session_timeout=1"} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k, conf)
			stock(t, s, 8)
			m := mount(t, s)
			for round := range 2 {
				sh(t, m.Dir, "ls")
				eventually(t, 30*time.Second, func() error {
					if n := s.Sessions(); n > 0 {
						return fmt.Errorf("%d sessions are open still", n)
					}
					return nil
				})
				equal(t, "after the server's timeout", sh(t, m.Dir, fmt.Sprintf("cat d%d/f; echo x > d%[1]d/new; cat d%[1]d/new", round)),
					fmt.Sprintf("file %dx", round))
			}
		})
	}
}

// TestOneSession: where the server allows one session, a download that nobody
// reads at the moment does not block the others.
func TestOneSession(t *testing.T) {
	for k, conf := range map[kind]string{proftpd: "MaxClients 1", vsftpd: "max_clients=1", pureftpd: "--maxclientsnumber=1", pyftpdlib: "server.max_cons_per_ip = 1"} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k, conf)
			stock(t, s, 8)
			large := randomBytes(41, 64<<20)
			put(t, s.Served+"/large", large)
			m := mount(t, s)
			m.Expect("level=WARN") // of the limit
			r := openFile(t, m.Dir+"/large", os.O_RDONLY)
			head := make([]byte, 1<<20)
			must(t, errOf(io.ReadFull(r, head)))
			start := time.Now()
			equal(t, "meanwhile", sh(t, m.Dir, "ls d0; cat d1/f; echo x > d2/new; cat d2/new"), "f\nfile 1x")
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("the others took %v", d)
			}
			rest, err := io.ReadAll(r)
			must(t, err)
			equal(t, "large", bytes.Equal(append(head, rest...), large), true)
			together(6, func(i int) {
				if err := os.WriteFile(fmt.Sprintf("%s/d%d/many", m.Dir, i), []byte("many"), 0o644); err != nil {
					t.Error(err)
				}
			})
			equal(t, "many", sh(t, s.Served, "cat d*/many"), "manymanymanymanymanymany")
			the.found.ended(t, "")
		})
	}
}

// TestInterrupt: a program that waits for a server that hangs can be ended.
func TestInterrupt(t *testing.T) {
	s := startServer(t, vsftpd)
	stock(t, s, 8)
	m := mount(t, s, "--timeout=20s")
	m.Expect("level=WARN")
	sh(t, m.Dir, "ls; cat d7/f")
	s.Freeze()
	defer s.Thaw()
	for i, program := range []string{"ls d%d", "cat d%d/f", "stat d%d/f", "mkdir d%d/new", "cp /etc/hostname d%d/new"} {
		for _, signal := range []string{"INT", "KILL"} {
			start := time.Now()
			shFails(t, m.Dir, fmt.Sprintf("timeout -s %s 0.3 "+program+" || exit 1", signal, i))
			if d := time.Since(start); d > 4*time.Second {
				t.Errorf("%s ended %v after SIG%s", program, d, signal)
			}
		}
	}
}
