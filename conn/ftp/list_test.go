package ftp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"ftpfs/conn"

	"github.com/google/go-cmp/cmp"
)

// checkParsed holds for what any parser returns of any line.
func checkParsed(t *testing.T, line string, e conn.Entry, err error) {
	t.Helper()
	if err != nil {
		if !cmp.Equal(e, conn.Entry{}) {
			t.Fatalf("%q: %+v with %v", line, e, err)
		}
		return
	}
	if err := conn.CheckName(e.Name); err != nil {
		t.Fatalf("%q: name %q: %v", line, e.Name, err)
	}
	if e.Size < -1 || e.Size > 1<<62 || e.Links < 0 {
		t.Fatalf("%q: %+v", line, e)
	}
	if e.Time.IsZero() != (e.Precision == 0) || !e.Time.IsZero() && (e.Time.Year() < minYear-1 || e.Time.Year() > maxYear+1) {
		t.Fatalf("%q: time %v, precision %v", line, e.Time, e.Precision)
	}
	if e.Target != "" && e.Kind != conn.KindSymlink || e.Mode != 0 && !e.HasMode {
		t.Fatalf("%q: %+v", line, e)
	}
}

// parseTestLine knows "name", "skip" and "bad ...".
func parseTestLine(line string) (conn.Entry, error) {
	switch {
	case strings.HasPrefix(line, "skip"):
		return conn.Entry{}, errSkip
	case strings.HasPrefix(line, "bad"):
		return conn.Entry{}, fmt.Errorf("%w: it is bad", errUnparsed)
	}
	return named(conn.Entry{Size: -1}, line)
}

func TestReadListing(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	entries := func(names ...string) []conn.Entry {
		var es []conn.Entry
		for _, n := range names {
			es = append(es, conn.Entry{Name: n, Size: -1})
		}
		return es
	}
	for _, tt := range []struct {
		name, text string
		want       conn.Listing
	}{
		{"empty", "", conn.Listing{Complete: true}},
		{"CRLF", "a\r\nb\r\n", conn.Listing{Entries: entries("a", "b"), Complete: true}},
		{"LF", "a\nb\n", conn.Listing{Entries: entries("a", "b"), Complete: true}},
		{"no end", "a\nb", conn.Listing{Entries: entries("a", "b"), Complete: true}},
		{"blank lines", "\r\n\na\n  \r\n\nb\n\n", conn.Listing{Entries: entries("a", "b"), Complete: true}},
		{"spaces are names' own", " a \r\nb ", conn.Listing{Entries: entries(" a ", "b "), Complete: true}},
		{"skipped", "skip\na\nskip", conn.Listing{Entries: entries("a"), Complete: true}},
		{"not understood", "a\nbad \x1b[2J\xff\nb\n", conn.Listing{Entries: entries("a", "b"), Refused: []string{"bad ?[2J?"}, NRefused: 1}},
		{"evil names", "a\nb/c\n\x00\nd\re\nf\n", conn.Listing{Entries: entries("a", "f"), Complete: true, Refused: []string{"b/c", "?", "d?e"}, NRefused: 3}},
		{"a name with CR at its end", "a\r\r\nb\r\n", conn.Listing{Entries: entries("b"), Complete: true, Refused: []string{"a?"}, NRefused: 1}},
		{"a name too long", strings.Repeat("n", 256) + "\nb\n", conn.Listing{Entries: entries("b"), Complete: true, Refused: []string{strings.Repeat("n", 200)}, NRefused: 1}},
		{"twice", "a\nb\na\n", conn.Listing{Entries: entries("a", "b"), Complete: true, Refused: []string{"a"}, NRefused: 1}},
		{"a long line", "a\n" + long + long + long + "\nb\n", conn.Listing{Entries: entries("a", "b"), Refused: []string{long[:200]}, NRefused: 1}},
		{"a long line of spaces", strings.Repeat(" ", 2*maxLine) + "\nb\n", conn.Listing{Entries: entries("b"), Refused: []string{strings.Repeat(" ", 200)}, NRefused: 1}},
		{"a long line at the end", "a\n" + long + long, conn.Listing{Entries: entries("a"), Refused: []string{long[:200]}, NRefused: 1}},
		{"just too long", "a\n" + long + "\nb\n", conn.Listing{Entries: entries("a", "b"), Refused: []string{long[:200]}, NRefused: 1}},
		{"many", strings.Repeat("bad\n", 25), conn.Listing{Refused: []string{"bad", "bad", "bad", "bad", "bad", "bad", "bad", "bad", "bad", "bad"}, NRefused: 25}},
	} {
		for _, r := range []io.Reader{strings.NewReader(tt.text), iotest.OneByteReader(strings.NewReader(tt.text)), iotest.DataErrReader(strings.NewReader(tt.text))} {
			got, err := readListing(r, parseTestLine)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: %s", tt.name, diff)
			}
		}
	}
}

