package ftp

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpfs/conn"

	"github.com/google/go-cmp/cmp"
)

// The listings in testdata/list are those of one directory, recorded from
// five servers at recordedAt. The servers ran in the zone UTC+9.
var recordedAt = time.Date(2026, 11, 23, 6, 38, 0, 0, time.UTC)

const jst = 9 * time.Hour

// recordedFile is what was in that directory.
type recordedFile struct {
	kind   conn.Kind
	size   int64 // of directories: not compared
	mode   fs.FileMode
	target string
	links  int
}

var recordedDir = func() map[string]recordedFile {
	file := func(size int64, mode fs.FileMode) recordedFile {
		return recordedFile{kind: conn.KindFile, size: size, mode: mode, links: 1}
	}
	dir := func(mode fs.FileMode) recordedFile {
		return recordedFile{kind: conn.KindDir, mode: mode, links: 2}
	}
	link := func(target string) recordedFile {
		return recordedFile{kind: conn.KindSymlink, size: int64(len(target)), mode: 0o777, target: target, links: 1}
	}
	other := func(mode fs.FileMode) recordedFile {
		return recordedFile{kind: conn.KindOther, mode: mode, links: 1}
	}
	d := map[string]recordedFile{
		"empty": file(0, 0o644), "recent": file(11, 0o644), "future": file(12, 0o644), "sixmonths": file(12, 0o644),
		"old": file(13, 0o644), "big": file(5<<30, 0o644), "rootowned": file(5, 0o644), "nomode": file(10, 0),
		"file":     {kind: conn.KindFile, size: 10, mode: 0o644, links: 2},
		"hardlink": {kind: conn.KindFile, size: 10, mode: 0o644, links: 2},
		"suid":     file(10, 0o755|fs.ModeSetuid), "sgid": file(10, 0o755|fs.ModeSetgid),
		"suidnox": file(10, 0o644|fs.ModeSetuid|fs.ModeSetgid),
		"dir":     dir(0o755), "dir with space": dir(0o755), "sticky": dir(0o777 | fs.ModeSticky), "setgid": dir(0o755 | fs.ModeSetgid),
		"link": link("file"), "linkdir": link("dir"), "dangling": link("nowhere"), "loop": link("loop"),
		"abs link": link("/etc/passwd"), "link -> odd": link("two words"),
		"fifo": other(0o666), "sock": other(0o777), "chardev": other(0o666), "blockdev": other(0o660),
	}
	for _, name := range []string{
		"  two lead", " lead", "trail ", "two words", "#hash", "-dash", ".hidden", "100 Jan  1 2020 x", "Permission denied", "[x]",
		"a -> b", `back\slash`, "percent%20", `quote"d`, "semi; colon", "star*", "tab\tx", "total 48", "~", "ü", "latin\xe9",
		"evil", strings.Repeat("n", 255),
	} {
		d[name] = file(3, 0o644)
	}
	return d
}()

// recordedTimes are modification times in that directory.
var recordedTimes = map[string]time.Time{
	"file":      time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC),
	"recent":    time.Date(2026, 11, 22, 6, 37, 6, 0, time.UTC),
	"future":    time.Date(2027, 1, 2, 6, 37, 6, 0, time.UTC),
	"sixmonths": time.Date(2026, 6, 6, 6, 37, 6, 0, time.UTC),
	"old":       time.Date(1978, 12, 30, 0, 0, 0, 0, time.UTC),
}

// listPrecision is the precision of these times in most LISTs.
var listPrecision = map[string]time.Duration{
	"file": 24 * time.Hour, "old": 24 * time.Hour, "recent": time.Minute, "future": time.Minute, "sixmonths": time.Minute,
}

