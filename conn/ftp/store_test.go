package ftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

// store uploads content to path with a commit that f may complete.
func store(s *session, path, content string, f func(c *conn.Commit)) (conn.Entry, error) {
	c := conn.Commit{Size: int64(len(content))}
	if f != nil {
		f(&c)
	}
	return s.Store(bg, path, strings.NewReader(content), c)
}

func TestStore(t *testing.T) {
	srv, s := start(t, map[string]string{"old": "something longer"})
	for path, content := range map[string]string{"/new": "content", "/old": "short", "/empty": "", "/big": big, "/name with  spaces": "x"} {
		e, err := store(s, path, content, nil)
		if err != nil || e.Name != path[1:] || e.Kind != conn.KindFile || e.Size != int64(len(content)) || e.Time.IsZero() {
			t.Errorf("%s: %+v, %v", path, e, err)
		}
		if got := onServer(srv, path); got != content {
			t.Errorf("%s: the server has %.50q", path, got)
		}
	}
	wantAlive(t, s)
}

func TestStoreSetsTimeAndMode(t *testing.T) {
	srv, s := start(t, nil)
	e, err := store(s, "/tmp", "content", func(c *conn.Commit) {
		c.Time, c.Mode, c.SetMode, c.RenameTo = someTime, 0o600, true, "/final"
	})
	if err != nil || e.Name != "final" || !e.Time.Equal(someTime) || !e.HasMode || e.Mode != 0o600 {
		t.Errorf("%+v, %v", e, err)
	}
	fi, err := os.Stat(filepath.Join(srv.Root, "final"))
	if err != nil || fi.Mode().Perm() != 0o600 || !fi.ModTime().Equal(someTime) {
		t.Errorf("%v, %v", fi, err)
	}
	if got := onServer(srv, "tmp"); !strings.HasPrefix(got, "error") {
		t.Error("the temporary file is still there")
	}
}

