package ftptest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn/ftptest"
)

const complete = "226 Transfer complete"

// stored writes a file into the server's folder.
func stored(t *testing.T, s *ftptest.Server, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.Root, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// has checks a file in the server's folder; "" stands for none.
func has(t *testing.T, s *ftptest.Server, name, want string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.Root, name))
	if string(b) != want || err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s holds %q, want %q (%v)", name, b, want, err)
	}
}

func TestRefuse(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		c := login(t, s)
		remove := s.Fault(ftptest.Refuse("STOR", 553, "No"))
		if got := c.put("STOR f", "x"); got != "553 No" {
			t.Error(got)
		}
		c.cmd("RETR f", "550 f: No such file or directory") // in step
		remove()
		remove()
		if got := c.put("STOR f", "x"); got != complete {
			t.Error(got)
		}
		s.Fault(ftptest.Refuse("SIZE", 450, "busy").OnArg("f").Once())
		c.cmd("SIZE g", "550 g: No such file or directory")
		c.cmd("SIZE f", "450 busy")
		c.cmd("SIZE f", "213 1")
		s.Fault(ftptest.Refuse(ftptest.Any, 421, "gone").OnSession(2).Times(2))
		other := dial(t, s)
		other.expect("220 ftpfs FTP server ready")
		c.cmd("NOOP", "200 NOOP command successful")
		other.cmd("NOOP", "421 gone")
		other.cmd("USER u", "421 gone")
		other.cmd("USER u", "331 Password required for u")
	})
}

func TestRefuseSession(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		s.Fault(ftptest.Refuse(ftptest.Greeting, 421, "too many").OnSession(2))
		login(t, s)
		c := dial(t, s)
		c.expect("421 too many")
		c.expect("EOF")
		login(t, s).cmd("", "500  not understood")
	})
}

// A refused transfer closes its data connection, so that nobody waits there.
func TestRefuseClosesData(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		c := login(t, s)
		s.Fault(ftptest.Refuse("RETR", 550, "No"))
		d := c.data()
		c.cmd("RETR f", "550 No")
		read(t, d, "", syscall.ECONNRESET, 0)
	})
}

func TestDrop(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		c := login(t, s)
		s.Fault(ftptest.DropBefore("MKD").Once())
		c.cmd("MKD d", "EOF")
		if _, err := os.Stat(filepath.Join(s.Root, "d")); !errors.Is(err, os.ErrNotExist) {
			t.Error("the command was executed:", err)
		}
		c = login(t, s)
		s.Fault(ftptest.DropAfter("MKD").ByReset().Once())
		c.send("MKD d")
		if _, err := c.text.ReadLine(); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(s.Root, "d")); err != nil {
			t.Error("the command was not executed:", err)
		}
		c = login(t, s)
		s.Fault(ftptest.DropAfter("STOR").Once())
		if got := c.put("STOR f", "whole"); got != "EOF" {
			t.Error(got)
		}
		has(t, s, "f", "whole")
		s.WaitSessions(0)
	})
}

func TestReplies(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		c := login(t, s)
		s.Fault(ftptest.ReplaceReply("STOR", 426, 226, "Transfer complete"))
		s.Fault(ftptest.CutData("STOR", 3).Once())
		if got := c.put("STOR f", "longer"); got != complete {
			t.Error(got)
		}
		has(t, s, "f", "lon")

		remove := s.Fault(ftptest.DelayReply("RETR", 226, time.Minute))
		began := time.Now()
		if got, final, err := c.get("RETR f"); got != "lon" || err != nil || final != complete {
			t.Error(got, err, final)
		}
		if took, want := time.Since(began), 4*rtt+time.Minute; took != want {
			t.Errorf("took %v, want %v", took, want)
		}
		time.AfterFunc(time.Second, remove)
		began = time.Now()
		c.get("RETR f")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("removing the delay did not end it: %v", took)
		}

		s.Fault(ftptest.Trail("NOOP", "421 Idle timeout").Once())
		c.cmd("NOOP", "200 NOOP command successful")
		c.expect("421 Idle timeout")
		s.Inject("120 soon")
		c.expect("120 soon")
		c.cmd("NOOP", "200 NOOP command successful")
	})
}

