package ftp

import (
	"errors"
	"testing"
	"time"

	"ftpfs/conn"

	"github.com/google/go-cmp/cmp"
)

func TestParseDOS(t *testing.T) {
	at := func(hour, minute int) time.Time { return time.Date(2026, 11, 22, hour, minute, 0, 0, time.UTC) }
	entry := func(name string, kind conn.Kind, size int64, at time.Time) conn.Entry {
		e := conn.Entry{Name: name, Kind: kind, Size: size, Time: at}
		if !at.IsZero() {
			e.Precision = time.Minute
		}
		return e
	}
	for _, tt := range []struct {
		line string
		want conn.Entry
	}{
		{"11-22-26  09:26PM       <DIR>          My Folder", entry("My Folder", conn.KindDir, -1, at(21, 26))},
		{"11-22-26  09:26PM                 1234 a file.txt", entry("a file.txt", conn.KindFile, 1234, at(21, 26))},
		{"11-22-2026  09:26AM                 1234 f", entry("f", conn.KindFile, 1234, at(9, 26))},
		{"11-22-26  12:00AM                    0 f", entry("f", conn.KindFile, 0, at(0, 0))},
		{"11-22-26  12:05PM                    0 f", entry("f", conn.KindFile, 0, at(12, 5))},
		{"11-22-26  21:26                      0 f", entry("f", conn.KindFile, 0, at(21, 26))},
		{"11/22/2026  09:26 pm 1 f", conn.Entry{}}, // no form of IIS
		{"11/22/2026  09:26pm 1 f", entry("f", conn.KindFile, 1, at(21, 26))},
		{"2026-11-22  21:26       <DIR>          d", entry("d", conn.KindDir, -1, at(21, 26))},
		{"11-22-70  09:26PM 1 f", entry("f", conn.KindFile, 1, time.Date(1970, 11, 22, 21, 26, 0, 0, time.UTC))},
		{"11-22-69  09:26PM 1 f", entry("f", conn.KindFile, 1, time.Date(2069, 11, 22, 21, 26, 0, 0, time.UTC))},
		{"11-22-26  09:26PM            5,368,709,120 big", entry("big", conn.KindFile, 5<<30, at(21, 26))},
		{"11-22-26  09:26PM 99999999999999999999 f", entry("f", conn.KindFile, -1, at(21, 26))},
		{"13-22-26  09:26PM 1 f", entry("f", conn.KindFile, 1, time.Time{})},
		{"11-22-26  09:26PM                 1234  lead", entry(" lead", conn.KindFile, 1234, at(21, 26))},
		{"11-22-26  09:26PM       <DIR>            lead", entry("  lead", conn.KindDir, -1, at(21, 26))},
		{"11-22-26  09:26PM       <DIR> near", entry("near", conn.KindDir, -1, at(21, 26))},
		{`11-22-26  09:26PM       <JUNCTION>     link [C:\x]`, conn.Entry{Name: "link", Kind: conn.KindSymlink, Size: -1, Time: at(21, 26), Precision: time.Minute, Target: `C:\x`}},
		{"11-22-26  09:26PM       <SYMLINKD>     link", entry("link", conn.KindSymlink, -1, at(21, 26))},
	} {
		got, err := parseDOS(tt.line)
		if tt.want.Name == "" {
			if !errors.Is(err, errUnparsed) {
				t.Errorf("%q: %+v, %v; want errUnparsed", tt.line, got, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.line, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q: %s", tt.line, diff)
		}
	}
}

func TestParseDOSRefuses(t *testing.T) {
	for line, want := range map[string]error{
		"11-22-26  09:26PM       <DIR>          .":  errSkip,
		"11-22-26  09:26PM       <DIR>          ..": errSkip,
		"11-22-26  09:26PM 1 a/b":                   conn.ErrInvalidName,
		"11-22-26  09:26PM 1 a\rb":                  conn.ErrInvalidName,
		"11-22-26  09:26PM 1 ":                      errUnparsed,
		"11-22-26  09:26PM 1":                       errUnparsed,
		"11-22-26  09:26PM       <DIR>":             errUnparsed,
		"11-22-26  13:26PM 1 f":                     errUnparsed,
		"11-22-26  00:26AM 1 f":                     errUnparsed,
		"11-22-26  9:6 1 f":                         errUnparsed,
		"11-22  09:26PM 1 f":                        errUnparsed,
		"11-22-x6  09:26PM 1 f":                     errUnparsed,
		"11-22-26  09:26PM x f":                     errUnparsed,
		"":                                          errUnparsed,
	} {
		if e, err := parseDOS(line); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v; want %v", line, e, err, want)
		}
	}
}

func FuzzParseDOS(f *testing.F) {
	f.Add("11-22-26  09:26PM       <DIR>          My Folder")
	f.Add("2026/11/22  21:26  1,234 f")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := parseDOS(line)
		checkParsed(t, line, e, err)
	})
}
