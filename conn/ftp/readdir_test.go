package ftp

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"slices"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

// names lists dir and returns its names, sorted.
func names(t *testing.T, s *session, dir string) []string {
	t.Helper()
	l, err := s.List(bg, dir)
	if err != nil {
		t.Fatal(err)
	}
	if !l.Complete {
		t.Errorf("%s is not complete: %q", dir, l.Refused)
	}
	got := []string{}
	for _, e := range l.Entries {
		got = append(got, e.Name)
	}
	slices.Sort(got)
	return got
}

var someFiles = map[string]string{"a": "1", ".hidden": "2", "dir/b c": "3", "dir/.x": "", "empty/": "", "-a/x": "4", `we"ird [x]*?/y`: "5"}

func TestList(t *testing.T) {
	for name, faults := range map[string][]ftptest.Fault{
		"MLSD":               {},
		"LIST -a":            {ftptest.NoMLSD()},
		"LIST -a is refused": {ftptest.NoMLSD(), ftptest.Refuse("LIST", 550, "-a: No such file or directory").OnArg("-a")},
		"MLSD is not known":  {ftptest.Refuse("MLSD", 500, "MLSD not understood")},
		"PASV":               {ftptest.NoEPSV()},
	} {
		t.Run(name, func(t *testing.T) {
			srv := ftptest.Start(t)
			fill(t, srv, someFiles)
			for _, f := range faults {
				srv.Fault(f)
			}
			s := open(t, srv)
			all := []string{"-a", ".hidden", "a", "dir", "empty", `we"ird [x]*?`}
			inDir := []string{".x", "b c"}
			if name == "LIST -a is refused" {
				all, inDir = slices.DeleteFunc(all, isDot), slices.DeleteFunc(inDir, isDot)
			}
			for range 2 { // the first time tries out
				for dir, want := range map[string][]string{"/": all, "/dir": inDir, "/empty": {}, "/-a": {"x"}, `/we"ird [x]*?`: {"y"}} {
					if got := names(t, s, dir); !slices.Equal(got, want) {
						t.Errorf("%s: %q, want %q", dir, got, want)
					}
				}
			}
			_, err := s.List(bg, "/missing")
			want(t, s, err, iofs.ErrNotExist, conn.Refused)
			_, err = s.List(bg, "/a")
			want(t, s, err, conn.ErrNotDir, conn.Refused)
			wantAlive(t, s)
		})
	}
}

func isDot(name string) bool { return name[0] == '.' }

// Where LIST -a shows less than LIST, it is not used.
func TestListAllIsTriedOut(t *testing.T) {
	srv := ftptest.Start(t)
	fill(t, srv, map[string]string{"a": "", "empty/": ""})
	srv.Fault(ftptest.NoMLSD())
	srv.Fault(ftptest.Listing("").OnArg("-a"))
	s := open(t, srv)
	for range 2 {
		if got := names(t, s, "/"); !slices.Equal(got, []string{"a", "empty"}) {
			t.Errorf("got %q", got)
		}
	}
	if n := srv.Count("LIST"); n != 3 { // LIST -a, LIST; LIST
		t.Errorf("%d times LIST", n)
	}
}

// What one session has learned, the next one of the same dialer knows.
func TestListAllIsRemembered(t *testing.T) {
	srv := ftptest.Start(t)
	fill(t, srv, map[string]string{"a": "", "empty/": ""})
	srv.Fault(ftptest.NoMLSD())
	dial := Dialer(configOf(srv))
	for i, want := range []int{4, 2} { // two for each directory as long as nothing is known
		srv.ResetLog()
		s, err := dial(bg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		names(t, s.(*session), "/empty")
		names(t, s.(*session), "/")
		if n := srv.Count("LIST"); n != want {
			t.Errorf("session %d: %d times LIST, want %d", i, n, want)
		}
	}
}

// 226 with nothing in it is no proof that there is a directory.
func TestEmptyListingIsConfirmed(t *testing.T) {
	srv, s := start(t, map[string]string{"empty/": "", "full/x": ""})
	srv.Fault(ftptest.Listing("").OnArg("/full"))
	srv.Fault(ftptest.Refuse("CWD", 550, "No such directory").OnArg("/full"))
	if got := names(t, s, "/empty"); len(got) > 0 || srv.Count("CWD") > 0 { // "." is in it
		t.Errorf("got %q, %d CWD", got, srv.Count("CWD"))
	}
	_, err := s.List(bg, "/full")
	want(t, s, err, iofs.ErrNotExist, conn.Refused)
}

func TestTruncatedListing(t *testing.T) {
	srv, s := start(t, map[string]string{"a": "", "b": "", "c": "", "d": ""})
	srv.Fault(ftptest.TruncateListing(4))
	l, err := s.List(bg, "/")
	if err != nil || l.Complete || len(l.Entries) == 0 {
		t.Errorf("%v, %v", l, err)
	}
	wantAlive(t, s)
}

func TestNamesThatAreRefused(t *testing.T) {
	srv, s := start(t, nil)
	srv.Fault(ftptest.Listing("type=file; good\r\ntype=file; ../bad\r\ntype=dir; ..\r\ntype=file; a\x00b\r\n"))
	l, err := s.List(bg, "/")
	if err != nil || len(l.Entries) != 1 || l.Entries[0].Name != "good" || l.NRefused == 0 {
		t.Errorf("%+v, %v", l, err)
	}
}

// vsftpd says so of a directory that may be entered but not read.
func TestUnreadableDirectory(t *testing.T) {
	srv := ftptest.Start(t)
	srv.Fault(ftptest.NoMLSD())
	srv.Fault(ftptest.Listing(""))
	srv.Fault(ftptest.ReplaceReply("LIST", 226, 226, "Transfer done (but failed to open directory)."))
	s := open(t, srv)
	_, err := s.List(bg, "/")
	want(t, s, err, iofs.ErrPermission, conn.Refused)
}

func TestListingBrokenOff(t *testing.T) {
	for name, tt := range map[string]struct {
		fault   ftptest.Fault
		meaning error
		outcome conn.Outcome
	}{
		"data cut, and the server says so": {ftptest.CutData("MLSD", 10), io.ErrUnexpectedEOF, conn.NotExecuted},
		"session dropped":                  {ftptest.DropAfter("MLSD"), io.ErrUnexpectedEOF, conn.Unknown},
		"session dropped before":           {ftptest.DropBefore("MLSD"), io.ErrUnexpectedEOF, conn.Unknown},
		"data stalls":                      {ftptest.StallData("MLSD", 10), conn.ErrTimeout, conn.Unknown},
		"reply stalls":                     {ftptest.DelayReply("MLSD", 226, time.Minute), conn.ErrTimeout, conn.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			srv := ftptest.Start(t)
			fill(t, srv, someFiles)
			cfg := configOf(srv)
			cfg.Timeout = 200 * time.Millisecond
			s := openWith(t, cfg)
			defer srv.Fault(tt.fault)()
			l, err := s.List(bg, "/")
			want(t, s, err, tt.meaning, tt.outcome)
			if l.Complete {
				t.Error("the listing claims to be complete")
			}
		})
	}
}

func TestListInterrupted(t *testing.T) {
	srv, s := start(t, someFiles)
	defer srv.Fault(ftptest.StallData("MLSD", 10))()
	ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
	defer cancel()
	_, err := s.List(ctx, "/")
	if !errors.Is(err, context.DeadlineExceeded) || s.Err() == nil {
		t.Errorf("%v, Err %v", err, s.Err())
	}
}
