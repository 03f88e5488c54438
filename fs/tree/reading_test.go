package tree_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/tree"
)

const many = 1500

// large returns a server with a directory of many files, as it lists it, and
// the tree on it.
func large(t *testing.T) (*ftptest.Server, *tree.Tree) {
	t.Helper()
	s, tr := start(t, "d/")
	var lines strings.Builder
	for i := range many {
		fmt.Fprintf(&lines, "modify=20260101000000;perm=adfrw;size=12;type=file;UNIX.group=1000;UNIX.mode=0644;UNIX.owner=1000; file-%05d\r\n", i)
	}
	s.Fault(ftptest.Listing(lines.String()))
	return s, tr
}

// stalled is a server that stops somewhere in the middle of a listing.
func stalled() ftptest.Fault { return ftptest.StallData("MLSD", 150<<10) }

// The first entries of a large directory are there while the server is still
// listing, each is there once, and what we do meanwhile is seen.
func TestFirstEntriesOfLargeDirectory(t *testing.T) {
	s, tr := large(t)
	goOn := s.Fault(stalled())
	r, err := tr.Open(t.Context(), "/d")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen := map[string]bool{}
	for i := range conn.EarlyFrom {
		e, ok, err := r.Entry(t.Context(), i)
		if !ok || err != nil || seen[e.Name] || e.Size != 12 {
			t.Fatalf("entry %d: %+v, %v, %v", i, e, ok, err)
		}
		seen[e.Name] = true
	}
	first, _, _ := r.Entry(t.Context(), 0)
	if e, left, ok := r.Now(first); !ok || e != first || left != tr.TTL() {
		t.Errorf("of an entry of a listing that is coming, what is known is %+v for %v, %v", e, left, ok)
	}
	tr.Show("/d/new", conn.Entry{Kind: conn.KindFile, Size: 7})
	goOn()
	n := conn.EarlyFrom
	for ; ; n++ {
		e, ok, err := r.Entry(t.Context(), n)
		if err != nil || seen[e.Name] {
			t.Fatalf("entry %d: %+v, %v", n, e, err)
		}
		if !ok {
			break
		}
		seen[e.Name] = true
	}
	if n != many+1 || !seen["new"] {
		t.Errorf("%d entries", n)
	}
	if e, err := tr.Lookup(t.Context(), "/d/file-01499"); err != nil || s.Count("MLSD") != 1 {
		t.Errorf("%+v, %v, %d listings", e, err, s.Count("MLSD"))
	}
	changed := first
	changed.Size = 99
	tr.Put("/d/"+first.Name, changed)
	if e, left, ok := r.Now(first); !ok || e != changed || left <= 0 || left > tr.TTL() {
		t.Errorf("after a change, what is known is %+v for %v, %v", e, left, ok)
	}
	tr.Forget("/d")
	if e, _, ok := r.Now(first); ok {
		t.Errorf("of what is to be listed again, %+v is known", e)
	}
}

// A change of ours while a listing is coming makes what comes no news.
func TestChangeWhileListing(t *testing.T) {
	s, tr := large(t)
	goOn := s.Fault(stalled())
	r, err := tr.Open(t.Context(), "/d")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first, _, _ := r.Entry(t.Context(), 0)
	tr.Put("/d/file-00000", conn.Entry{Kind: conn.KindFile, Size: 99})
	if _, _, ok := r.Now(first); ok {
		t.Error("what comes is taken for true")
	}
	goOn()
	names(t, tr, "/d")
	if n := s.Count("MLSD"); n != 2 {
		t.Errorf("%d listings, want one more after the change", n)
	}
}

// A listing that is cut in the middle is an error for who reads it, and is not
// kept.
func TestListingCutInTheMiddle(t *testing.T) {
	s, tr := large(t)
	undo := s.Fault(ftptest.CutData("MLSD", 150<<10))
	r, err := tr.Open(t.Context(), "/d")
	for i, ok := 0, true; err == nil && ok; i++ {
		_, ok, err = r.Entry(t.Context(), i)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a cut listing ends with %v", err)
	}
	undo()
	if got := names(t, tr, "/d"); len(got) != many {
		t.Errorf("%d entries", len(got))
	}
}

// A listing that nobody reads to its end is given up.
func TestReadingIsGivenUp(t *testing.T) {
	s, tr := large(t)
	defer s.Fault(stalled().Once())()
	r, err := tr.Open(t.Context(), "/d")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Entry(ctx, many); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	r.Close()
	if got := names(t, tr, "/d"); len(got) != many {
		t.Errorf("%d entries", len(got))
	}
}
