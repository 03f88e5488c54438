package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn"
)

// stateOf says what a journal adds up to.
func stateOf(x *index) string {
	var b strings.Builder
	for _, v := range x.pending() {
		fmt.Fprintf(&b, "%s: version %d, file %d, %d bytes, tried %v, sent %v, earlier %v, synced %v, shadow %v, lacks %v, %v\n",
			v.node.path(), v.id, v.file, v.size, v.tried, v.sent, v.earlier, v.synced, v.shadow != nil, v.lacks, v.attrs)
	}
	fmt.Fprintf(&b, "temps %q, %d marks, %d nodes", x.temps(), len(x.marks), len(x.nodes))
	return b.String()
}

// journaled runs a little of everything on a Store and returns its journal
// and, for each length that the journal had between two calls, the state then.
func journaled(t *testing.T) (text []byte, states map[int64]string) {
	s := openStore(t, osDisk{}, t.TempDir()) // the copies are sparse
	states = make(map[int64]string)
	note := func(err error) {
		t.Helper()
		must(t, err)
		states[s.journal.size] = stateOf(s.index)
	}
	note(nil)
	c := newCopy(t, s, "0123")
	note(s.Dirty("/d/a", c))
	v, err := s.Seal("/d/a", c, Attrs{Base: conn.Version{State: conn.Present, Size: 9, Time: time.Unix(1<<40, 5), Precision: time.Minute}})
	note(err)
	note(v.Sync())
	note(v.Attempt(".tmp"))
	note(s.Rename("/d", "/e/f"))
	_, err = c.WriteAt([]byte("x"), 0)
	must(t, err)
	note(s.Dirty("/e/f/a", c))
	_, err = c.WriteAt([]byte("y"), 0)
	must(t, err)
	v, err = s.Seal("/e/f/a", c, Attrs{Mode: 0o600 | fs.ModeSetuid, SetMode: true})
	note(err)
	note(v.Attempt(""))
	note(v.SetBase(conn.Version{State: conn.Absent, Size: -1}))
	sparse, err := s.NewCopy(1 << 33)
	must(t, err)
	_, err = sparse.WriteAt([]byte("z"), 1<<30)
	must(t, err)
	_, err = s.Seal("/\xff\"\n", sparse, Attrs{Time: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)})
	note(err)
	note(s.TempGone("/e/f/.tmp"))
	note(v.Done())
	note(s.Unlink("/e"))
	must(t, c.Close())
	must(t, sparse.Close())
	text, err = readFile(s.disk, s.journal.name())
	must(t, err)
	return text, states
}

// parse reads text as a journal.
func parse(t *testing.T, text []byte) *replay {
	t.Helper()
	disk := newMemDisk()
	must(t, writeFile(disk, "/j", text))
	rp, err := readJournal(disk, "/j")
	must(t, err)
	return rp
}

// Wherever the journal is cut, it says what it said after the last whole call.
func TestJournalTornTail(t *testing.T) {
	text, states := journaled(t)
	want := ""
	for n := range len(text) + 1 {
		if s, ok := states[int64(n)]; ok {
			want = s
		}
		rp := parse(t, text[:n])
		if want == "" {
			if !rp.damaged {
				t.Fatalf("a journal cut at %d has no header, and is not damaged", n)
			}
			continue
		}
		for _, id := range unusedNodes(rp.index) { // of a call that was cut after its first records
			rp.index.prune(rp.index.nodes[id])
		}
		if diff := cmp.Diff(want, stateOf(rp.index)); diff != "" || rp.damaged {
			t.Fatalf("cut at %d of %d, damaged %v (-want +got):\n%s", n, len(text), rp.damaged, diff)
		}
		zeros := append(bytes.Clone(text[:n]), make([]byte, 100)...)
		if rp := parse(t, zeros); rp.damaged {
			t.Fatalf("cut at %d with zeros behind is taken for damaged", n)
		}
	}
}

// unusedNodes returns leaves that nothing is about.
func unusedNodes(x *index) (out []uint64) {
	for id, n := range x.nodes {
		if !n.used() && len(n.children) == 0 {
			out = append(out, id)
		}
	}
	return out
}

// What follows a damaged line is not believed.
func TestJournalDamagedMiddle(t *testing.T) {
	text, states := journaled(t)
	lines := bytes.SplitAfter(text, []byte("\n"))
	at := 0
	for i, line := range lines[:len(lines)-1] {
		for _, off := range []int{0, 8, 9, len(line) / 2, len(line) - 1} {
			bad := bytes.Clone(text)
			bad[at+off] ^= 1
			rp := parse(t, bad)
			last := len(lines) - 2
			if off == len(line)-1 { // without its newline it takes the next one along
				last--
			}
			if rp.damaged == (i >= last) {
				t.Errorf("line %d, byte %d: damaged is %v", i, off, rp.damaged)
			}
			if want, ok := states[int64(at)]; ok {
				if diff := cmp.Diff(want, stateOf(rp.index)); diff != "" {
					t.Errorf("line %d, byte %d (-want +got):\n%s", i, off, diff)
				}
			}
		}
		at += len(line)
	}
}

// rewriteJournal changes the journal of a store whose process died.
func rewriteJournal(t *testing.T, s *Store, change func([]byte) []byte) {
	t.Helper()
	text, err := readFile(s.disk, s.journal.name())
	must(t, err)
	f, err := s.disk.OpenFile(s.journal.name(), os.O_RDWR|os.O_TRUNC, 0)
	must(t, err)
	_, err = f.WriteAt(change(text), 0)
	must(t, err)
	must(t, f.Close())
}

