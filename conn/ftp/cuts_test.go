package ftp

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

// cutFiles are on the server before each verb of TestCutAtEveryByte.
var cutFiles = map[string]string{"f": "content", "d/x": "1", "d/y": "22", "e/": ""}

// cutVerbs are the verbs that wait for the server, with what the server has
// once they are done: a file with its content, "" if it must not be there.
var cutVerbs = map[string]struct {
	do         func(s *session) error
	file, then string
}{
	"list": {do: func(s *session) error { return expect[int](listed(s, "/d"))(2) }},
	"stat": {do: func(s *session) error {
		e, err := s.Stat(bg, "/f")
		return expect(e.Size, err)(7)
	}},
	"stat of many": {do: func(s *session) error {
		r, err := s.StatBatch(bg, []string{"/f", "/d", "/no"})
		return expect(len(r), err)(3)
	}},
	"RETR": {do: func(s *session) error { return expect[string](retrieved(s, 0))("content") }},
	"REST": {do: func(s *session) error { return expect[string](retrieved(s, 3))("tent") }},
	"STOR": {file: "new", then: "12345", do: func(s *session) error {
		_, err := store(s, "/new", "12345", nil)
		return err
	}},
	"STOR, looked at": {file: "f", then: "12345", do: func(s *session) error {
		_, err := store(s, "/f", "12345", func(c *conn.Commit) { c.Base = conn.Version{State: conn.Present, Size: 7} })
		return err
	}},
	"commit": {file: "f", then: "12345", do: func(s *session) error {
		_, err := store(s, "/temp", "12345", func(c *conn.Commit) {
			c.RenameTo, c.Time, c.Mode, c.SetMode = "/f", someTime, 0o600, true
		})
		return err
	}},
	"append": {file: "f", then: "content, more", do: func(s *session) error {
		_, err := s.Append(bg, "/f", 7, strings.NewReader(", more"), conn.Commit{Size: 13})
		return err
	}},
	"try out": {do: func(s *session) error {
		a, err := s.TryOut(bg, "/scratch")
		return expect(a.Appends, err)(true)
	}},
	"delete":   {file: "f", do: func(s *session) error { return s.Remove(bg, "/f", conn.KindFile) }},
	"rename":   {file: "g", then: "content", do: func(s *session) error { return s.Rename(bg, "/f", "/g") }},
	"mkdir":    {file: "n", then: "directory", do: func(s *session) error { return s.Mkdir(bg, "/n") }},
	"rmdir":    {file: "e", do: func(s *session) error { return s.Remove(bg, "/e", conn.KindDir) }},
	"chmod":    {do: func(s *session) error { return s.Chmod(bg, "/f", 0o600) }},
	"set time": {do: func(s *session) error { return s.SetTime(bg, "/f", someTime) }},
	"symlink":  {file: "l", then: "content", do: func(s *session) error { return s.Symlink(bg, "/f", "/l") }},
	"trial of RMD": {do: func(s *session) error {
		yes, err := s.RefusesFull(bg, "/try")
		return expect(yes, err)(true)
	}},
	"noop": {do: func(s *session) error { return s.Noop(bg) }},
}

func listed(s *session, dir string) (int, error) {
	l, err := s.List(bg, dir)
	return len(l.Entries), err
}

func retrieved(s *session, offset int64) (string, error) {
	d, err := s.Open(bg, "/f", offset, conn.Version{})
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(d)
	return string(b), cmp.Or(err, d.Close())
}

var errWrong = errors.New("it is said to be done, but is not")

// expect returns a function that compares what a verb gave.
func expect[T comparable](got T, err error) func(want T) error {
	return func(want T) error {
		if err == nil && got != want {
			return fmt.Errorf("%w: got %v, want %v", errWrong, got, want)
		}
		return err
	}
}

// The control connection ends behind each byte of what the server says in each
// verb, by FIN or RST in turn: what is said to be done is done, what is said not
// to have been executed is not, all else is an outage that ends the session,
// at once, and the verb succeeds on the next one.
func TestCutAtEveryByte(t *testing.T) {
	for name, verb := range cutVerbs {
		t.Run(name, func(t *testing.T) { cutAtEveryByte(t, verb.do, verb.file, verb.then) })
	}
	t.Run("list by LIST", func(t *testing.T) {
		cutAtEveryByte(t, cutVerbs["list"].do, "", "", ftptest.NoMLSD())
	})
}

