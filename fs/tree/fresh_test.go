package tree_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/tree"
)

// What others change is found out by the next listing, and told by name.
func TestChangesAreTold(t *testing.T) {
	s, tr := start(t, "d/same", "d/grown", "d/gone", "d/mode", "d/file-to-dir")
	var told []tree.Change
	tr.OnChange(func(c []tree.Change) { told = append(told, c...) })
	names(t, tr, "/d")
	d := s.Root + "/d/"
	for _, err := range []error{
		os.WriteFile(d+"grown", []byte("much more than before"), 0o644),
		os.Remove(d + "gone"), os.Chmod(d+"mode", 0o600),
		os.Remove(d + "file-to-dir"), os.Mkdir(d+"file-to-dir", 0o755), os.WriteFile(d+"new", nil, 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.Poll(t.Context(), "/d"); err != nil {
		t.Fatal(err)
	}
	want := []tree.Change{
		{Path: "/d/file-to-dir", Gone: true}, {Path: "/d/gone", Gone: true},
		{Path: "/d/grown", Content: true}, {Path: "/d/mode"},
	}
	if d := cmp.Diff(want, told); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if n := s.Count("MLSD"); n != 2 {
		t.Errorf("%d listings", n)
	}
	told = nil
	if err := tr.Chmod(t.Context(), "/d/mode", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tr.Poll(t.Context(), "/d"); err != nil || len(told) != 0 {
		t.Errorf("our own change was told: %v, %v", told, err)
	}
}

// While the server is away, what was known of it is shown up to an age, but
// nothing is called absent, and nothing is changed.
func TestStaleIfError(t *testing.T) {
	o := tree.Options{TTL: time.Second, Stale: time.Hour}
	distantWith(t, 8, o, []string{"d/f", "e/f"}, func(s *ftptest.Server, tr *tree.Tree) {
		ctx := context.Background()
		list := func() {
			t.Helper()
			if entries, err := tr.List(ctx, "/d"); err != nil || len(entries) != 1 {
				t.Errorf("%v, %v", entries, err)
			}
		}
		list()
		s.Stop()
		for range 3 {
			time.Sleep(time.Minute)
			list()
			if e, err := tr.Lookup(ctx, "/d/f"); err != nil || e.Size != 3 {
				t.Errorf("%+v, %v", e, err)
			}
		}
		_, absent := tr.Lookup(ctx, "/d/absent")
		_, unknown := tr.List(ctx, "/e")
		_, fresh := tr.Fresh(ctx, "/d/f")
		_, made := tr.Mkdir(ctx, "/d/f")
		for what, err := range map[string]error{
			"lookup of a name that is not in the listing": absent, "list of what was never listed": unknown, "fresh attributes": fresh,
			"mkdir": made, "remove": tr.Remove(ctx, "/d/f"), "rmdir": tr.Rmdir(ctx, "/d"), "rename": tr.Rename(ctx, "/d/f", "/d/g", false),
		} {
			if !errors.Is(err, conn.ErrHostDown) {
				t.Errorf("%s: %v", what, err)
			}
		}
		time.Sleep(time.Hour)
		if e, err := tr.Lookup(ctx, "/d/f"); !errors.Is(err, conn.ErrHostDown) {
			t.Errorf("too old: %+v, %v", e, err)
		}
		s.Restart()
		if _, err := tr.Lookup(ctx, "/d/absent"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the outage: %v", err)
		}
	})
}