func TestAdoptDamaged(t *testing.T) {
	const reason = " (the journal was damaged)"
	for _, tc := range []struct {
		name      string
		change    func([]byte) []byte
		pending   []string
		recovered []string
	}{
		{"none", func(b []byte) []byte { return b }, []string{"/a=A", "/b=B", "/c=C"}, nil},
		{"middle", func(b []byte) []byte { return bytes.Replace(b, []byte(`"name":"b"`), []byte(`"name":"x"`), 1) },
			[]string{"/a=A"}, []string{"=B" + reason, "/c=C" + reason}},
		{"header", func(b []byte) []byte { return append([]byte("x"), b...) },
			nil, []string{"/a=A" + reason, "/b=B" + reason, "/c=C" + reason}},
		{"empty", func([]byte) []byte { return nil }, nil, []string{"=A" + reason, "=B" + reason, "=C" + reason}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := newMemDisk()
			s := openStore(t, disk, "/cache")
			for _, n := range []string{"a", "b", "c"} {
				seal(t, s, "/"+n, strings.ToUpper(n))
			}
			disk.restart(false, nil)
			rewriteJournal(t, s, tc.change)
			next := openStore(t, disk, "/cache")
			all, err := next.Adopt()
			must(t, err)
			var got []string
			for _, a := range all {
				got = append(got, pendingOf(t, a)...)
				must(t, a.Close())
			}
			if diff := cmp.Diff(tc.pending, got); diff != "" {
				t.Errorf("pending (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.recovered, recoveredOf(t, next), sortStrings); diff != "" {
				t.Errorf("recovery (-want +got):\n%s", diff)
			}
		})
	}
}

// A journal of a later format is left alone.
func TestAdoptOtherFormat(t *testing.T) {
	disk := newMemDisk()
	s := openStore(t, disk, "/cache")
	seal(t, s, "/a", "A")
	disk.restart(false, nil)
	text, err := encode([]record{{Op: "journal", Format: 99}})
	must(t, err)
	rewriteJournal(t, s, func([]byte) []byte { return text })
	next := openStore(t, disk, "/cache")
	for range 2 {
		if all, err := next.Adopt(); len(all) != 0 || !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("adopted %d, %v", len(all), err)
		}
	}
	if names, err := disk.ReadDir(s.dir + "/copies"); len(names) != 1 || err != nil {
		t.Errorf("copies %q, %v", names, err)
	}
}

func TestJournalCompaction(t *testing.T) {
	disk := newMemDisk()
	s := openStore(t, disk, "/cache")
	seal(t, s, "/keep", "K")
	for i := range 6000 {
		must(t, seal(t, s, fmt.Sprintf("/a/long/enough/path/to/fill/journals/%d", i), "x").Drop())
		if s.journal.size > compactAt+4096 {
			t.Fatalf("the journal has %d bytes", s.journal.size)
		}
	}
	if s.journal.written.Load() < 2*compactAt {
		t.Fatalf("only %d bytes were written", s.journal.written.Load())
	}
	if len(s.index.nodes) != 2 {
		t.Errorf("%d nodes are left", len(s.index.nodes))
	}
	disk.restart(false, nil)
	a := adoptOne(t, openStore(t, disk, "/cache"))
	wantPending(t, a, "/keep=K")
	must(t, a.Close())
}

// An append that fails leaves nothing behind that a later replay would read.
func TestJournalDiskFull(t *testing.T) {
	for room := int64(0); room < 400; room += 7 {
		disk := newMemDisk()
		s := openStore(t, disk, "/cache")
		v := seal(t, s, "/d/a", "A")
		disk.room = room
		err := s.Rename("/d/a", "/a/longer/name/than/the/other")
		full := errors.Is(err, syscall.ENOSPC)
		if err != nil && !full {
			t.Fatal(err)
		}
		disk.room = -1
		must(t, v.SetBase(conn.Version{State: conn.Absent}))
		disk.restart(false, nil)
		a := adoptOne(t, openStore(t, disk, "/cache"))
		if full {
			wantPending(t, a, "/d/a=A")
		} else {
			wantPending(t, a, "/a/longer/name/than/the/other=A")
		}
		must(t, a.Close())
	}
}

// What is left of an append that failed must not be read as records.
func TestJournalFailedAppend(t *testing.T) {
	disk := newMemDisk()
	must(t, disk.Mkdir("/m", 0o700))
	j := journal{disk: disk, dir: "/m"}
	lines := func(names ...string) []byte {
		recs := []record{}
		for i, n := range names {
			recs = append(recs, record{Op: "node", ID: uint64(2 + i), Parent: rootID, Name: n})
		}
		text, err := encode(recs)
		must(t, err)
		return text
	}
	header, err := encode([]record{{Op: "journal", Format: journalFormat}})
	must(t, err)
	must(t, j.rewrite(header))
	disk.room = int64(len(lines("lost", "lost2")))
	if _, err := j.append(lines("lost", "lost2", "lost3")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	disk.room = -1
	_, err = j.append(lines("have"))
	must(t, err)
	must(t, j.close())
	rp, err := readJournal(disk, j.name())
	must(t, err)
	if x := rp.index; x.lookup("/have") == nil || x.lookup("/lost2") != nil || rp.damaged {
		t.Errorf("damaged %v, nodes %v", rp.damaged, x.nodes[rootID].children)
	}
}
