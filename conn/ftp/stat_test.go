package ftp

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/conn/wire"
)

var someTime = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

// touch sets a file's time on the server.
func touch(t *testing.T, srv *ftptest.Server, name string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(filepath.Join(srv.Root, name), at, at); err != nil {
		t.Fatal(err)
	}
}

func TestStat(t *testing.T) {
	for name, faults := range map[string][]ftptest.Fault{
		"SIZE and MDTM":            {ftptest.NoMLSD()},
		"SIZE and MDTM, then MLST": {},
		"MLST alone": {ftptest.ReplaceReply("FEAT", 211, 211, "Features:\n MLST type*;size*;modify*;\nEnd"),
			ftptest.ReplaceReply("SIZE", 550, 213, "4096")}, // goftp.io, of a directory
	} {
		t.Run(name, func(t *testing.T) {
			srv := ftptest.Start(t)
			fill(t, srv, map[string]string{"dir/file": "12345", "dir/sub/": ""})
			touch(t, srv, "dir/file", someTime)
			for _, f := range faults {
				srv.Fault(f)
			}
			s := open(t, srv)
			e, err := s.Stat(bg, "/dir/file")
			if err != nil || e.Name != "file" || e.Kind != conn.KindFile || e.Size != 5 || !e.Time.Equal(someTime) || e.Precision != time.Second {
				t.Errorf("file: %+v, %v", e, err)
			}
			for _, dir := range []string{"/dir/sub", "/"} {
				if e, err = s.Stat(bg, dir); err != nil || e.Kind != conn.KindDir || e.Name != baseOf(dir) {
					t.Errorf("%s: %+v, %v", dir, e, err)
				}
			}
			_, err = s.Stat(bg, "/dir/missing")
			want(t, s, err, iofs.ErrNotExist, conn.Refused)
			wantAlive(t, s)
		})
	}
}

// Many files cost as many packets as one, and one that fails spoils no other.
func TestStatBatch(t *testing.T) {
	files := map[string]string{"sub/": ""}
	var paths []string
	for i := range 250 {
		name := fmt.Sprint("f", i)
		files[name] = name
		paths = append(paths, "/"+name)
	}
	_, s := start(t, files)
	paths = append(paths, "/missing", "/sub", "/a\nb", "/f7")
	rs, err := s.StatBatch(bg, paths)
	if err != nil || len(rs) != len(paths) {
		t.Fatalf("%d results, %v", len(rs), err)
	}
	for i, r := range rs[:250] {
		if r.Err != nil || r.Entry.Name != paths[i][1:] || r.Entry.Size != int64(len(r.Entry.Name)) {
			t.Errorf("%s: %+v, %v", paths[i], r.Entry, r.Err)
		}
	}
	if r := rs[250]; !errors.Is(r.Err, iofs.ErrNotExist) {
		t.Errorf("missing: %+v", r)
	}
	if r := rs[251]; r.Err != nil || r.Entry.Kind != conn.KindDir {
		t.Errorf("directory: %+v", r)
	}
	if r := rs[252]; !errors.Is(r.Err, conn.ErrInvalidName) {
		t.Errorf("line break: %+v", r)
	}
	if r := rs[253]; r.Err != nil || r.Entry.Size != 2 {
		t.Errorf("f7: %+v", r)
	}
	if rs, err := s.StatBatch(bg, nil); err != nil || len(rs) != 0 {
		t.Errorf("of nothing: %v, %v", rs, err)
	}
}

// Times are told for what has one, and cost one packet.
func TestTimes(t *testing.T) {
	_, s := start(t, map[string]string{"f": "1", "g": "22"})
	if err := s.SetTime(bg, "/f", someTime); err != nil {
		t.Fatal(err)
	}
	times, err := s.Times(bg, []string{"/missing", "/f", "/a\nb", "/g"})
	if err != nil || len(times) != 4 || !times[0].IsZero() || !times[1].Equal(someTime) || !times[2].IsZero() || times[3].IsZero() {
		t.Errorf("%v, %v", times, err)
	}
	if times, err := s.Times(bg, nil); err != nil || len(times) != 0 {
		t.Errorf("of nothing: %v, %v", times, err)
	}
}

