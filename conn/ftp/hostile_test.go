package ftp

import (
	"strings"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

// Listings that no honest server sends. None hides the good entry, before or
// behind, and what is not known is not made up.
func TestHostileListings(t *testing.T) {
	const good = "type=file;size=1;modify=20260101000000; good\r\n"
	mlsd := func(lines string) string { return good + lines + "type=file;size=2; good too\r\n" }
	for name, c := range map[string]struct {
		lines    string
		complete bool
		check    func(e conn.Entry) bool // of the entry "x"; nil: there is none
	}{
		"two of one name":   {"type=file;size=1; x\r\ntype=dir; x\r\n", true, func(e conn.Entry) bool { return e.Kind == conn.KindFile }},
		"a slash":           {"type=file;size=1; a/x\r\ntype=dir; /\r\ntype=dir; ../x\r\n", true, nil},
		"control bytes":     {"type=file;size=1; x\x00y\r\n", true, nil},
		"a negative size":   {"type=file;size=-5; x\r\n", true, func(e conn.Entry) bool { return e.Size == -1 }},
		"a huge size":       {"type=file;size=99999999999999999999; x\r\n", true, func(e conn.Entry) bool { return e.Size == -1 }},
		"a size of 2^63":    {"type=file;size=9223372036854775808; x\r\n", true, func(e conn.Entry) bool { return e.Size == -1 }},
		"year 0":            {"type=file;modify=00000101000000; x\r\n", true, func(e conn.Entry) bool { return e.Time.IsZero() }},
		"year 9999":         {"type=file;modify=99991231235959; x\r\n", true, func(e conn.Entry) bool { return e.Time.IsZero() }},
		"the 31st of June":  {"type=file;modify=20260631000000; x\r\n", true, func(e conn.Entry) bool { return e.Time.IsZero() }},
		"a line of 1 MiB":   {"type=file;size=1; " + strings.Repeat("x", 1<<20) + "\r\n", false, nil},
		"a name of 256":     {"type=file;size=1; " + strings.Repeat("x", 256) + "\r\n", true, nil},
		"nothing sensible":  {"\x1b[2J\r\n;;;;\r\n=\r\n", false, nil},
		"escapes in a name": {"type=file;size=1; \x1b[2Jx\r\n", true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			srv, s := start(t, map[string]string{"d/": ""})
			defer srv.Fault(ftptest.Listing(mlsd(c.lines)))()
			l, err := s.List(bg, "/d")
			if err != nil || l.Complete != c.complete {
				t.Fatalf("complete %v, %v, refused %q", l.Complete, err, l.Refused)
			}
			seen := map[string]conn.Entry{}
			for _, e := range l.Entries {
				if _, twice := seen[e.Name]; twice {
					t.Errorf("%q is there twice", e.Name)
				}
				seen[e.Name] = e
			}
			if seen["good"].Size != 1 || seen["good too"].Size != 2 {
				t.Errorf("good entries are hidden: %+v", l.Entries)
			}
			if x, ok := seen["x"]; ok != (c.check != nil) || ok && !c.check(x) {
				t.Errorf("x: %+v", x)
			}
			wantAlive(t, s)
		})
	}
}

// MLSD that is advertised and refused is not asked for again.
func TestMLSDRefused(t *testing.T) {
	srv, s := start(t, map[string]string{"d/f": "x"})
	defer srv.Fault(ftptest.Refuse("MLSD", 502, "Command not implemented"))()
	for range 2 {
		if l, err := s.List(bg, "/d"); err != nil || len(l.Entries) != 1 {
			t.Errorf("%+v, %v", l, err)
		}
	}
	if n := srv.Count("MLSD"); n != 1 {
		t.Errorf("%d MLSD", n)
	}
}

// A listing that stops in the middle is an error within the deadline, not a
// short directory.
func TestListingThatStalls(t *testing.T) {
	srv, _ := start(t, map[string]string{"d/f": "x", "d/g": "y"})
	cfg := configOf(srv)
	cfg.Timeout = 300 * time.Millisecond
	s := openWith(t, cfg)
	defer srv.Fault(ftptest.StallData("MLSD", 30))()
	began := time.Now()
	l, err := s.List(bg, "/d")
	want(t, s, err, conn.ErrTimeout, conn.Unknown)
	if len(l.Entries) > 0 || time.Since(began) > 10*time.Second {
		t.Errorf("%+v after %v", l, time.Since(began))
	}
}