// Once MFMT has told in its answer what MDTM told, too, its word is enough; and
// the time of what should not be there is not asked for. If it says nothing
// this time, MDTM is asked after all.
func TestStoreAsksNothingTwice(t *testing.T) {
	srv, s := start(t, nil)
	save := func(name string) {
		t.Helper()
		e, err := store(s, "/tmp", "content", func(c *conn.Commit) {
			c.Time, c.RenameTo, c.Base = someTime, name, conn.Version{State: conn.Absent}
		})
		if err != nil || e.Size != 7 || !e.Time.Equal(someTime) || e.Precision != time.Second {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	for i, mdtm := range []int{1, 1, 1} {
		save(fmt.Sprint("/f", i))
		if n := srv.Count("MDTM"); n != mdtm {
			t.Errorf("upload %d: MDTM was asked %d times", i, n)
		}
	}
	if n := srv.Count("SIZE"); n != 6 {
		t.Errorf("%d times SIZE for three uploads", n)
	}
	srv.Fault(ftptest.ReplaceReply("MFMT", 213, 213, "done"))
	save("/g")
	if n := srv.Count("MDTM"); n != 2 {
		t.Errorf("MDTM was asked %d times", n)
	}
	wantAlive(t, s)
}

// What the server cannot do beside the upload fails no store, and is not
// tried again where it says that it never can.
func TestStoreWithoutExtras(t *testing.T) {
	srv := ftptest.Start(t)
	srv.Fault(ftptest.Refuse("SITE", 500, "no SITE"))
	srv.Fault(ftptest.ReplaceReply("FEAT", 211, 211, "Features:\n MDTM\n SIZE\nEnd")) // MDTM may set times
	s := open(t, srv)
	for range 2 {
		e, err := store(s, "/f", "content", func(c *conn.Commit) { c.Time, c.Mode, c.SetMode = someTime, 0o600, true })
		if err != nil || e.HasMode || e.Time.IsZero() || e.Time.Equal(someTime) {
			t.Errorf("%+v, %v", e, err)
		}
	}
	if site, mdtm := srv.Count("SITE"), srv.Count("MDTM"); site != 1 || mdtm != 3 {
		t.Errorf("%d times SITE CHMOD, %d times MDTM; want 1 and 3", site, mdtm)
	}
	wantUnsupported := func(err error) {
		t.Helper()
		want(t, s, err, errors.ErrUnsupported, conn.Refused)
	}
	wantUnsupported(s.Chmod(bg, "/f", 0o600))
	wantUnsupported(s.SetTime(bg, "/f", someTime))
}

func TestStoreBase(t *testing.T) {
	absent := conn.Version{State: conn.Absent}
	right := conn.Version{State: conn.Present, Size: 4, Time: someTime, Precision: time.Second}
	otherTime, otherSize := right, right
	otherTime.Time, otherSize.Size = someTime.Add(time.Hour), 5
	for name, tt := range map[string]struct {
		path string
		base conn.Version
		ok   bool
	}{
		"as it was":             {"/there", right, true},
		"any":                   {"/there", conn.Version{}, true},
		"minute precision":      {"/there", conn.Version{State: conn.Present, Size: 4, Time: someTime.Truncate(time.Minute), Precision: time.Minute}, true},
		"other time":            {"/there", otherTime, false},
		"other size":            {"/there", otherSize, false},
		"there against absent":  {"/there", absent, false},
		"absent against absent": {"/new", absent, true},
		"gone":                  {"/new", right, false},
	} {
		for _, tmp := range []string{"", "/tmp"} {
			t.Run(name+tmp, func(t *testing.T) {
				srv, s := start(t, map[string]string{"there": "1234"})
				touch(t, srv, "there", someTime)
				before := onServer(srv, tt.path)
				path := tt.path
				if tmp != "" {
					path = tmp
				}
				_, err := store(s, path, "content", func(c *conn.Commit) {
					c.Base = tt.base
					if tmp != "" {
						c.RenameTo = tt.path
					}
				})
				after := onServer(srv, tt.path)
				switch {
				case tt.ok && (err != nil || after != "content"):
					t.Errorf("%v, the server has %q", err, after)
				case !tt.ok && after != before:
					t.Errorf("the server's file was replaced by %q", after)
				case !tt.ok:
					want(t, s, err, conn.ErrConflict, conn.Refused)
				}
				wantAlive(t, s) // also on ProFTPD, which waits for the RNTO
			})
		}
	}
}

func TestStoreShort(t *testing.T) {
	srv, s := start(t, map[string]string{"final": "old"})
	srv.Fault(ftptest.ReplaceReply("SIZE", 213, 213, "3"))
	_, err := store(s, "/tmp", "content", func(c *conn.Commit) { c.RenameTo = "/final" })
	want(t, s, err, conn.ErrShortStore, conn.Unknown)
	if got := onServer(srv, "final"); got != "old" {
		t.Errorf("the short file replaced the old one: %q", got)
	}
	// The source is shorter than it said.
	_, s = start(t, nil)
	_, err = s.Store(bg, "/f", strings.NewReader("abc"), conn.Commit{Size: 4})
	want(t, s, err, conn.ErrShortStore, conn.Unknown)
}

// The file is there but under another name: Pure-FTPd does so to some names.
func TestStoreUnderAnotherName(t *testing.T) {
	srv, s := start(t, nil)
	srv.Fault(ftptest.Refuse("SIZE", 550, "Can't check for file existence"))
	_, err := store(s, "/f", "content", nil)
	want(t, s, err, conn.ErrShortStore, conn.Unknown)
}

func TestStoreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		fault   ftptest.Fault
		meaning error
	}{
		"550":                  {ftptest.Refuse("STOR", 550, "/f: Permission denied"), iofs.ErrPermission},
		"553":                  {ftptest.Refuse("STOR", 553, "Could not create file."), iofs.ErrPermission},
		"452":                  {ftptest.Refuse("STOR", 452, "No space"), conn.ErrNoSpace},
		"552":                  {ftptest.Refuse("STOR", 552, "Quota exceeded"), conn.ErrQuota},
		"552 when all is sent": {ftptest.ReplaceReply("STOR", 226, 552, "Disk full"), conn.ErrNoSpace},
		"552 in between":       {ftptest.CutData("STOR", 1000), nil},
		"RNFR":                 {ftptest.Refuse("RNFR", 550, "/tmp: Permission denied"), iofs.ErrPermission},
		"RNTO":                 {ftptest.Refuse("RNTO", 550, "/f: Permission denied"), iofs.ErrPermission},
	} {
		t.Run(name, func(t *testing.T) {
			srv, s := start(t, nil)
			srv.Fault(tt.fault)
			if tt.meaning == nil {
				srv.Fault(ftptest.ReplaceReply("STOR", 426, 552, "Disk full"))
				tt.meaning = conn.ErrNoSpace
			}
			_, err := store(s, "/tmp", big, func(c *conn.Commit) { c.RenameTo = "/f" })
			want(t, s, err, tt.meaning, conn.Refused)
			if got := onServer(srv, "f"); !strings.HasPrefix(got, "error") {
				t.Error("the file is there")
			}
			wantAlive(t, s)
		})
	}
}