func TestStatBroken(t *testing.T) {
	for _, fault := range []ftptest.Fault{ftptest.DropBefore("MDTM"), ftptest.DropAfter("SIZE"), ftptest.DropAfter("MLST")} {
		srv, s := start(t, map[string]string{"dir/": ""})
		srv.Fault(fault)
		if _, err := s.Stat(bg, "/dir"); err == nil || s.Err() == nil || conn.OutcomeOf(err) == conn.Refused {
			t.Errorf("%v, Err %v", err, s.Err())
		}
	}
	srv, s := start(t, map[string]string{"a": ""})
	srv.Fault(ftptest.ReplaceReply("SIZE", 213, 213, "many"))
	_, err := s.Stat(bg, "/a")
	want(t, s, err, conn.ErrProtocol, conn.NotExecuted)
}

func TestParseMLST(t *testing.T) {
	reply := func(lines ...string) wire.Reply { return wire.Reply{Code: 250, Lines: lines} }
	for _, tt := range []struct {
		line string
		want conn.Entry
	}{
		{" type=file;size=10;modify=20200102030405; /a/b c", conn.Entry{Kind: conn.KindFile, Size: 10, Time: someTime, Precision: time.Second}},
		{"Type=cdir;Modify=20200102030405; /a", conn.Entry{Kind: conn.KindDir, Size: -1, Time: someTime, Precision: time.Second}},
		{" type=dir;UNIX.ownername=John Doe; /a; b", conn.Entry{Kind: conn.KindDir, Size: -1, Owner: "John Doe"}},
	} {
		tt.want.Name = "name"
		got, err := parseMLST("/dir/name", reply("start", tt.line, "End"))
		if err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Error(d)
		}
	}
	for _, r := range []wire.Reply{reply("only one line"), {Code: 550, Lines: []string{"a", "type=file; x", "b"}}} {
		if e, err := parseMLST("/x", r); !errors.Is(err, conn.ErrProtocol) {
			t.Errorf("%v: %v, %v", r, e, err)
		}
	}
}

// A server that offers MLST and never answers it is asked once.
func TestMLSTThatHangs(t *testing.T) {
	srv := ftptest.Start(t)
	fill(t, srv, map[string]string{"d/x": ""})
	defer srv.Fault(ftptest.DelayReply("MLST", 250, time.Minute))()
	cfg := configOf(srv)
	cfg.Timeout = 200 * time.Millisecond
	dial := Dialer(cfg)
	first := mustDial(t, dial)
	defer first.Close()
	_, err := first.Stat(bg, "/d")
	want(t, first, err, conn.ErrTimeout, conn.NotExecuted)
	second := mustDial(t, dial)
	defer second.Close()
	if e, err := second.Stat(bg, "/d"); err != nil || e.Kind != conn.KindDir {
		t.Errorf("%+v, %v", e, err)
	}
	if n := srv.Count("MLST"); n != 1 {
		t.Errorf("MLST was asked %d times", n)
	}
}

func FuzzParseMLST(f *testing.F) {
	f.Add(" modify=20261122212609;size=10;type=file;UNIX.mode=0644; /dir/name")
	f.Add("type=cdir")
	f.Add(" Type=dir;Size=4096;; ")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := parseMLST("/dir/name", wire.Reply{Code: 250, Lines: []string{"start", line, "End"}})
		if err != nil {
			return
		}
		if e.Name != "name" || e.Size < -1 {
			t.Errorf("%q: %+v", line, e)
		}
	})
}

func TestParseMDTM(t *testing.T) {
	for text, ok := range map[string]bool{"20200102030405": true, "20200102030405.123": true, "191200102030405": true, "19x200102030405": false, " 20200102030405 ": true, "yesterday": false, "": false, "20201302030405": false} {
		got, parsed := parseMDTM(wire.Reply{Code: 213, Lines: []string{text}})
		if parsed != ok || ok && !got.Equal(someTime) {
			t.Errorf("%q: %v, %v", text, got, parsed)
		}
	}
}