// When the connection breaks, the line that it broke in is no entry.
func TestReadListingBroken(t *testing.T) {
	broken := errors.New("broken")
	l, err := readListing(io.MultiReader(strings.NewReader("a\nb\npart of a na"), iotest.ErrReader(broken)), parseTestLine)
	if !errors.Is(err, broken) || l.Complete || len(l.Entries) != 2 {
		t.Errorf("got %+v, %v", l, err)
	}
}

// A line without an end costs no memory.
func TestReadListingEndlessLine(t *testing.T) {
	const length = 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l, err := readListing(io.LimitReader(endlessReader{}, length), parseTestLine)
	runtime.ReadMemStats(&after)
	if err != nil || l.Complete || l.NRefused != 1 {
		t.Errorf("got %+v, %v", l, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > length/16 {
		t.Errorf("%d bytes were allocated", used)
	}
}

// A listing without an end is cut.
func TestReadListingEndless(t *testing.T) {
	l := newCollector(nil)
	l.most = 1000
	got, err := l.read(&endlessLines{}, parseTestLine)
	if !errors.Is(err, errEndless) || got.Complete || len(got.Entries) != l.most {
		t.Errorf("%v, %d entries, complete %v", err, len(got.Entries), got.Complete)
	}
}

// Who wants a large listing early gets its entries in order, in batches, but
// not links whose target comes later.
func TestReadListingEarly(t *testing.T) {
	var early []conn.Entry
	batches := 0
	l := newCollector(func(some []conn.Entry) {
		early = append(early, some...)
		batches++
	})
	l.most = 4000
	got, _ := l.read(&endlessLines{}, func(line string) (conn.Entry, error) {
		e, err := parseTestLine(line)
		if strings.HasSuffix(line, "7") {
			e.Kind = conn.KindSymlink
		}
		return e, err
	})
	if got.Early != len(early) || got.Len() != l.most || batches < 4 || len(early) < 3000 {
		t.Errorf("%d entries in %d batches, %d said to be; %d in all", len(early), batches, got.Early, got.Len())
	}
	all := make([]bool, got.Len())
	at := -1
	for i, e := range append(early, got.Entries...) {
		var n int
		fmt.Sscanf(e.Name, "name %d", &n)
		if all[n] || i < len(early) && (n < at || e.Kind == conn.KindSymlink) {
			t.Fatalf("%v is out of order, twice or early", e)
		}
		all[n], at = true, n
	}
	few := newCollector(func([]conn.Entry) { t.Error("a small listing was handed out") })
	few.most = conn.EarlyFrom
	few.read(&endlessLines{}, parseTestLine)
}

// endlessLines reads as the lines "name 0", "name 1", and so on for ever.
type endlessLines struct {
	n    int
	rest string
}

func (e *endlessLines) Read(p []byte) (int, error) {
	if e.rest == "" {
		e.rest = fmt.Sprintf("name %d\n", e.n)
		e.n++
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// The strings of entries do not keep their lines in memory; equal owners are
// one string.
func TestReadListingSharesStrings(t *testing.T) {
	const line = "-rw-r--r-- 1 lab users 10 Nov 22 21:26 f"
	var lines []string
	l, err := readListing(strings.NewReader(line+"1\r\n"+line+"2\r\n"), func(line string) (conn.Entry, error) {
		lines = append(lines, line)
		return parseLIST(line, recordedAt)
	})
	if err != nil || len(l.Entries) != 2 {
		t.Fatalf("%+v, %v", l, err)
	}
	within := func(s, of string) bool {
		start := uintptr(unsafe.Pointer(unsafe.StringData(of)))
		at := uintptr(unsafe.Pointer(unsafe.StringData(s)))
		return start <= at && at < start+uintptr(len(of))
	}
	for i, e := range l.Entries {
		if e.Owner != "lab" || e.Group != "users" || e.Name == "" {
			t.Errorf("%+v", e)
		}
		for _, s := range []string{e.Name, e.Owner, e.Group} {
			if within(s, lines[i]) {
				t.Errorf("%q lies within its line", s)
			}
		}
	}
	if a, b := l.Entries[0], l.Entries[1]; unsafe.StringData(a.Owner) != unsafe.StringData(b.Owner) {
		t.Error("equal owners are two strings")
	}
}

// parseLIST takes each line for what it is.
func TestParseLIST(t *testing.T) {
	text := "total 2\r\n" +
		"-rw-r--r-- 1 lab users 10 Nov 22 21:26 unix\r\n" +
		"11-22-26  09:26PM       <DIR>          dos\r\n" +
		"/e/nope: No such file or directory\r\n"
	l, err := readListing(strings.NewReader(text), func(line string) (conn.Entry, error) { return parseLIST(line, recordedAt) })
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range l.Entries {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"unix", "dos"}, names); diff != "" || l.Complete || l.NRefused != 1 {
		t.Errorf("%+v %s", l, diff)
	}
}

// A listing never fails for what is in it, holds no name twice and quotes
// what it refused in a form fit for a log.
func FuzzReadListing(f *testing.F) {
	f.Add([]byte("-rw-r--r-- 1 lab users 10 Nov 22 21:26 f\r\ntotal 3\n\n11-22-26  09:26PM 1 f\r\nx\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := readListing(bytes.NewReader(data), func(line string) (conn.Entry, error) { return parseLIST(line, recordedAt) })
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, e := range l.Entries {
			checkParsed(t, e.Name, e, nil)
			if names[e.Name] {
				t.Fatalf("%q twice", e.Name)
			}
			names[e.Name] = true
		}
		if len(l.Refused) != min(l.NRefused, maxRefused) || len(l.Entries)+l.NRefused > bytes.Count(data, []byte("\n"))+1 {
			t.Fatalf("%+v", l)
		}
		for _, s := range l.Refused {
			if len(s) > maxQuoted || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("quoted %q", s)
			}
		}
	})
}

func BenchmarkReadListing(b *testing.B) {
	for _, bb := range []struct{ name, line string }{
		{"MLSD", "modify=20261122212609;perm=adfrw;size=10;type=file;unique=FE00U9840EA;UNIX.group=4242;UNIX.groupname=lab;UNIX.mode=0644;UNIX.owner=4242;UNIX.ownername=lab; entry-%06d.dat\r\n"},
		{"LIST", "-rw-r--r--   1 lab      users          10 Nov 22 21:26 entry-%06d.dat\r\n"},
		{"DOS", "11-22-26  09:26PM                 1234 entry-%06d.dat\r\n"},
	} {
		var text bytes.Buffer
		const lines = 100_000
		for i := range lines {
			fmt.Fprintf(&text, bb.line, i)
		}
		parse := func(line string) (conn.Entry, error) { return parseLIST(line, recordedAt) }
		if bb.name == "MLSD" {
			parse = parseMLSD
		}
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(text.Len()))
			b.ReportAllocs()
			for b.Loop() {
				l, err := readListing(bytes.NewReader(text.Bytes()), parse)
				if err != nil || len(l.Entries) != lines {
					b.Fatalf("%d entries, %v", len(l.Entries), err)
				}
			}
		})
	}
}