func cutAtEveryByte(t *testing.T, do func(*session) error, file, then string, faults ...ftptest.Fault) {
	srv := ftptest.Start(t)
	for _, f := range faults {
		srv.Fault(f)
	}
	dial := Dialer(configOf(srv))
	refill(t, srv)
	s := mustDial(t, dial)
	for n := 0; ; n++ {
		f := ftptest.CutControl(ftptest.ToClient, n)
		if n%2 == 1 {
			f = f.ByReset()
		}
		began := time.Now()
		for !s.Ready() && s.Err() == nil { // until nothing is under way that could be cut instead
			time.Sleep(100 * time.Microsecond)
		}
		remove := srv.Fault(f)
		err := do(s)
		took := time.Since(began)
		checkCut(t, srv, s, n, err, file, then)
		if took > 2*time.Second {
			t.Fatalf("cut behind byte %d: it took %v", n, took)
		}
		whole := err == nil && s.Noop(bg) == nil
		remove()
		s.Close()
		if whole {
			t.Logf("%d bytes", n)
			break
		}
		refill(t, srv)
		s = mustDial(t, dial)
		if err := do(s); err != nil {
			t.Fatalf("after a cut behind byte %d: %v", n, err)
		}
		refill(t, srv)
	}
	srv.WaitSessions(0)
}

// A login that is cut behind any byte lets nobody believe that the password is
// wrong, and the next one succeeds.
func TestLoginCutAtEveryByte(t *testing.T) {
	srv := ftptest.Start(t)
	dial := Dialer(configOf(srv))
	for n := 0; ; n++ {
		remove := srv.Fault(ftptest.CutControl(ftptest.ToClient, n))
		s, err := dial(bg)
		remove()
		if err == nil {
			s.Close()
			t.Logf("%d bytes", n)
			break
		}
		if !conn.IsAway(err) || conn.OutcomeOf(err) != conn.NotExecuted {
			t.Fatalf("cut behind byte %d: %v, outcome %v", n, err, conn.OutcomeOf(err))
		}
		mustDial(t, dial).Close()
	}
	srv.WaitSessions(0)
}

// checkCut checks what a verb said that was cut behind n bytes.
func checkCut(t *testing.T, srv *ftptest.Server, s *session, n int, err error, file, then string) {
	t.Helper()
	done := file == "" || isThere(srv, file, then)
	var e *conn.Error
	switch {
	case err == nil && !done:
		t.Fatalf("cut behind byte %d: said to be done, but it is not", n)
	case err == nil:
	case !errors.As(err, &e) || e.Outcome == conn.Refused || errors.Is(err, errWrong):
		t.Fatalf("cut behind byte %d: %v, outcome %v", n, err, conn.OutcomeOf(err))
	case !conn.IsAway(err):
		t.Fatalf("cut behind byte %d: %v", n, err)
	case e.Outcome == conn.NotExecuted && file != "" && done:
		t.Fatalf("cut behind byte %d: said not to be executed, but it is: %v", n, err)
	case s.Err() == nil:
		t.Fatalf("cut behind byte %d: %v, and the session goes on", n, err)
	}
}

// isThere tells whether the server has the file with that content, "directory"
// for a directory, or nothing there for "".
func isThere(srv *ftptest.Server, file, content string) bool {
	info, err := os.Stat(srv.Root + "/" + file)
	switch {
	case err != nil:
		return content == ""
	case info.IsDir():
		return content == "directory"
	}
	return onServer(srv, file) == content
}

// refill puts back what is on the server.
func refill(t *testing.T, srv *ftptest.Server) {
	t.Helper()
	names, err := os.ReadDir(srv.Root)
	for _, e := range names {
		err = cmp.Or(err, os.RemoveAll(srv.Root+"/"+e.Name()))
	}
	if err != nil {
		t.Fatal(err)
	}
	fill(t, srv, cutFiles)
}

func mustDial(t *testing.T, dial conn.Dialer) *session {
	t.Helper()
	s, err := dial(bg)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*session)
}
