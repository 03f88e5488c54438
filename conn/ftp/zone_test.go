package ftp

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
	_ "time/tzdata" // also where the system has none

	"ftpfs/conn/ftptest"
)

// A server that shows its own time in LIST is found out by one file, and all
// times of LIST are UTC from then on, those of that listing too.
func TestZoneOfLIST(t *testing.T) {
	tokyo, at := time.FixedZone("", 9*60*60), time.Now().UTC().Add(-time.Hour).Truncate(time.Minute)
	srv, _ := start(t, map[string]string{"f": "x", "d/": ""})
	if err := os.Chtimes(filepath.Join(srv.Root, "f"), at, at); err != nil {
		t.Fatal(err)
	}
	local := at.In(tokyo)
	defer srv.Fault(ftptest.NoMLSD())()
	defer srv.Fault(ftptest.Listing(fmt.Sprintf("-rw-r--r-- 1 0 0 1 %s f\r\ndrwxr-xr-x 2 0 0 4096 %s d\r\n-rw-r--r-- 1 0 0 1 Jan  2  2001 old\r\n",
		local.Format("Jan _2 15:04"), local.Format("Jan _2 15:04"))))()
	s := open(t, srv)
	for i := range 2 {
		l, err := s.List(bg, "/")
		if err != nil || len(l.Entries) != 3 {
			t.Fatal(l, err)
		}
		for _, e := range l.Entries[:2] {
			if !e.Time.Equal(at) {
				t.Errorf("listing %d: %s is of %v, want %v", i, e.Name, e.Time, at)
			}
		}
		if want := time.Date(2001, 1, 1, 15, 0, 0, 0, time.UTC); !l.Entries[2].Time.Equal(want) {
			t.Errorf("listing %d: old is of %v, want %v", i, l.Entries[2].Time, want)
		}
	}
	if n := srv.Count("MDTM"); n != 1 {
		t.Errorf("%d MDTM", n)
	}
}

// A zone that is given is not asked for, and has summer time.
func TestZoneGiven(t *testing.T) {
	srv, _ := start(t, map[string]string{"f": "x"})
	defer srv.Fault(ftptest.NoMLSD())()
	defer srv.Fault(ftptest.Listing("07-01-2020  02:00PM  1 summer\r\n01-01-2020  02:00PM  1 winter\r\n"))()
	cfg := configOf(srv)
	var err error
	if cfg.ListZone, err = time.LoadLocation("Europe/Berlin"); err != nil {
		t.Fatal(err)
	}
	l, err := openWith(t, cfg).List(bg, "/")
	if err != nil || len(l.Entries) != 2 {
		t.Fatal(l, err)
	}
	for i, want := range []int{12, 13} {
		if got := l.Entries[i].Time; got.Hour() != want {
			t.Errorf("%s: %v, want %d h", l.Entries[i].Name, got, want)
		}
	}
	if n := srv.Count("MDTM"); n != 0 {
		t.Errorf("%d MDTM", n)
	}
}
