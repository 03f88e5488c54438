package ftp

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"ftpfs/conn"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseUnix(t *testing.T) {
	const day = 24 * time.Hour
	now := recordedAt
	minute := time.Date(2026, 11, 22, 21, 26, 0, 0, time.UTC)
	midnight := time.Date(2023, 11, 14, 0, 0, 0, 0, time.UTC)
	second := time.Date(2023, 11, 15, 7, 13, 20, 0, time.UTC)
	file := func(name string, at time.Time, precision time.Duration) conn.Entry {
		return conn.Entry{Name: name, Kind: conn.KindFile, Size: 10, Time: at, Precision: precision, Mode: 0o644, HasMode: true, Links: 1, Owner: "lab", Group: "users"}
	}
	with := func(e conn.Entry, change func(*conn.Entry)) conn.Entry { change(&e); return e }
	f := file("f", minute, time.Minute)
	for _, tt := range []struct {
		line string
		want conn.Entry
	}{
		// dates
		{"-rw-r--r--   1 lab      users          10 Nov 22 21:26 f", f},
		{"-rw-r--r-- 1 lab users 10 Nov 14  2023 f", file("f", midnight, day)},
		{"-rw-r--r-- 1 lab users 10 Nov 14 2023 f", file("f", midnight, day)},
		{"-rw-r--r-- 1 lab users 10 nov  2 21:26 f", file("f", time.Date(2026, 11, 2, 21, 26, 0, 0, time.UTC), time.Minute)},
		{"-rw-r--r-- 1 lab users 10 22 Nov 21:26 f", f},
		{"-rw-r--r-- 1 lab users 10 14. Nov  2023 f", file("f", midnight, day)},
		{"-rw-r--r-- 1 lab users 10 2026-11-22 21:26 f", f},
		{"-rw-r--r-- 1 lab users 10 2026-11-22 21:26 +0900", with(f, func(e *conn.Entry) { e.Name = "+0900" })},
		{"-rw-r--r-- 1 lab users 10 2023-11-15 07:13:20.000000000 +0000 f", file("f", second, time.Second)},
		{"-rw-r--r-- 1 lab users 10 2023-11-15 16:13:20.5 +0900 f", file("f", second, time.Second)},
		{"-rw-r--r-- 1 lab users 10 2023-11-15 02:43:20 -0430 f", file("f", second, time.Second)},
		{"-rw-r--r-- 1 lab users 10 Nov 15 07:13:20 2023 f", file("f", second, time.Second)},
		{"-rw-r--r-- 1 lab users 10 Jan  1 21:26 f", file("f", time.Date(2027, 1, 1, 21, 26, 0, 0, time.UTC), time.Minute)},
		{"-rw-r--r-- 1 lab users 10 May 24 21:26 f", file("f", time.Date(2026, 5, 24, 21, 26, 0, 0, time.UTC), time.Minute)},
		{"-rw-r--r-- 1 lab users 10 May 24 00:00 f", file("f", time.Date(2027, 5, 24, 0, 0, 0, 0, time.UTC), time.Minute)},
		{"-rw-r--r-- 1 lab users 10 Feb 30  2023 f", file("f", time.Time{}, 0)},
		{"-rw-r--r-- 1 lab users 10 Feb 29 21:26 f", file("f", time.Time{}, 0)},
		{"-rw-r--r-- 1 lab users 10 Jan  1  1969 f", file("f", time.Time{}, 0)},
		{"-rw-r--r-- 1 lab users 10 Jan  1  9999 f", file("f", time.Time{}, 0)},

		// columns
		{"-rw-r--r--. 1 lab users 10 Nov 22 21:26 f", f},
		{"-rw-r--r--+ 1 lab users 10 Nov 22 21:26 f", f},
		{"-rw-r--r--@ 1 lab users 10 Nov 22 21:26 f", f},
		{"-rw-r--r-- 1 lab 10 Nov 22 21:26 f", with(f, func(e *conn.Entry) { e.Group = "" })},
		{"-rw-r--r-- lab users 10 Nov 22 21:26 f", with(f, func(e *conn.Entry) { e.Links = 0 })},
		{"-rw-r--r-- 1 10 Nov 22 21:26 f", with(f, func(e *conn.Entry) { e.Owner, e.Group = "", "" })},
		{"-rw-r--r-- 10 Nov 22 21:26 f", with(f, func(e *conn.Entry) { e.Links, e.Owner, e.Group = 0, "", "" })},
		{"-rw-r--r-- 1 4242 4242 10 Nov 22 21:26 f", with(f, func(e *conn.Entry) { e.Owner, e.Group = "4242", "4242" })},
		{"-rw-r--r-- 1 lab Domain Users 10 Nov 22 21:26 f", with(f, func(e *conn.Entry) { e.Group = "Domain Users" })},
		{"-rw-r--r-- 1 Jan 14 10 Nov 22 21:26 f", with(f, func(e *conn.Entry) { e.Owner, e.Group = "Jan", "14" })},
		{"-rw-r--r-- 1 lab users 1,234 Nov 22 21:26 f", with(f, func(e *conn.Entry) { e.Size = 1234 })},
		{"-rw-r--r-- 1 lab users 99999999999999999999 Nov 22 21:26 f", with(f, func(e *conn.Entry) { e.Size = -1 })},

		// kinds
		{"drwxr-sr-x 2 lab users 4096 Nov 22 21:26 d", with(f, func(e *conn.Entry) {
			e.Name, e.Kind, e.Size, e.Mode, e.Links = "d", conn.KindDir, 4096, 0o755|fs.ModeSetgid, 2
		})},
		{"crw-rw-rw- 1 root root 1, 3 Nov 22 21:26 null", conn.Entry{Name: "null", Kind: conn.KindOther, Time: minute, Precision: time.Minute, Mode: 0o666, HasMode: true, Links: 1, Owner: "root", Group: "root"}},
		{"brw-rw---- 1 root disk 8,0 Nov 22 21:26 sda", conn.Entry{Name: "sda", Kind: conn.KindOther, Time: minute, Precision: time.Minute, Mode: 0o660, HasMode: true, Links: 1, Owner: "root", Group: "disk"}},
		{"Drwxr-xr-x 1 root root 0 Nov 22 21:26 door", conn.Entry{Name: "door", Kind: conn.KindOther, Time: minute, Precision: time.Minute, Mode: 0o755, HasMode: true, Links: 1, Owner: "root", Group: "root"}},
		{"-rwSr-lr-T 1 lab users 10 Nov 22 21:26 f", with(f, func(e *conn.Entry) { e.Mode = 0o644 | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky })},

		// names
		{"-rw-r--r-- 1 lab users 10 Nov 22 21:26  two  spaces ", with(f, func(e *conn.Entry) { e.Name = " two  spaces " })},
		{"-rw-r--r-- 1 lab users 10 Nov 22 21:26 a -> b", with(f, func(e *conn.Entry) { e.Name = "a -> b" })},
		{"-rw-r--r-- 1 lab users 10 Nov 22 21:26 7 Nov 22 21:26 f", with(f, func(e *conn.Entry) { e.Name = "7 Nov 22 21:26 f" })},
		{"-rw-r--r-- 1 lab users 10 Nov 22 21:26 total 48", with(f, func(e *conn.Entry) { e.Name = "total 48" })},
		{"lrw-r--r-- 1 lab users 10 Nov 22 21:26 l -> /a/b -> c", with(f, func(e *conn.Entry) { e.Name, e.Kind, e.Target = "l", conn.KindSymlink, "/a/b -> c" })},
		{"lrw-r--r-- 1 lab users 1 Nov 22 21:26 l -> m -> c", with(f, func(e *conn.Entry) { e.Name, e.Kind, e.Size, e.Target = "l -> m", conn.KindSymlink, 1, "c" })},
		{"lrw-r--r-- 1 lab users 10 Nov 22 21:26 l", with(f, func(e *conn.Entry) { e.Name, e.Kind = "l", conn.KindSymlink })},
		{"lrw-r--r-- 1 lab users 0 Nov 22 21:26 l -> ", with(f, func(e *conn.Entry) { e.Name, e.Kind, e.Size = "l", conn.KindSymlink, 0 })},
	} {
		got, err := parseUnix(tt.line, now)
		if err != nil {
			t.Errorf("%q: %v", tt.line, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q: %s", tt.line, diff)
		}
	}
}

func TestParseUnixRefuses(t *testing.T) {
	for line, want := range map[string]error{
		"total 48": errSkip,
		"total 0":  errSkip,
		"drwxr-xr-x 2 lab users 4096 Nov 22 21:26 .":      errSkip,
		"drwxr-xr-x 2 lab users 4096 Nov 22 21:26 ..":     errSkip,
		"-rw-r--r-- 1 lab users 10 Nov 22 21:26 a/b":      conn.ErrInvalidName,
		"-rw-r--r-- 1 lab users 10 Nov 22 21:26 cr\rname": conn.ErrInvalidName,
		"lrwxrwxrwx 1 lab users 1 Nov 22 21:26 a/b -> c":  conn.ErrInvalidName,
		"-rw-r--r-- 1 lab users 10 Nov 22 21:26 ":         errUnparsed,
		"-rw-r--r-- 1 lab users 10 Nov 22 21:26":          errUnparsed,
		"-rw-r--r-- 1 lab users Nov 22 21:26 f":           errUnparsed,
		"-rw-r--r-- 1 lab users 10 Nov 22 f":              errUnparsed,
		"-rw-r--r-- 1 lab users 10 Nov 22 24:26 f":        errUnparsed,
		"-rw-r--r-- 1 lab users 10 Foo 22 21:26 f":        errUnparsed,
		"-rw-r--r--x 1 lab users 10 Nov 22 21:26 f":       errUnparsed,
		"-rwwr--r-- 1 lab users 10 Nov 22 21:26 f":        errUnparsed,
		"?rw-r--r-- 1 lab users 10 Nov 22 21:26 f":        errUnparsed,
		"noaccess: Permission denied":                     errUnparsed,
		"/e/nope: No such file or directory":              errUnparsed,
		"line":                                            errUnparsed,
		"":                                                errUnparsed,
		"+i8388621.48594,m825718503,r,s280,\tdjb.html":    errUnparsed, // EPLF
	} {
		if e, err := parseUnix(line, recordedAt); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v; want %v", line, e, err, want)
		}
	}
}

