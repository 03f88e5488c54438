package tree_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"ftpfs/conn"
	"ftpfs/conn/ftp"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/tree"
)

func TestReadlinkIsContained(t *testing.T) {
	_, tr := start(t)
	for _, c := range []struct{ at, target, want string }{
		{"/d/link", "f", "f"},
		{"/d/link", "../e/f", "../e/f"},
		{"/d/link", "/e/f", "../e/f"},
		{"/link", "/e/f", "e/f"},
		{"/d/e/link", "/", "../.."},
		{"/d/link", "/d", "."},
		{"/d/link", "a/../../x", "../x"}, // a may be a link itself
		{"/d/link", "", ""},
		{"/link", "../../../../etc/passwd", "etc/passwd"}, // ".." stops at the server's root, and so it must here
		{"/d/link", "../../x", "../x"},
		{"/d/link", "..x/../y", "y"},
	} {
		got, err := tr.Readlink(c.at, conn.Entry{Kind: conn.KindSymlink, Target: c.target})
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s → %q: %q, %v; want %q", c.at, c.target, got, err, c.want)
		}
	}
}

func TestReadlinkNeverLeavesTheRoot(t *testing.T) {
	s, _ := start(t, "sub/d/")
	cfg, err := conn.ParseURL(s.URL() + "sub")
	if err != nil {
		t.Fatal(err)
	}
	pool := conn.NewPool(ftp.Dialer(cfg), conn.PoolOptions{})
	defer pool.Close()
	tr, err := tree.New(context.Background(), pool, cfg.Path, tree.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if tr.Root() != "/sub" {
		t.Fatalf("root %q", tr.Root())
	}
	for _, target := range []string{"/etc/passwd", "../../x", "/subject", "d/../../../x", "/"} {
		if got, err := tr.Readlink("/sub/link", conn.Entry{Kind: conn.KindSymlink, Target: target}); !errors.Is(err, conn.ErrNotOwner) {
			t.Errorf("%s: %q, %v", target, got, err)
		}
	}
	for target, want := range map[string]string{"/sub/d": "d", "../sub/d": "d", "d": "d"} {
		if got, err := tr.Readlink("/sub/link", conn.Entry{Kind: conn.KindSymlink, Target: target}); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", target, got, err, want)
		}
	}
}

// Links that leave the tree are followed, or shown raw, if that is wanted.
func TestSymlinksFollowedAndRaw(t *testing.T) {
	s, _ := start(t, "sub/d/", "sub/in", "out/f")
	for name, target := range map[string]string{"sub/inner": "in", "sub/dir": "../out", "sub/file": "/out/f", "sub/nothing": "/absent"} {
		if err := os.Symlink(target, filepath.Join(s.Root, name)); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := conn.ParseURL(s.URL() + "sub")
	if err != nil {
		t.Fatal(err)
	}
	pool := conn.NewPool(ftp.Dialer(cfg), conn.PoolOptions{})
	defer pool.Close()
	for mode, want := range map[tree.Symlinks]map[string]string{
		tree.ContainSymlinks: {"inner": "in", "dir": "refused", "file": "refused", "nothing": "refused"},
		tree.RawSymlinks:     {"inner": "in", "dir": "../out", "file": "/out/f", "nothing": "/absent"},
		tree.FollowSymlinks:  {"inner": "in", "dir": "a directory", "nothing": "refused"},
	} {
		tr, err := tree.New(t.Context(), pool, cfg.Path, tree.Options{Symlinks: mode})
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range want {
			e, err := tr.Lookup(t.Context(), "/sub/"+name)
			if err != nil {
				t.Fatal(err)
			}
			got := "a directory"
			if e.Kind != conn.KindDir {
				if got, err = tr.Readlink("/sub/"+name, e); err != nil {
					got = "refused"
				}
			}
			if got != want {
				t.Errorf("mode %d, %s: %q, want %q", mode, name, got, want)
			}
		}
	}
}

// Symlinks are made where the server can, inside the tree.
func TestSymlink(t *testing.T) {
	s, tr := start(t, "d/f", "d/sub/")
	ctx := t.Context()
	for _, c := range []struct {
		target, at string
		want       error
	}{
		{"f", "/d/link", nil},
		{"../f", "/d/sub/link", nil},
		{"f", "/d/link", fs.ErrExist},
		{"absent", "/d/dangling", fs.ErrNotExist}, // ProFTPD wants something there
		{"/etc/passwd", "/d/out", conn.ErrNotOwner},
		{"../../../x", "/d/out", fs.ErrNotExist}, // which is /x on the server
		{"f", "/d/with space", errors.ErrUnsupported},
	} {
		if _, err := tr.Symlink(ctx, c.target, c.at); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s → %s: %v, want %v", c.at, c.target, err, c.want)
		}
	}
	for range 2 { // as we know it, and as the server lists it
		for at, want := range map[string]string{"/d/link": "f", "/d/sub/link": "../f"} {
			e, err := tr.Lookup(ctx, at)
			if to, linkErr := tr.Readlink(at, e); err != nil || linkErr != nil || to != want {
				t.Errorf("%s: %q, %v, %v", at, to, err, linkErr)
			}
		}
		tr.ForgetAll()
	}
	defer s.Fault(ftptest.NoSymlink())()
	if _, err := open(t, s).Symlink(ctx, "f", "/d/another"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("where the server cannot: %v", err)
	}
}
