package ftp

import (
	"bytes"
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"strings"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

// fetchFile reads a file from offset to its end.
func fetchFile(t *testing.T, s *session, path string, offset int64) (string, error) {
	t.Helper()
	d, err := s.Open(bg, path, offset, conn.Version{})
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(d)
	if n, again := d.Read(make([]byte, 1)); n != 0 || again == nil {
		t.Errorf("Read after the end: %d, %v", n, again)
	}
	if cerr := d.Close(); cerr != nil {
		t.Errorf("Close: %v", cerr)
	}
	return string(b), err
}

var big = strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB

func TestOpen(t *testing.T) {
	_, s := start(t, map[string]string{"big": big, "none": "", "dir/": ""})
	for _, tt := range []struct {
		path   string
		offset int64
		want   string
	}{{"/big", 0, big}, {"/big", 1000, big[1000:]}, {"/none", 0, ""}, {"/big", int64(len(big)), ""}, {"/big", 0, big}} {
		got, err := fetchFile(t, s, tt.path, tt.offset)
		if err != nil || got != tt.want {
			t.Errorf("%s from %d: %d bytes, %v", tt.path, tt.offset, len(got), err)
		}
	}
	_, err := s.Open(bg, "/missing", 0, conn.Version{})
	want(t, s, err, iofs.ErrNotExist, conn.Refused)
	_, err = s.Open(bg, "/missing", 5, conn.Version{}) // and its REST is not for the next one
	want(t, s, err, iofs.ErrNotExist, conn.Refused)
	_, err = s.Open(bg, "/dir", 0, conn.Version{})
	want(t, s, err, conn.ErrIsDir, conn.Refused)
	if got, err := fetchFile(t, s, "/big", 0); err != nil || got != big {
		t.Errorf("after a refused REST: %d bytes, %v", len(got), err)
	}
}

func TestOpenIsExclusive(t *testing.T) {
	_, s := start(t, map[string]string{"big": big})
	d, err := s.Open(bg, "/big", 0, conn.Version{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Noop(bg); !errors.Is(err, conn.ErrBusy) {
		t.Errorf("Noop during a download: %v", err)
	}
	d.Close()
	wantAlive(t, s)
}

func TestCloseEarly(t *testing.T) {
	srv, s := start(t, map[string]string{"big": strings.Repeat(big, 16)})
	for range 3 {
		d, err := s.Open(bg, "/big", 0, conn.Version{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(d, make([]byte, 100)); err != nil {
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
		if _, err := d.Read(make([]byte, 1)); err == nil {
			t.Error("Read after Close")
		}
		wantAlive(t, s)
	}
	if n := srv.Sessions(); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// A server that says nothing to an early close costs the session, not the
// caller's time.
func TestCloseEarlyWithoutReply(t *testing.T) {
	srv := ftptest.Start(t)
	fill(t, srv, map[string]string{"big": strings.Repeat(big, 16)})
	cfg := configOf(srv)
	cfg.Timeout = 100 * time.Millisecond
	s := openWith(t, cfg)
	defer srv.Fault(ftptest.DelayReply("RETR", 426, time.Minute))()
	d, err := s.Open(bg, "/big", 0, conn.Version{})
	if err != nil {
		t.Fatal(err)
	}
	want(t, s, d.Close(), conn.ErrTimeout, conn.Unknown)
}

// A server that may die of an early end is read on where little is left, and
// not waited for.
func TestCloseEarlyReadsOn(t *testing.T) {
	const inetutils = "localhost FTP server (GNU inetutils 2.4) ready."
	for name, tt := range map[string]struct {
		size  int
		fault *ftptest.Fault
		alive bool
		last  int // the reply to RETR
	}{
		"little is left":  {200 << 10, nil, true, 226},
		"much is left":    {16 << 20, nil, true, 426},
		"nothing comes":   {200 << 10, new(ftptest.StallData("RETR", 1000)), false, 0},
		"it is cut there": {200 << 10, new(ftptest.CutData("RETR", 100<<10)), false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			srv, s := as(t, inetutils, map[string]string{"f": strings.Repeat("x", tt.size)})
			if tt.fault != nil {
				defer srv.Fault(*tt.fault)()
			}
			d, err := s.Open(bg, "/f", 0, conn.Version{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(d, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			d.Close()
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			if alive := s.Err() == nil; alive != tt.alive {
				t.Errorf("the session's Err is %v", s.Err())
			}
			if _, r := s.ctl.Last(); tt.last != 0 && r.Code != tt.last {
				t.Errorf("the last reply is %v, want %d", r, tt.last)
			}
		})
	}
}

// A download that was cut is never taken for whole.
func TestDownloadCut(t *testing.T) {
	for name, tt := range map[string]struct {
		faults  []ftptest.Fault
		meaning error
	}{
		"with 426":            {[]ftptest.Fault{ftptest.CutData("RETR", 1000)}, io.ErrUnexpectedEOF},
		"with 426, by reset":  {[]ftptest.Fault{ftptest.CutData("RETR", 1000).ByReset()}, io.ErrUnexpectedEOF},
		"with 226, by reset":  {[]ftptest.Fault{ftptest.CutData("RETR", 1000).ByReset(), ftptest.ReplaceReply("RETR", 426, 226, "done")}, io.ErrUnexpectedEOF},
		"with 451":            {[]ftptest.Fault{ftptest.ReplaceReply("RETR", 226, 451, "read error")}, io.ErrUnexpectedEOF},
		"without reply":       {[]ftptest.Fault{ftptest.DropAfter("RETR")}, io.ErrUnexpectedEOF},
		"without reply, FIN":  {[]ftptest.Fault{ftptest.CutData("RETR", 1000), ftptest.DropAfter("RETR")}, io.ErrUnexpectedEOF},
		"it stalls":           {[]ftptest.Fault{ftptest.StallData("RETR", 1000)}, conn.ErrTimeout},
		"no space, of a RETR": {[]ftptest.Fault{ftptest.ReplaceReply("RETR", 226, 551, "Error reading file")}, iofs.ErrPermission},
	} {
		t.Run(name, func(t *testing.T) {
			srv := ftptest.Start(t)
			fill(t, srv, map[string]string{"big": big})
			for _, f := range tt.faults {
				defer srv.Fault(f)()
			}
			cfg := configOf(srv)
			cfg.Timeout = 300 * time.Millisecond
			s := openWith(t, cfg)
			got, err := fetchFile(t, s, "/big", 0)
			if !errors.Is(err, tt.meaning) || !strings.HasPrefix(big, got) {
				t.Errorf("%d bytes, %v, want %v", len(got), err, tt.meaning)
			}
			if refused := conn.OutcomeOf(err) == conn.Refused; refused != (s.Err() == nil) {
				t.Errorf("%v, and Err is %v", err, s.Err())
			}
		})
	}
}

// The context of Open ends the download too.
func TestDownloadInterrupted(t *testing.T) {
	srv, s := start(t, map[string]string{"big": big})
	defer srv.Fault(ftptest.StallData("RETR", 1000))()
	ctx, cancel := context.WithCancel(bg)
	d, err := s.Open(ctx, "/big", 0, conn.Version{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := io.ReadFull(d, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(new(bytes.Buffer), d); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A transfer that is over before it began is none, and the session is not
// used again: nobody knows what comes next.
func TestFinalReplyFirst(t *testing.T) {
	srv, s := start(t, map[string]string{"f": big})
	srv.Fault(ftptest.ReplaceReply("RETR", 150, 226, "Transfer complete"))
	if _, err := s.Open(bg, "/f", 0, conn.Version{}); err == nil || conn.OutcomeOf(err) == conn.Refused || s.Err() == nil {
		t.Errorf("%v, Err %v", err, s.Err())
	}
}