func TestStoreLost(t *testing.T) {
	for name, tt := range map[string]struct {
		fault   ftptest.Fault
		meaning error
		outcome conn.Outcome
	}{
		"before EPSV":             {ftptest.DropBefore("EPSV"), io.ErrUnexpectedEOF, conn.NotExecuted},
		"after the upload":        {ftptest.DropAfter("STOR"), io.ErrUnexpectedEOF, conn.Unknown},
		"in the commit":           {ftptest.DropBefore("SIZE"), io.ErrUnexpectedEOF, conn.Unknown},
		"after RNTO":              {ftptest.DropAfter("RNTO"), io.ErrUnexpectedEOF, conn.Unknown},
		"stalled":                 {ftptest.StallData("STOR", 1000), conn.ErrTimeout, conn.Unknown},
		"cut, with 426":           {ftptest.CutData("STOR", 1000), io.ErrUnexpectedEOF, conn.Unknown},
		"cut by reset, with 426":  {ftptest.CutData("STOR", 1000).ByReset(), io.ErrUnexpectedEOF, conn.Unknown},
		"451 when all is sent":    {ftptest.ReplaceReply("STOR", 226, 451, "write error"), nil, conn.Unknown},
		"a stray reply before it": {ftptest.Trail("OPTS", "226 done"), conn.ErrProtocol, conn.NotExecuted},
	} {
		t.Run(name, func(t *testing.T) {
			srv := ftptest.Start(t)
			defer srv.Fault(tt.fault)()
			cfg := configOf(srv)
			if errors.Is(tt.meaning, conn.ErrTimeout) {
				cfg.Timeout = 300 * time.Millisecond
			}
			cfg.NoWarm = true
			s := openWith(t, cfg)
			_, err := store(s, "/tmp", strings.Repeat(big, 32), func(c *conn.Commit) { c.RenameTo = "/f" })
			if tt.meaning == nil {
				tt.meaning = err
			}
			want(t, s, err, tt.meaning, tt.outcome)
		})
	}
}

// A server that takes a cut upload for a whole one is not believed.
func TestStoreCutAnswered226(t *testing.T) {
	srv, s := start(t, nil)
	srv.Fault(ftptest.CutData("STOR", 1000).ByReset())
	srv.Fault(ftptest.ReplaceReply("STOR", 426, 226, "Transfer complete"))
	_, err := store(s, "/f", strings.Repeat(big, 32), nil)
	if err == nil || conn.OutcomeOf(err) != conn.Unknown || s.Err() == nil {
		t.Errorf("%v, Err %v", err, s.Err())
	}
}

// An upload whose source fails is reset: the server must know that it has a
// part only.
func TestStoreSourceFails(t *testing.T) {
	srv, s := start(t, nil)
	reason := errors.New("the disk broke")
	r := io.MultiReader(strings.NewReader(big), iotest.ErrReader(reason))
	_, err := s.Store(bg, "/tmp", r, conn.Commit{Size: int64(len(big)), RenameTo: "/f"})
	want(t, s, err, reason, conn.Unknown)
	srv.WaitSessions(0)
	for _, c := range srv.Log() {
		if c.Verb == "RNTO" || c.Verb == "RNFR" {
			t.Errorf("%s was sent", c.Verb)
		}
	}
}

func TestStoreInterrupted(t *testing.T) {
	srv, s := start(t, nil)
	ctx, cancel := context.WithCancel(bg)
	sent := 0
	r := readerFunc(func(p []byte) (int, error) {
		if sent++; sent == 5 {
			cancel()
		}
		return len(p), nil // without end
	})
	_, err := s.Store(ctx, "/f", r, conn.Commit{Size: 1})
	want(t, s, err, context.Canceled, conn.Unknown)
	srv.WaitSessions(0)
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