// Whenever it is listed, a date without a year is less than half a year away
// from the listing, give or take the days that years differ.
func TestNearestYear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(rapid.Int64Range(1<<30, 1<<32).Draw(t, "now"), 0)
		at := now.Add(time.Duration(rapid.IntRange(-180*24*60, 180*24*60).Draw(t, "minutes")) * time.Minute).UTC().Truncate(time.Minute)
		if at.Month() == time.February && at.Day() == 29 {
			return
		}
		e, err := parseUnix("-rw-r--r-- 1 lab users 10 "+at.Format("Jan _2 15:04")+" f", now)
		if err != nil || !e.Time.Equal(at) {
			t.Fatalf("at %v: %v is taken for %v (%v)", now, at, e.Time, err)
		}
	})
}

func FuzzParseUnix(f *testing.F) {
	f.Add("-rw-r--r--   1 lab users 10 Nov 22 21:26 name", int64(1800000000))
	f.Add("lrwxrwxrwx 1 lab users 99 2026-11-22 21:26:09.5 +0900 a -> b", int64(0))
	f.Add("crw-rw-rw- 1 root root 1, 3 22 Nov 2023 null", int64(-1))
	f.Fuzz(func(t *testing.T, line string, now int64) {
		e, err := parseUnix(line, time.Unix(now%(1<<34), 0))
		checkParsed(t, line, e, err)
	})
}
