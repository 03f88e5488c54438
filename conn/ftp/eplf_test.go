package ftp

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn"
)

func TestParseEPLF(t *testing.T) {
	at := time.Date(1996, 3, 1, 22, 15, 3, 0, time.UTC)
	for line, want := range map[string]conn.Entry{
		"+i8388621.48594,m825718503,r,s280,\tdjb.html": {Name: "djb.html", Kind: conn.KindFile, Size: 280, Time: at, Precision: time.Second},
		"+i8388621.50690,m825718503,/,\t514":           {Name: "514", Kind: conn.KindDir, Size: -1, Time: at, Precision: time.Second},
		"+r,s5,up644,\t a, b\tc ":                      {Name: " a, b\tc ", Kind: conn.KindFile, Size: 5, Mode: 0o644, HasMode: true},
		"+\tx":                                         {Name: "x", Kind: conn.KindOther, Size: -1},
		"+r,s-1,m99999999999999999999,\tx":             {Name: "x", Kind: conn.KindFile, Size: -1},
		"+r,s99999999999999999999,m-1,\tx":             {Name: "x", Kind: conn.KindFile, Size: -1},
	} {
		got, err := parseLIST(line, recordedAt)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%q: %v: %s", line, err, d)
		}
	}
	for line, want := range map[string]error{"+r,s5 x": errUnparsed, "+r,\t": errUnparsed, "+r,\ta/b": conn.ErrInvalidName, "+/,\t..": errSkip} {
		if e, err := parseLIST(line, recordedAt); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v; want %v", line, e, err, want)
		}
	}
}

func FuzzParseEPLF(f *testing.F) {
	f.Add("+i8388621.48594,m825718503,r,s280,up644,\tdjb.html")
	f.Add("+/,\t..")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := parseEPLF(line)
		checkParsed(t, line, e, err)
	})
}
