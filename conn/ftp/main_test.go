package ftp

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configOf returns how to reach srv.
func configOf(srv *ftptest.Server) conn.Config {
	host, port, _ := net.SplitHostPort(srv.Addr)
	n, _ := strconv.Atoi(port)
	return conn.Config{Host: host, Port: n, User: ftptest.User, Password: ftptest.Password, Dial: srv.Dial, Timeout: 5 * time.Second}
}

// open returns a session with srv that is closed when the test ends.
func open(t *testing.T, srv *ftptest.Server) *session {
	t.Helper()
	return openWith(t, configOf(srv))
}

func openWith(t *testing.T, cfg conn.Config) *session {
	t.Helper()
	s, err := Dialer(cfg)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*session)
}

// start returns a server with the files, whose names end in "/" if they are
// directories, and a session with it.
func start(t *testing.T, files map[string]string) (*ftptest.Server, *session) {
	t.Helper()
	srv := ftptest.Start(t)
	fill(t, srv, files)
	return srv, open(t, srv)
}

func fill(t *testing.T, srv *ftptest.Server, files map[string]string) {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(srv.Root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		err := error(nil)
		if name[len(name)-1] == '/' {
			err = os.MkdirAll(p, 0o755)
		} else {
			err = os.WriteFile(p, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// onServer returns the content of a file there, or why it cannot be had.
func onServer(srv *ftptest.Server, name string) string {
	b, err := os.ReadFile(filepath.Join(srv.Root, name))
	if err != nil {
		return "error: " + err.Error()
	}
	return string(b)
}

// want checks an error's meaning and outcome, and that the session lives on
// exactly if it was a refusal.
func want(t *testing.T, s *session, err, meaning error, o conn.Outcome) {
	t.Helper()
	var e *conn.Error
	if !errors.As(err, &e) || !errors.Is(err, meaning) || e.Outcome != o {
		t.Errorf("%v (outcome %v), want %v (outcome %v)", err, conn.OutcomeOf(err), meaning, o)
	}
	if alive := s.Err() == nil; alive != (o == conn.Refused) {
		t.Errorf("outcome %v, and the session's Err is %v", o, s.Err())
	}
}

// wantAlive checks that the session can still be used, and is in step.
func wantAlive(t *testing.T, s *session) {
	t.Helper()
	if err := s.Noop(t.Context()); err != nil {
		t.Errorf("Noop: %v", err)
	}
	if _, r := s.ctl.Last(); r.Code != 200 {
		t.Errorf("NOOP was answered %v", r)
	}
}

var bg = context.Background()
