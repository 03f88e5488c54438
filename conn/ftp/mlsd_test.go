package ftp

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"ftpfs/conn"

	"github.com/google/go-cmp/cmp"
)

func TestParseMLSD(t *testing.T) {
	at := time.Date(2026, 11, 22, 21, 26, 9, 0, time.UTC)
	named := func(name string) conn.Entry { return conn.Entry{Name: name, Kind: conn.KindFile, Size: -1} }
	for _, tt := range []struct {
		line string
		want conn.Entry
	}{
		// servers
		{ // ProFTPD; its ownername is the login's, whoever owns the file
			"modify=20261122212609;perm=adfrw;size=10;type=file;unique=FE00U9840EA;UNIX.group=0;UNIX.groupname=lab;UNIX.mode=0644;UNIX.owner=0;UNIX.ownername=lab; file",
			conn.Entry{Name: "file", Kind: conn.KindFile, Size: 10, Time: at, Precision: time.Second, Mode: 0o644, HasMode: true, Owner: "0", Group: "0", Perm: "adfrw"},
		},
		{ // Pure-FTPd
			"type=dir;sizd=4096;modify=20261122212609;UNIX.mode=02755;UNIX.uid=4242;UNIX.gid=4242;unique=fe00g9843a5; sub",
			conn.Entry{Name: "sub", Kind: conn.KindDir, Size: -1, Time: at, Precision: time.Second, Mode: 0o755 | fs.ModeSetgid, HasMode: true, Owner: "4242", Group: "4242"},
		},
		{
			"type=OS.unix=slink:;size=4;modify=20261122212609;UNIX.mode=0777;UNIX.uid=4242;UNIX.gid=4242;unique=fe00g986291; link",
			conn.Entry{Name: "link", Kind: conn.KindSymlink, Size: 4, Time: at, Precision: time.Second, Mode: 0o777, HasMode: true, Owner: "4242", Group: "4242"},
		},
		{"type=unknown;size=0; fifo", conn.Entry{Name: "fifo", Kind: conn.KindOther}},
		{ // pyftpdlib
			"modify=20261122212609;perm=radfwMT;size=10;type=file;unique=fe00g98626f;unix.gid=4242;unix.mode=0o644;unix.uid=4242; file",
			conn.Entry{Name: "file", Kind: conn.KindFile, Size: 10, Time: at, Precision: time.Second, Mode: 0o644, HasMode: true, Owner: "4242", Group: "4242", Perm: "radfwmt"},
		},
		{ // goftp.io/server
			"Type=file;Modify=20261122212609;Size=10; file",
			conn.Entry{Name: "file", Kind: conn.KindFile, Size: 10, Time: at, Precision: time.Second},
		},

		// form
		{"TYPE=Dir; d", conn.Entry{Name: "d", Kind: conn.KindDir, Size: -1}},
		{"type=file;  lead and trail ", named(" lead and trail ")},
		{"type=file; semi; colon", named("semi; colon")},
		{"type=file; a=b;c d", named("a=b;c d")},
		{"type=file name", named("name")},
		{"type=file;size=10 two words", conn.Entry{Name: "two words", Kind: conn.KindFile, Size: 10}},
		{"type=file;UNIX.ownername=John Doe;UNIX.groupname=All Users; sp", conn.Entry{Name: "sp", Kind: conn.KindFile, Size: -1, Owner: "John Doe", Group: "All Users"}},
		{" only a name", conn.Entry{Name: "only a name", Size: -1}},
		{" name; too", conn.Entry{Name: "name; too", Size: -1}},
		{"size=3; untyped", conn.Entry{Name: "untyped", Size: 3}},
		{"type=file;x.unknown=1;;junk; f", named("f")},

		// types
		{"type=OS.unix=slink:/a b;size=4; l", conn.Entry{Name: "l", Kind: conn.KindSymlink, Size: 4, Target: "/a b"}},
		{"type=OS.UNIX=SLink:/A; l", conn.Entry{Name: "l", Kind: conn.KindSymlink, Size: -1, Target: "/A"}},
		{"type=OS.unix=symlink; l", conn.Entry{Name: "l", Kind: conn.KindSymlink, Size: -1}},
		{"type=OS.unix=slink; l", conn.Entry{Name: "l", Kind: conn.KindSymlink, Size: -1}},
		{"type=OS.unix=chr-13/29; dev", conn.Entry{Name: "dev", Kind: conn.KindOther, Size: -1}},
		{"type=; f", conn.Entry{Name: "f", Kind: conn.KindOther, Size: -1}},

		// values out of bounds
		{"type=file;size=-1; f", named("f")},
		{"type=file;size=010; f", conn.Entry{Name: "f", Kind: conn.KindFile, Size: 10}},
		{"type=file;size=0x10; f", named("f")},
		{"type=file;size=4611686018427387904; f", conn.Entry{Name: "f", Kind: conn.KindFile, Size: 1 << 62}},
		{"type=file;size=4611686018427387905; f", named("f")},
		{"type=file;size=99999999999999999999; f", named("f")},
		{"type=file;modify=20261122212609.123; f", conn.Entry{Name: "f", Kind: conn.KindFile, Size: -1, Time: at, Precision: time.Second}},
		{"type=file;modify=; f", named("f")},
		{"type=file;modify=2026112221260; f", named("f")},
		{"type=file;modify=20261322212609; f", named("f")},
		{"type=file;modify=20260230212609; f", named("f")},
		{"type=file;modify=20261122242609; f", named("f")},
		{"type=file;modify=19691231235959; f", named("f")},
		{"type=file;modify=22010101000000; f", named("f")},
		{"type=file;modify=-0261122212609; f", named("f")},
		{"type=file;modify=20231231235960; f", conn.Entry{Name: "f", Kind: conn.KindFile, Size: -1, Time: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), Precision: time.Second}},
		{"type=file;unix.mode=0104755; f", conn.Entry{Name: "f", Kind: conn.KindFile, Size: -1, Mode: 0o755 | fs.ModeSetuid, HasMode: true}},
		{"type=file;unix.mode=1777; f", conn.Entry{Name: "f", Kind: conn.KindFile, Size: -1, Mode: 0o777 | fs.ModeSticky, HasMode: true}},
		{"type=file;unix.mode=0o0; f", conn.Entry{Name: "f", Kind: conn.KindFile, Size: -1, HasMode: true}},
		{"type=file;unix.mode=0689; f", named("f")},
		{"type=file;unix.mode=; f", named("f")},
	} {
		got, err := parseMLSD(tt.line)
		if err != nil {
			t.Errorf("%q: %v", tt.line, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q: %s", tt.line, diff)
		}
	}
}

