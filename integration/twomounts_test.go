//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestTwoMounts: what is changed in one mount shows in another one of the same
// folder after at most --dir-ttl, though that one knew better before.
func TestTwoMounts(t *testing.T) {
	const ttl = 2 * time.Second
	for _, k := range everyServer {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k)
			for _, name := range []string{"grows", "goes", "moves", "stays"} {
				put(t, s.Served+"/"+name, []byte(name))
			}
			putDir(t, s.Served+"/d")
			flag := "--dir-ttl=" + ttl.String()
			a, b := mount(t, s, flag), mount(t, s, flag)
			equal(t, "before", sh(t, b.Dir, "ls; ls d; cat grows goes moves stays; ! stat moved d/new 2> /dev/null"),
				"d\ngoes\ngrows\nmoves\nstays\ngrowsgoesmovesstays")
			sh(t, a.Dir, "echo more >> grows; rm goes; mv moves moved; echo new > d/new; mkdir d/sub")
			changed := time.Now()
			eventually(t, ttl+time.Second, func() error { return seesOther(b.Dir) })
			t.Logf("seen after %v", time.Since(changed).Round(time.Millisecond))
			// And the other way round, in what the first one made itself.
			sh(t, b.Dir, "echo again >> grows; rm d/new; mv stays d/sub/stays")
			eventually(t, ttl+time.Second, func() error {
				_, err := os.Lstat(a.Dir + "/d/new")
				if !errors.Is(err, fs.ErrNotExist) {
					err = fmt.Errorf("d/new: %v", err)
				} else {
					err = nil
				}
				return errors.Join(err, holds(a.Dir+"/grows", []byte("growsmore\nagain\n")), holds(a.Dir+"/d/sub/stays", []byte("stays")))
			})
			a.Unmount(t) // each checks that no session is left at the server
			b.Unmount(t)
			the.found.ended(t, "")
		})
	}
}

// seesOther returns what dir does not show of the first mount's changes.
func seesOther(dir string) error {
	errs := []error{holds(dir+"/grows", []byte("growsmore\n")), holds(dir+"/moved", []byte("moves")), holds(dir+"/d/new", []byte("new\n"))}
	for _, name := range []string{"goes", "moves"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("%s: %v", name, err))
		}
	}
	entries, err := os.ReadDir(dir + "/d")
	if len(entries) != 2 {
		errs = append(errs, fmt.Errorf("d holds %v", entries))
	}
	return errors.Join(append(errs, err)...)
}

// TestDelayConnect: with --delay-connect a mount is there at once while the
// server is down, says so, and works when the server is up. The folder of the
// URL may be relative to the login folder, which nobody knows yet.
func TestDelayConnect(t *testing.T) {
	s := startServer(t, vsftpd, "chroot_local_user=NO") // the login folder is not "/"
	putDir(t, s.Served+"/sub")
	put(t, s.Served+"/sub/hello", []byte("hello"))
	pw := passwordFile(t, ftpPassword)
	for _, c := range []struct{ name, path, sub string }{
		{"login", "/", "sub/"},
		{"relative", "/sub/", ""},
		{"absolute", "/" + s.Served + "/sub", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.Kill()
			dir := mountpoint(t)
			refused := ftpfs(t, nil, "--password-file", pw, "--cache-dir", t.TempDir(), s.URL(c.path), dir)
			equal(t, "exit code without --delay-connect", refused.Code, exitConnect)
			start := time.Now()
			detach(t, nil, dir, s.URL(c.path), "--delay-connect", "--password-file", pw, "--cache-dir", t.TempDir())
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("it was mounted after %v", d)
			}
			wantErrno(t, errOf(os.ReadDir(dir)), syscall.EHOSTDOWN)
			wantErrno(t, errOf(os.ReadFile(dir+"/hello")), syscall.EHOSTDOWN)
			wantErrno(t, os.WriteFile(dir+"/new", nil, 0o644), syscall.EHOSTDOWN)
			wantErrno(t, os.Mkdir(dir+"/new", 0o755), syscall.EHOSTDOWN)
			must(t, syscall.Statfs(dir, new(syscall.Statfs_t)))
			s.Start(t)
			eventually(t, 10*time.Second, func() error { return errOf(os.ReadDir(dir)) })
			equal(t, "hello", sh(t, dir, fmt.Sprintf("cat %shello; echo %s > %[1]s%[2]s", c.sub, c.name)), "hello")
			must(t, holds(s.Served+"/sub/"+c.name, []byte(c.name+"\n")))
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		o := ftpfs(t, nil, "--delay-connect", "--password-file", passwordFile(t, "wrong"), "--cache-dir", t.TempDir(), s.URL("/"), mountpoint(t))
		checkRefusal(t, o, exitConnect, []string{"password"})
	})
	t.Run("never up", func(t *testing.T) {
		s.Kill()
		dir := mountpoint(t)
		detach(t, nil, dir, s.URL("/"), "--delay-connect", "--password-file", pw, "--cache-dir", t.TempDir())
		wantErrno(t, errOf(os.ReadDir(dir)), syscall.EHOSTDOWN)
		umountDetached(t, dir)
	})
}

// TestDelayedUpload: what an earlier mount could not upload is shown by one
// that begins without the server, and goes up when it is there.
func TestDelayedUpload(t *testing.T) {
	s := startServer(t, proftpd)
	m := mount(t, s, "--delay-connect", "--retry=0")
	m.Expect("level=WARN")
	sh(t, m.Dir, "echo one > f; cat f")
	f := openFile(t, m.Dir+"/f", os.O_WRONLY|os.O_APPEND)
	must(t, errOf(f.WriteString("two\n")))
	s.Kill()
	wantErrno(t, f.Close(), outage...)
	m.Kill()
	m.Start(t)
	must(t, holds(m.Dir+"/f", []byte("one\ntwo\n")))
	s.Start(t)
	eventually(t, 30*time.Second, func() error { return holds(s.Served+"/f", []byte("one\ntwo\n")) })
	must(t, holds(m.Dir+"/f", []byte("one\ntwo\n")))
}

// TestBandwidth: --bwlimit holds for what is read and for what is written, for
// all sessions together.
func TestBandwidth(t *testing.T) {
	const size = 3 << 20
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k)
			content := randomBytes(1, size)
			put(t, s.Served+"/whole", content)
			put(t, s.Served+"/half0", content[:size/2])
			put(t, s.Served+"/half1", content[size/2:])
			all := func(m *mounted) (took [3]time.Duration) {
				for i, f := range []func(){
					func() { must(t, holds(m.Dir+"/whole", content)) },
					func() {
						together(2, func(i int) {
							if err := holds(fmt.Sprintf("%s/half%d", m.Dir, i), content[i*size/2:(i+1)*size/2]); err != nil {
								t.Error(err)
							}
						})
					},
					func() { must(t, os.WriteFile(m.Dir+"/new", content, 0o644)) },
				} {
					start := time.Now()
					f()
					took[i] = time.Since(start).Round(time.Millisecond)
				}
				t.Logf("a file read, two at once, one written: %v", took)
				return took
			}
			free := mount(t, s)
			unlimited := all(free)
			free.Unmount(t)
			for i, took := range all(mount(t, s, "--bwlimit=1M")) {
				// 3 s; a burst and the sockets' buffers at the end cost nothing.
				if took < 2*time.Second || took > 15*time.Second || took < 3*unlimited[i] {
					t.Errorf("3 MiB at 1 MiB/s took %v, without a limit %v", took, unlimited[i])
				}
			}
			must(t, holds(s.Served+"/new", content))
		})
	}
}
