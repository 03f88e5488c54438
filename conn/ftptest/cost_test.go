package ftptest_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jlaffaye/ftp"

	"ftpfs/conn/ftptest"
	"ftpfs/conn/ftptest/server"
)

// TestCost measures a plain session in virtual time: what a step costs is
// exact, and equals what FTP.md measured on ProFTPD.
func TestCost(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		var c *client
		cost := func(what string, want time.Duration, step func()) {
			t.Helper()
			began := time.Now()
			step()
			if got := time.Since(began); got != want {
				t.Errorf("%s costs %v, want %v", what, got, want)
			}
		}
		cost("login", 5*rtt, func() { c = login(t, s) }) // connect, greeting, USER, PASS, TYPE
		cost("NOOP", rtt, func() { c.cmd("NOOP", "200 NOOP command successful") })
		cost("LIST", 80*time.Millisecond, func() { c.get("LIST") }) // EPSV, connect, LIST, the end of data
		cost("STOR", 80*time.Millisecond, func() { c.put("STOR f", "hello") })
		cost("RETR", 80*time.Millisecond, func() { c.get("RETR f") })
		d := c.data()
		cost("warm RETR", 2*rtt, func() {
			c.send("RETR f")
			c.expect("150 Opening BINARY mode data connection for f (5 bytes)")
			if b, err := io.ReadAll(d); string(b) != "hello" || err != nil {
				t.Error(string(b), err)
			}
			d.Close()
			c.expect("226 Transfer complete")
		})
		cost("four commands in a packet", rtt, func() {
			c.send("PWD\r\nNOOP\r\nNOOP\r\nNOOP")
			for range 4 {
				c.read()
			}
		})
	})
}

// TestLibraryInVirtualTime shows the library's own cost on the same network.
func TestLibraryInVirtualTime(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		c, err := ftp.Dial(s.Addr, ftp.DialWithDialFunc(func(network, address string) (net.Conn, error) {
			return s.Dial(t.Context(), network, address)
		}))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Login(ftptest.User, ftptest.Password); err != nil {
			t.Fatal(err)
		}
		s.ResetLog()
		began := time.Now()
		if err := c.Stor("f", strings.NewReader("abc")); err != nil {
			t.Error(err)
		}
		if _, err := c.List("/"); err != nil {
			t.Error(err)
		}
		if got, want := time.Since(began), 8*rtt; got != want {
			t.Errorf("STOR and MLSD cost %v, want %v", got, want)
		}
		if err := c.Quit(); err != nil {
			t.Error(err)
		}
		s.WaitSessions(0)
		var verbs []string
		for _, cmd := range s.Log() {
			verbs = append(verbs, cmd.Verb)
		}
		if diff := cmp.Diff([]string{"EPSV", "STOR", "EPSV", "MLSD", "QUIT"}, verbs); diff != "" {
			t.Error(diff)
		}
	})
}

func TestLog(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		a, b := login(t, s), login(t, s)
		s.ResetLog()
		began := time.Now()
		a.cmd("size x y", "550 x y: No such file or directory")
		b.cmd("XYZ", "500 XYZ not understood")
		want := []ftptest.Command{
			{Session: 1, Verb: "SIZE", Arg: "x y", At: began.Add(rtt / 2)},
			{Session: 2, Verb: "XYZ", At: began.Add(rtt + rtt/2)},
		}
		if diff := cmp.Diff(want, s.Log()); diff != "" {
			t.Error(diff)
		}
		if s.Count("SIZE") != 1 || s.Count("NOOP") != 0 {
			t.Error("Count disagrees with", s.Log())
		}
	})
}

func TestSessions(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		a, b := login(t, s), login(t, s)
		s.WaitSessions(2)
		a.cmd("QUIT", "221 Goodbye.")
		s.WaitSessions(1)
		s.DropSessions()
		b.expect("EOF")
		s.WaitSessions(0)
		s.Stop()
		if _, err := s.Dial(t.Context(), "tcp", s.Addr); err == nil {
			t.Error("a stopped server takes connections")
		}
		addr := s.Addr
		s.Restart()
		login(t, s)
		if log := s.Log(); s.Addr != addr || log[len(log)-1].Session != 3 {
			t.Error(s.Addr, addr, log)
		}
	})
}

func TestOptions(t *testing.T) {
	root := t.TempDir()
	s := ftptest.Start(t, ftptest.WithRoot(root), ftptest.WithConfig(func(c *server.Config) { c.ReadOnly = true }))
	if s.Root != root {
		t.Errorf("root is %q, want %q", s.Root, root)
	}
	login(t, s).cmd("MKD d", "550 d: Read-only file system")
}

// TestDelay checks that the real delay is not less than it should be, and that
// big transfers survive it.
func TestDelay(t *testing.T) {
	const rtt = 10 * time.Millisecond
	s := ftptest.Start(t, ftptest.WithDelay(rtt))
	if want := "ftp://u:p@" + s.Addr + "/"; s.URL() != want {
		t.Errorf("URL %q, want %q", s.URL(), want)
	}
	began := time.Now()
	c := login(t, s)
	if took := time.Since(began); took < 5*rtt {
		t.Errorf("login took %v, want at least %v", took, 5*rtt)
	}
	big := strings.Repeat("0123456789abcdef", 1<<18)
	if final := c.put("STOR big", big); final != "226 Transfer complete" {
		t.Error(final)
	}
	began = time.Now()
	if got, final, err := c.get("RETR big"); got != big || err != nil || final != "226 Transfer complete" {
		t.Error(len(got), err, final)
	}
	if took := time.Since(began); took < 4*rtt {
		t.Errorf("RETR took %v, want at least %v", took, 4*rtt)
	}
	if err := os.WriteFile(filepath.Join(s.Root, "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d := c.data().(*net.TCPConn)
	c.cmd("STOR f", "150 Opening BINARY mode data connection for f")
	if err := d.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	d.Close()
	c.expect("426 Transfer aborted. Data connection closed")
	c.cmd("QUIT", "221 Goodbye.")
	s.WaitSessions(0)
}

// A delayed client that never closes its side must not outlive the test.
func TestDelayedClientStays(t *testing.T) {
	s := ftptest.Start(t, ftptest.WithDelay(time.Millisecond))
	c := login(t, s)
	s.Stop()
	c.expect("EOF")
}