func TestRecordedListings(t *testing.T) {
	special := []string{"fifo", "sock", "chardev", "blockdev"}
	cr := `modify=20231114221320`
	for _, tt := range []struct {
		file    string
		zone    time.Duration
		owner   string // of "file"
		root    string // the owner of "rootowned"
		missing []string
		refused []string // beginnings of what is refused
		partial bool     // Complete is false
		change  func(map[string]recordedFile)
	}{
		{
			file: "proftpd-mlsd.txt", owner: "4242", root: "0",
			missing: []string{"dangling", "loop", "abs link"}, // its own root has no /etc/passwd
			refused: []string{cr, "line"}, partial: true,
			change: func(d map[string]recordedFile) { retype(d, conn.KindFile, special...) },
		},
		{file: "proftpd-list.txt", owner: "labuser", root: "root", refused: []string{"-rw-r--r--", "line"}, partial: true},
		{file: "vsftpd-list.txt", owner: "4242", root: "0", refused: []string{"-rw-r--r--", "line"}, partial: true},
		{file: "pureftpd-mlsd.txt", owner: "4242", root: "0", missing: []string{"tab\tx", "evil"}},
		{file: "pureftpd-list.txt", zone: jst, owner: "labuser", root: "0", missing: append([]string{"tab\tx", "evil"}, special...)},
		{file: "inetutils-list.txt", zone: jst, owner: "labuser", root: "root", refused: []string{"-rw-r--r--", "line"}, partial: true},
		{
			file: "pyftpdlib-mlsd.txt", owner: "4242", root: "0",
			missing: []string{"dangling", "loop"},
			refused: []string{cr, "line"}, partial: true,
			change: func(d map[string]recordedFile) {
				retype(d, conn.KindFile, special...)
				replaceName(d, "latin\xe9", "latin?")
				d["link"], d["linkdir"], d["link -> odd"] = d["file"], d["dir"], d["two words"] // follows links
				d["abs link"] = recordedFile{kind: conn.KindFile, size: 1412, mode: 0o644}
				for name, f := range d {
					f.mode &= fs.ModePerm
					d[name] = f
				}
			},
		},
		{
			file: "pyftpdlib-list.txt", owner: "labuser", root: "root", refused: []string{"-rw-r--r--", "line"}, partial: true,
			change: func(d map[string]recordedFile) { replaceName(d, "latin\xe9", "latin?") },
		},
	} {
		t.Run(tt.file, func(t *testing.T) {
			want := maps.Clone(recordedDir)
			for _, name := range tt.missing {
				delete(want, name)
			}
			if tt.change != nil {
				tt.change(want)
			}
			mlsd := strings.Contains(tt.file, "mlsd")
			l := readRecorded(t, tt.file, mlsd)
			got := map[string]recordedFile{}
			for _, e := range l.Entries {
				f := recordedFile{kind: e.Kind, size: e.Size, mode: e.Mode, target: e.Target, links: e.Links}
				if w := want[e.Name]; e.Kind == conn.KindDir || e.Kind == conn.KindOther {
					f.size = w.size
				} else if mlsd {
					f.target = w.target // none tells it
				}
				if mlsd {
					f.links = want[e.Name].links
				}
				got[e.Name] = f
				if !e.HasMode {
					t.Errorf("%q has no mode", e.Name)
				}
				checkRecordedTime(t, tt.file, tt.zone, mlsd, e)
				if e.Name == "file" && e.Owner != tt.owner || e.Name == "rootowned" && e.Owner != tt.root {
					t.Errorf("%q has the owner %q", e.Name, e.Owner)
				}
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(recordedFile{})); diff != "" {
				t.Error(diff)
			}
			if l.Complete == tt.partial || l.NRefused != len(tt.refused) ||
				!slices.EqualFunc(tt.refused, l.Refused, func(want, got string) bool { return strings.HasPrefix(got, want) }) {
				t.Errorf("complete %v, refused %d: %q", l.Complete, l.NRefused, l.Refused)
			}
		})
	}
}

func readRecorded(t *testing.T, file string, mlsd bool) conn.Listing {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "list", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parse := func(line string) (conn.Entry, error) { return parseLIST(line, recordedAt) }
	if mlsd {
		parse = parseMLSD
	}
	l, err := readListing(f, parse)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func checkRecordedTime(t *testing.T, file string, zone time.Duration, mlsd bool, e conn.Entry) {
	t.Helper()
	at, ok := recordedTimes[e.Name]
	if !ok {
		return
	}
	precision := listPrecision[e.Name]
	switch {
	case mlsd:
		precision = time.Second
	case file == "vsftpd-list.txt" && e.Name == "future": // "Jan 02  2027"
		precision = 24 * time.Hour
	}
	if want := at.Add(zone).Truncate(precision); !e.Time.Equal(want) || e.Precision != precision || e.Time.Location() != time.UTC {
		t.Errorf("%q has the time %v (%v), want %v (%v)", e.Name, e.Time, e.Precision, want, precision)
	}
}

func retype(d map[string]recordedFile, kind conn.Kind, names ...string) {
	for _, name := range names {
		f := d[name]
		f.kind = kind
		d[name] = f
	}
}

func replaceName(d map[string]recordedFile, from, to string) {
	d[to] = d[from]
	delete(d, from)
}