func TestParseMLSDRefuses(t *testing.T) {
	for line, want := range map[string]error{
		"type=cdir;modify=20261122212609; .":  errSkip,
		"type=pdir;modify=20261122212609; ..": errSkip,
		"Type=CDIR; /home/lab":                errSkip,
		"type=dir; .":                         errSkip,
		"type=dir; ..":                        errSkip,
		"type=file; a/b":                      conn.ErrInvalidName,
		"type=file; /":                        conn.ErrInvalidName,
		"type=file; cr\rname":                 conn.ErrInvalidName,
		"type=file; nul\x00":                  conn.ErrInvalidName,
		"type=file; ":                         errUnparsed,
		"line":                                errUnparsed, // what is left of a name with LF
		"two words":                           errUnparsed,
		"Permission denied; sorry":            errUnparsed,
		"":                                    errUnparsed,
	} {
		if e, err := parseMLSD(line); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v; want %v", line, e, err, want)
		}
	}
}

func FuzzParseMLSD(f *testing.F) {
	f.Add("modify=20261122212609;perm=adfrw;size=10;type=file;UNIX.mode=0644;UNIX.owner=4242;UNIX.ownername=lab; file")
	f.Add("type=OS.unix=slink:/a;unix.mode=0o644 b")
	f.Add(" ;; ")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := parseMLSD(line)
		checkParsed(t, line, e, err)
	})
}
