package ftp

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

func TestVerbs(t *testing.T) {
	srv, s := start(t, map[string]string{"f": "1", "dir/x": "2", "empty/": "", "g": "3"})
	done := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused := func(err, meaning error) {
		t.Helper()
		want(t, s, err, meaning, conn.Refused)
	}
	done("mkdir", s.Mkdir(bg, "/new"))
	refused(s.Mkdir(bg, "/new"), iofs.ErrExist)
	refused(s.Mkdir(bg, "/no/such"), iofs.ErrNotExist)
	refused(s.Mkdir(bg, "/f/x"), conn.ErrNotDir)
	done("rmdir", s.Remove(bg, "/new", conn.KindDir))
	refused(s.Remove(bg, "/new", conn.KindDir), iofs.ErrNotExist)
	refused(s.Remove(bg, "/dir", conn.KindDir), conn.ErrNotEmpty)
	refused(s.Remove(bg, "/f", conn.KindDir), conn.ErrNotDir)
	done("chmod", s.Chmod(bg, "/f", iofs.ModeSetuid|0o751))
	done("settime", s.SetTime(bg, "/f", someTime))
	fi, err := os.Stat(filepath.Join(srv.Root, "f"))
	if err != nil || fi.Mode() != iofs.ModeSetuid|0o751 || !fi.ModTime().Equal(someTime) {
		t.Errorf("%v, %v", fi, err)
	}
	refused(s.Chmod(bg, "/missing", 0o600), iofs.ErrNotExist)
	refused(s.SetTime(bg, "/missing", someTime), iofs.ErrNotExist)
	done("rename", s.Rename(bg, "/f", "/dir/f"))
	refused(s.Rename(bg, "/f", "/x"), iofs.ErrNotExist)
	refused(s.Rename(bg, "/g", "/no/x"), iofs.ErrNotExist)
	refused(s.Rename(bg, "/g", "/dir"), conn.ErrNotEmpty)
	refused(s.Rename(bg, "/g", "/empty"), conn.ErrIsDir)
	done("rename over a file", s.Rename(bg, "/g", "/dir/f"))
	done("delete", s.Remove(bg, "/dir/f", conn.KindFile))
	refused(s.Remove(bg, "/dir/f", conn.KindFile), iofs.ErrNotExist)
	refused(s.Remove(bg, "/dir", conn.KindFile), conn.ErrIsDir)
	wantAlive(t, s)
}

// Some servers answer 250 to MKD, and 521 if the directory exists.
func TestMkdirReplies(t *testing.T) {
	srv, s := start(t, nil)
	remove := srv.Fault(ftptest.ReplaceReply("MKD", 257, 250, "done"))
	if err := s.Mkdir(bg, "/d"); err != nil {
		t.Error(err)
	}
	remove()
	srv.Fault(ftptest.Refuse("MKD", 521, "taking no action"))
	want(t, s, s.Mkdir(bg, "/d"), iofs.ErrExist, conn.Refused)
}

// changes are the verbs that change the server, with the command that does it.
var changes = map[string]func(ctx context.Context, s *session) error{
	"DELE": func(ctx context.Context, s *session) error { return s.Remove(ctx, "/f", conn.KindFile) },
	"RMD":  func(ctx context.Context, s *session) error { return s.Remove(ctx, "/d", conn.KindDir) },
	"MKD":  func(ctx context.Context, s *session) error { return s.Mkdir(ctx, "/new") },
	"RNTO": func(ctx context.Context, s *session) error { return s.Rename(ctx, "/f", "/g") },
	"SITE": func(ctx context.Context, s *session) error { return s.Chmod(ctx, "/f", 0o600) },
	"MFMT": func(ctx context.Context, s *session) error { return s.SetTime(ctx, "/f", someTime) },
}

// eachChange runs test with every verb on a session of its own.
func eachChange(t *testing.T, test func(t *testing.T, srv *ftptest.Server, s *session, command string, run func(context.Context, *session) error)) {
	for command, run := range changes {
		t.Run(command, func(t *testing.T) {
			srv := ftptest.Start(t)
			fill(t, srv, map[string]string{"f": "1", "d/": ""})
			cfg := configOf(srv)
			cfg.Timeout = 200 * time.Millisecond
			test(t, srv, openWith(t, cfg), command, run)
		})
	}
}

// After a lost reply nobody knows.
func TestReplyLost(t *testing.T) {
	eachChange(t, func(t *testing.T, srv *ftptest.Server, s *session, command string, run func(context.Context, *session) error) {
		srv.Fault(ftptest.DropAfter(command))
		want(t, s, run(bg, s), io.ErrUnexpectedEOF, conn.Unknown)
	})
}

func TestReplyLate(t *testing.T) {
	eachChange(t, func(t *testing.T, srv *ftptest.Server, s *session, command string, run func(context.Context, *session) error) {
		defer srv.Fault(ftptest.StallControl(ftptest.ToClient, 0))()
		err := run(bg, s)
		if command == "RNTO" { // it is RNFR's answer that is late
			want(t, s, err, conn.ErrTimeout, conn.NotExecuted)
			return
		}
		want(t, s, err, conn.ErrTimeout, conn.Unknown)
	})
}