func TestTooMany(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		first := login(t, s)
		remove := s.Fault(ftptest.TooManyAtConnect(1))
		c := dial(t, s)
		c.expect("421 There are too many connected users, please try later.")
		c.expect("EOF")
		first.cmd("QUIT", "221 Goodbye.")
		s.WaitSessions(0)
		login(t, s)
		remove()
		s.Fault(ftptest.TooManyAtLogin(1))
		c = dial(t, s)
		c.expect("220 ftpfs FTP server ready")
		c.cmd("USER u", "331 Password required for u")
		c.cmd("PASS p", "530 Sorry, the maximum number of allowed clients (1) are already connected.")
		c.expect("EOF")
		s.WaitSessions(1)
	})
}

func TestWithout(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		c := login(t, s)
		remove := s.Fault(ftptest.NoMLSD())
		s.Fault(ftptest.NoEPSV())
		c.cmd("FEAT", "211 Features:\n EPRT\n MDTM\n MFMT\n REST STREAM\n SITE COPY\n SITE SYMLINK\n SITE UTIME\n SIZE\n TVFS\n UTF8\nEnd")
		c.cmd("MLSD", "500 MLSD not understood")
		c.cmd("MLST", "500 MLST not understood")
		c.cmd("EPSV", "500 EPSV not understood")
		c.send("PASV")
		if got := c.read(); !strings.HasPrefix(got, "227 Entering Passive Mode (127,0,0,1,") {
			t.Error(got)
		}
		remove()
		c.cmd("MLST nope", "550 'nope' cannot be listed")
	})
}

func TestListing(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		stored(t, s, "a", "")
		stored(t, s, "b", "")
		stored(t, s, "c", "")
		c := login(t, s)
		hostile := "type=file; ../x\r\ntype=file; a/b\r\nno line at all\r\ntype=file; with\rreturn\ncut"
		remove := s.Fault(ftptest.Listing(hostile))
		for _, line := range []string{"MLSD", "LIST"} {
			if got, final, err := c.get(line); got != hostile || err != nil || final != complete {
				t.Errorf("%q, %v, %q", got, err, final)
			}
		}
		if got, final, _ := c.get("LIST nope"); got != "" || final != "450 nope: No such file or directory" {
			t.Error(got, final)
		}
		remove()
		s.Fault(ftptest.TruncateListing(2))
		if got, final, err := c.get("NLST"); got != "a\r\nb\r\n" || err != nil || final != "226 Output truncated to 2 matches" {
			t.Errorf("%q, %v, %q", got, err, final)
		}
	})
}

func TestCutData(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		stored(t, s, "f", "0123456789")
		c := login(t, s)
		const aborted = "426 Transfer aborted. Data connection closed"
		remove := s.Fault(ftptest.CutData("RETR", 4))
		if got, final, err := c.get("RETR f"); got != "0123" || err != nil || final != aborted {
			t.Error(got, err, final)
		}
		remove()
		remove = s.Fault(ftptest.CutData("RETR", 4).ByReset())
		if got, final, err := c.get("RETR f"); got != "0123" || !errors.Is(err, syscall.ECONNRESET) || final != aborted {
			t.Error(got, err, final)
		}
		remove()
		s.Fault(ftptest.CutData("RETR", 10))
		if got, final, err := c.get("RETR f"); got != "0123456789" || err != nil || final != complete {
			t.Error(got, err, final)
		}
		s.Fault(ftptest.CutData("STOR", 3))
		if got := c.put("STOR g", "longer"); got != aborted {
			t.Error(got)
		}
		has(t, s, "g", "lon")
	})
}

