package tree_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn/ftptest"
	"ftpfs/fs/tree"
)

// Without a TTL each listing is the server's, and one listing serves the
// lookups that follow it at once.
func TestNoTTL(t *testing.T) {
	s, _ := start(t, "d/a", "d/b")
	tr := openWith(t, s, tree.Options{TTL: -1})
	for _, want := range [][]string{{"a", "b"}, {"a", "b", "c"}} {
		if got := names(t, tr, "/d"); !cmp.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if err := os.WriteFile(filepath.Join(s.Root, "d/c"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if left := tr.Left("/d"); left != 0 {
		t.Errorf("the kernel may keep it for %v", left)
	}
	s.ResetLog()
	for _, p := range []string{"/d/a", "/d/b", "/d/c"} {
		if _, err := tr.Lookup(t.Context(), p); err != nil {
			t.Error(err)
		}
	}
	if n := s.Count("MLSD"); n > 1 {
		t.Errorf("%d MLSD for three lookups", n)
	}
}

// A verb whose reply was lost together with the server may have been executed.
// When it is back, what is shown is what it has, not what it had.
func TestUnresolvedChangesAreLookedAtLater(t *testing.T) {
	for verb, c := range map[string]struct {
		do   func(ctx context.Context, tr *tree.Tree) error
		arg  string
		want []string
	}{
		"DELE": {func(ctx context.Context, tr *tree.Tree) error { return tr.Remove(ctx, "/d/a") }, "/d/a", []string{"b", "e"}},
		"RMD":  {func(ctx context.Context, tr *tree.Tree) error { return tr.Rmdir(ctx, "/d/e") }, "/d/e", []string{"a", "b"}},
		"RNTO": {func(ctx context.Context, tr *tree.Tree) error { return tr.Rename(ctx, "/d/a", "/d/c", false) }, "/d/c", []string{"b", "c", "e"}},
		"MKD":  {func(ctx context.Context, tr *tree.Tree) error { _, err := tr.Mkdir(ctx, "/d/n"); return err }, "/d/n", []string{"a", "b", "e", "n"}},
	} {
		t.Run(verb, func(t *testing.T) {
			s, tr := start(t, "d/a", "d/b", "d/e/")
			names(t, tr, "/d")
			names(t, tr, "/d/e")
			defer s.Fault(ftptest.DropAfter(verb).OnArg(c.arg).Once())()
			back := s.Fault(ftptest.Refuse(ftptest.Greeting, 450, "Service not available"))
			look := s.Fault(ftptest.DropBefore("MLSD")) // on another session that is open
			if err := c.do(t.Context(), tr); err == nil {
				t.Fatal("it succeeded although nobody knows")
			}
			back()
			look()
			if got := names(t, tr, "/d"); !cmp.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// The time of a directory is that of the last change in it.
func TestChangesSetTheTimeOfTheirDirectory(t *testing.T) {
	s, tr := start(t, "top/d/f", "top/d/g", "top/other/x")
	ctx := t.Context()
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for name, change := range map[string]func() error{
		"mkdir":  func() error { _, err := tr.Mkdir(ctx, "/top/d/new"); return err },
		"remove": func() error { return tr.Remove(ctx, "/top/d/f") },
		"rename": func() error { return tr.Rename(ctx, "/top/d/g", "/top/other/g", false) },
	} {
		for _, d := range []string{"/top/d", "/top/other"} {
			if err := os.Chtimes(s.Root+d, old, old); err != nil {
				t.Fatal(err)
			}
		}
		tr.ForgetAll()
		for _, d := range []string{"/top", "/top/d", "/top/other"} {
			names(t, tr, d)
		}
		if err := change(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		changed := map[string]bool{"/top/d": true, "/top/other": name == "rename"}
		for d, want := range changed {
			e, err := tr.Lookup(ctx, d)
			if got := time.Since(e.Time) < time.Minute; err != nil || got != want {
				t.Errorf("%s: %s has the time %v, %v", name, d, e.Time, err)
			}
		}
	}
}