func TestInterrupted(t *testing.T) {
	eachChange(t, func(t *testing.T, srv *ftptest.Server, s *session, command string, run func(context.Context, *session) error) {
		s.ctl.Command("NOOP")
		defer srv.Fault(ftptest.StallControl(ftptest.ToClient, 0))()
		ctx, cancel := context.WithTimeout(bg, 10*time.Millisecond)
		defer cancel()
		if err := run(ctx, s); !errors.Is(err, context.DeadlineExceeded) || s.Err() == nil {
			t.Errorf("%v, Err %v", err, s.Err())
		}
	})
}

// A session that has ended meanwhile has executed nothing.
func TestIdleTimeout(t *testing.T) {
	eachChange(t, func(t *testing.T, srv *ftptest.Server, s *session, command string, run func(context.Context, *session) error) {
		srv.ResetLog()
		srv.Inject("421 Idle timeout")
		for s.Err() == nil { // until it has come
			time.Sleep(time.Millisecond)
		}
		want(t, s, run(bg, s), conn.ErrHostDown, conn.NotExecuted)
		if log := srv.Log(); len(log) > 0 {
			t.Errorf("the server got %v", log)
		}
	})
}

// A reply that nobody waits for is not taken for the next one's.
func TestOutOfStep(t *testing.T) {
	srv, s := start(t, map[string]string{"f": "1"})
	srv.Fault(ftptest.Trail("NOOP", "250 done"))
	if err := s.Noop(bg); err != nil {
		t.Fatal(err)
	}
	for s.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	want(t, s, s.Remove(bg, "/f", conn.KindFile), conn.ErrProtocol, conn.NotExecuted)
	if got := onServer(srv, "f"); got != "1" {
		t.Errorf("the file: %q", got)
	}
}

// Nothing of a bad path reaches the server, by any verb.
func TestBadPaths(t *testing.T) {
	srv, s := start(t, nil)
	long := "/" + strings.Repeat("x", 600)
	srv.ResetLog()
	for _, p := range []string{"/a\r\nDELE b", "/a\nb", "/a\rb", "/a\x00b", "relative", "", "/a/../b", long} {
		meaning := conn.ErrInvalidName
		if p == long {
			meaning = conn.ErrNameTooLong
		}
		_, list := s.List(bg, p)
		_, stat := s.Stat(bg, p)
		_, open := s.Open(bg, p, 0, conn.Version{})
		_, store := s.Store(bg, p, strings.NewReader(""), conn.Commit{})
		_, storeTo := s.Store(bg, "/ok", strings.NewReader(""), conn.Commit{RenameTo: p + "\n"})
		want(t, s, storeTo, conn.ErrInvalidName, conn.Refused)
		for _, err := range []error{
			list, stat, open, store,
			s.Remove(bg, p, conn.KindFile), s.Remove(bg, p, conn.KindDir), s.Rename(bg, p, "/ok"), s.Rename(bg, "/ok", p),
			s.Mkdir(bg, p), s.Chmod(bg, p, 0), s.SetTime(bg, p, someTime),
		} {
			want(t, s, err, meaning, conn.Refused)
		}
	}
	if log := srv.Log(); len(log) > 0 {
		t.Errorf("the server got %v", log)
	}
	wantAlive(t, s)
}

func TestEndedContext(t *testing.T) {
	srv, s := start(t, nil)
	srv.ResetLog()
	ctx, cancel := context.WithCancel(bg)
	cancel()
	err := s.Mkdir(ctx, "/d")
	if !errors.Is(err, context.Canceled) || conn.OutcomeOf(err) != conn.NotExecuted || len(srv.Log()) > 0 {
		t.Errorf("%v, %v", err, srv.Log())
	}
	wantAlive(t, s)
}

// What RMD does to a full directory is tried out, and nothing is left of it.
func TestRefusesFull(t *testing.T) {
	for name, c := range map[string]struct {
		fault *ftptest.Fault
		want  bool
	}{
		"refused":              {nil, true},
		"removed":              {new(ftptest.RemovesTrees()), false},
		"nothing can be made":  {new(ftptest.Refuse("MKD", 550, "Permission denied")), false},
		"nothing is removed":   {new(ftptest.Refuse("RMD", 550, "Permission denied")), false},
		"the inner is removed": {new(ftptest.Refuse("RMD", 550, "Permission denied").OnArg("/d/try")), true},
	} {
		t.Run(name, func(t *testing.T) {
			srv, s := start(t, map[string]string{"d/": ""})
			if c.fault != nil {
				defer srv.Fault(*c.fault)()
			}
			if got, err := s.RefusesFull(bg, "/d/try"); got != c.want || err != nil {
				t.Errorf("%v, %v", got, err)
			}
			left, _ := os.ReadDir(srv.Root + "/d")
			if cleaned := len(left) == 0; cleaned != (c.fault == nil || name == "removed" || name == "nothing can be made") {
				t.Errorf("left: %v", left)
			}
			wantAlive(t, s)
		})
	}
}

// Where there is no MFMT, and MDTM does not set times, SITE UTIME does.
func TestSetTimeBySiteUtime(t *testing.T) {
	srv, _ := start(t, map[string]string{"with space": "x"})
	defer srv.Fault(ftptest.NoMFMT())()
	s := open(t, srv)
	s.noMDTMTime = true
	if err := s.SetTime(bg, "/with space", someTime); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(srv.Root + "/with space"); err != nil || !info.ModTime().Equal(someTime) {
		t.Errorf("%v, %v", info, err)
	}
}