func TestStallData(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		stored(t, s, "f", "0123456789")
		c := login(t, s)
		remove := s.Fault(ftptest.StallData("RETR", 4))
		d := c.data()
		c.cmd("RETR f", "150 Opening BINARY mode data connection for f (10 bytes)")
		read(t, d, "0123", nil, 0)
		if err := d.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		read(t, d, "", os.ErrDeadlineExceeded, time.Hour)
		if err := d.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		remove()
		read(t, d, "456789", nil, rtt/2)
		d.Close()
		c.expect(complete)

		// A client that gives up ends the stall by ABOR.
		s.Fault(ftptest.StallData("STOR", 2).Once())
		d = c.data()
		c.cmd("STOR g", "150 Opening BINARY mode data connection for g")
		if _, err := d.Write([]byte("stalled")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rtt) // virtual: for the data to arrive
		c.cmd("ABOR", "426 Transfer aborted. Data connection closed")
		c.expect("226 Abort successful")
		has(t, s, "g", "st")
	})
}

func TestControl(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		c := login(t, s)
		remove := s.Fault(ftptest.StallControl(ftptest.FromClient, 0))
		if err := c.conn.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		c.send("MKD d")
		if _, err := c.conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if n := s.Count("MKD"); n != 0 {
			t.Error("the command came through")
		}
		if err := c.conn.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		remove()
		c.expect(`257 "/d" - Directory successfully created`)

		remove = s.Fault(ftptest.StallControl(ftptest.ToClient, 4))
		c.send("NOOP")
		read(t, c.conn, "200 ", nil, rtt)
		remove()
		read(t, c.conn, "NOOP command successful\r\n", nil, rtt/2)

		s.Fault(ftptest.CutControl(ftptest.ToClient, 5).Once())
		c.send("NOOP")
		read(t, c.conn, "200 N", nil, rtt)
		s.WaitSessions(0)

		c = login(t, s)
		s.Fault(ftptest.CutControl(ftptest.FromClient, 8))
		c.cmd("RMD d", "250 RMD command successful")
		c.cmd("RMD d", "EOF")
		s.WaitSessions(0)
		if n := s.Count("RMD"); n != 1 {
			t.Errorf("%d commands came through, want 1", n)
		}
	})
}

// The end of a test must not wait for what its faults hold.
func TestStopEndsStalls(t *testing.T) {
	virtual(t, func(t *testing.T, s *ftptest.Server) {
		stored(t, s, "f", "0123456789")
		data, control, delayed := login(t, s), login(t, s), login(t, s)
		s.Fault(ftptest.StallData("RETR", 1))
		s.Fault(ftptest.StallControl(ftptest.FromClient, 0).OnSession(2))
		s.Fault(ftptest.DelayReply("NOOP", 200, time.Hour))
		data.data()
		data.send("RETR f")
		control.send("PWD")
		delayed.send("NOOP")
		synctest.Wait()
		began := time.Now()
		s.Stop()
		if took := time.Since(began); took != 0 {
			t.Errorf("Stop took %v", took)
		}
		s.WaitSessions(0)
	})
}

// The faults work on real sockets as well.
func TestFaultsOnLoopback(t *testing.T) {
	s := ftptest.Start(t)
	stored(t, s, "f", "0123456789")
	c := login(t, s)
	s.Fault(ftptest.CutData("RETR", 4).ByReset())
	if got, final, err := c.get("RETR f"); !errors.Is(err, syscall.ECONNRESET) || !strings.HasPrefix(final, "426 ") {
		t.Error(got, err, final)
	}
	s.Fault(ftptest.DropBefore("NOOP").ByReset())
	c.send("NOOP")
	if _, err := c.text.ReadLine(); !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	s.WaitSessions(0)
	var verbs []string
	for _, cmd := range s.Log() {
		verbs = append(verbs, cmd.Verb)
	}
	if diff := cmp.Diff([]string{"USER", "PASS", "TYPE", "EPSV", "RETR", "NOOP"}, verbs); diff != "" {
		t.Error(diff)
	}
}
