package cache

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ftpfs/conn"
)

const testIdentity = "alice@host.example:21"

// openStore opens a Store in a folder of its own; nothing may be left open at the end.
func openStore(t *testing.T, disk Disk, root string) *Store {
	t.Helper()
	s, err := Open(root, testIdentity, Options{CacheSize: 1 << 20, Disk: disk})
	if err != nil {
		t.Fatal(err)
	}
	m, inMemory := disk.(*memDisk)
	epoch := 0
	if inMemory {
		epoch = m.epoch
	}
	t.Cleanup(func() {
		if inMemory && m.epoch != epoch {
			return // its process died
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if inMemory && m.open != 0 {
			t.Errorf("%d files are open", m.open)
		}
	})
	return s
}

var sortStrings = cmpopts.SortSlices(func(a, b string) bool { return a < b })

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newCopy makes a complete copy with the content text.
func newCopy(t testing.TB, s *Store, text string) *Copy {
	t.Helper()
	c, err := s.NewCopy(0)
	must(t, err)
	if _, err := c.WriteAt([]byte(text), 0); err != nil {
		t.Fatal(err)
	}
	return c
}

// A file that was made for the next copy is that copy's, counts as none before,
// and is gone at the end.
func TestSpare(t *testing.T) {
	disk := newMemDisk()
	s := openStore(t, disk, "/cache")
	s.Spare()
	s.Spare()
	if n, _ := s.Usage(); n != 0 || disk.open != 3 { // with the lock and the journal
		t.Errorf("%d copies, %d files are open", n, disk.open)
	}
	spare := s.spare
	c := newCopy(t, s, "text")
	if n, _ := s.Usage(); n != 1 || c.data != spare || s.spare != nil {
		t.Errorf("%d copies; it has the spare file: %v", n, c.data == spare)
	}
	must(t, c.Close())
	s.Spare()
	copies := s.dir + "/copies"
	must(t, s.Close())
	s.Spare()
	if left, err := disk.ReadDir(copies); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v, %v", left, err)
	}
}

// seal makes a version of path with the content text that nobody has open.
func seal(t testing.TB, s *Store, path, text string) *Sealed {
	t.Helper()
	c := newCopy(t, s, text)
	v, err := s.Seal(path, c, Attrs{})
	must(t, err)
	must(t, c.Close())
	return v
}

func contentOf(t testing.TB, v *Sealed) string {
	t.Helper()
	r, err := v.Reader()
	must(t, err)
	text, err := io.ReadAll(r)
	must(t, err)
	must(t, r.Close())
	return string(text)
}

func copyContent(t testing.TB, c *Copy) string {
	t.Helper()
	text, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	must(t, err)
	return string(text)
}

// pendingOf returns path and content of what is pending, oldest first.
func pendingOf(t testing.TB, s *Store) (out []string) {
	t.Helper()
	for _, v := range s.Pending() {
		out = append(out, v.Path()+"="+contentOf(t, v))
	}
	return out
}

func wantPending(t testing.TB, s *Store, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, pendingOf(t, s)); diff != "" {
		t.Errorf("pending (-want +got):\n%s", diff)
	}
}

// adoptOne opens a Store and returns the only one it can adopt.
func adoptOne(t testing.TB, s *Store) *Store {
	t.Helper()
	all, err := s.Adopt()
	must(t, err)
	if len(all) != 1 {
		t.Fatalf("%d stores adopted, want 1", len(all))
	}
	return all[0]
}

// recoveredOf returns path, reason and content of the recovery folder.
func recoveredOf(t testing.TB, s *Store) (out []string) {
	t.Helper()
	list, err := s.Recovery()
	must(t, err)
	for _, r := range list {
		text, err := readFile(s.disk, r.File)
		must(t, err)
		out = append(out, r.Path+"="+string(text)+" ("+r.Reason+")")
	}
	return out
}

func TestNames(t *testing.T) {
	for _, tc := range []struct {
		name      string
		do        func(*Store) error
		pending   []string
		recovered []string
	}{
		{"file", func(s *Store) error { return s.Rename("/a", "/d/new") }, []string{"/d/new=A", "/d/x=X", "/d/e/y=Y"}, nil},
		{"over a pending file", func(s *Store) error { return s.Rename("/a", "/d/x") }, []string{"/d/x=A", "/d/e/y=Y"}, nil},
		{"server's file over a pending one", func(s *Store) error { return s.Rename("/other", "/a") }, []string{"/d/x=X", "/d/e/y=Y"}, nil},
		{"directory", func(s *Store) error { return s.Rename("/d", "/n/m") }, []string{"/a=A", "/n/m/x=X", "/n/m/e/y=Y"}, nil},
		{"directory up", func(s *Store) error { return s.Rename("/d/e", "/e") }, []string{"/a=A", "/d/x=X", "/e/y=Y"}, nil},
		{"unknown", func(s *Store) error { return s.Rename("/q", "/r") }, []string{"/a=A", "/d/x=X", "/d/e/y=Y"}, nil},
		{"to itself", func(s *Store) error { return s.Rename("/d", "/d") }, []string{"/a=A", "/d/x=X", "/d/e/y=Y"}, nil},
		{"unlink", func(s *Store) error { return s.Unlink("/d/x") }, []string{"/a=A", "/d/e/y=Y"}, nil},
		{"remove a directory", func(s *Store) error { return s.Unlink("/d") }, []string{"/a=A"},
			[]string{"/d/e/y=Y (its directory was removed)", "/d/x=X (its directory was removed)"}},
		{"directory over one with pending files", func(s *Store) error { return s.Rename("/other", "/d/e") },
			[]string{"/a=A", "/d/x=X"}, []string{"/d/e/y=Y (its directory was removed)"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := newMemDisk()
			s := openStore(t, disk, "/cache")
			seal(t, s, "/a", "A")
			seal(t, s, "/d/x", "X")
			seal(t, s, "/d/e/y", "Y")
			must(t, tc.do(s))
			wantPending(t, s, tc.pending...)
			got := recoveredOf(t, s)
			if diff := cmp.Diff(tc.recovered, got, sortStrings); diff != "" {
				t.Errorf("recovery (-want +got):\n%s", diff)
			}
			disk.restart(false, nil)
			next := openStore(t, disk, "/cache")
			a := adoptOne(t, next)
			wantPending(t, a, tc.pending...)
			must(t, a.Close())
		})
	}
	s := openStore(t, newMemDisk(), "/cache")
	if err := s.Rename("/d", "/d/below"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("rename below itself gives %v", err)
	}
}

func TestCleanCopies(t *testing.T) {
	disk := newMemDisk()
	s, err := Open("/cache", testIdentity, Options{CacheSize: 10, Disk: disk})
	must(t, err)
	v1 := conn.Version{State: conn.Present, Size: 4, Time: time.Unix(100, 0), Precision: time.Second}
	v2 := conn.Version{State: conn.Present, Size: 4, Time: time.Unix(200, 0), Precision: time.Second}
	keep := func(p string) {
		c := newCopy(t, s, "1234")
		s.Keep(p, v1, false, c)
		must(t, c.Close())
	}
	has := func(p string, v conn.Version, want bool) {
		t.Helper()
		c, ok := s.Reuse(p, v)
		if ok != want {
			t.Errorf("Reuse(%s) = %v, want %v", p, ok, want)
		}
		if ok {
			if got := copyContent(t, c); got != "1234" {
				t.Errorf("%s has %q", p, got)
			}
			must(t, c.Close())
		}
	}
	keep("/a")
	keep("/b")
	has("/a", v1, true) // used last
	keep("/c")
	has("/b", v1, false)
	has("/a", v1, true)
	has("/c", v2, false) // another version
	has("/c", v1, false)
	must(t, s.Rename("/a", "/d/a"))
	has("/a", v1, false)
	has("/d/a", v1, true)
	held, ok := s.Reuse("/d/a", v1)
	if !ok {
		t.Fatal("not there")
	}
	keep("/e")
	keep("/f")
	keep("/g")
	has("/d/a", v1, true) // in use
	must(t, held.Close())
	s.Forget("/d/a")
	has("/d/a", v1, false)
	must(t, s.Unlink("/"+"f"))
	has("/f", v1, false)
	changed, ok := s.Reuse("/g", v1)
	if !ok {
		t.Fatal("not there")
	}
	must(t, s.Dirty("/g", changed))
	has("/g", v1, false)
	must(t, s.Clean(changed))
	must(t, changed.Close())

	c := newCopy(t, s, "1234")
	sealed, err := s.Seal("/s", c, Attrs{})
	must(t, err)
	s.Keep("/s", v1, false, c)
	must(t, c.Close())
	keep("/h")
	keep("/i")
	keep("/j")
	has("/s", v1, true) // is not on the server yet
	must(t, sealed.Done())
	if _, bytes := s.Usage(); bytes > 10 {
		t.Errorf("%d bytes are kept", bytes)
	}
	must(t, s.Close())
	if disk.open != 0 {
		t.Errorf("%d files are open", disk.open)
	}
}

// Folders of the living are told of, those of the dead adopted, and those of
// other servers named.
func TestFolders(t *testing.T) {
	root := t.TempDir()
	first := openStore(t, nil, root)
	must(t, first.SetOwner(42, "/mnt/x"))
	seal(t, first, "/f", "F")
	second := openStore(t, nil, root)
	held, err := second.Others()
	must(t, err)
	want := []Held{{ID: first.ID(), Owner: Owner{42, "/mnt/x"}, Pending: 1}}
	if diff := cmp.Diff(want, held); diff != "" {
		t.Errorf("others (-want +got):\n%s", diff)
	}
	if all, err := second.Adopt(); len(all) != 0 || err != nil {
		t.Errorf("adopted %d of the living, %v", len(all), err)
	}
	must(t, first.Close())

	other, err := Open(root, "bob@host.example:21", Options{})
	must(t, err)
	ids, err := other.OtherIdentities()
	must(t, err)
	if diff := cmp.Diff([]PendingIdentity{{testIdentity, 1}}, ids); diff != "" {
		t.Errorf("identities (-want +got):\n%s", diff)
	}
	must(t, other.Close())

	a := adoptOne(t, second)
	wantPending(t, a, "/f=F")
	must(t, a.Pending()[0].Done())
	must(t, a.Close())
	must(t, second.Close())
	if left, err := filepath.Glob(root + "/*/mounts/*"); len(left) != 0 || err != nil {
		t.Errorf("folders left: %q, %v", left, err)
	}
	if err := second.Close(); err != nil {
		t.Errorf("the second Close gives %v", err)
	}
	if _, err := second.NewCopy(0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("NewCopy after Close gives %v", err)
	}
	infos, err := filepath.Glob(root + "/*")
	must(t, err)
	for _, p := range infos {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, %v", p, info.Mode(), err)
		}
	}
}

// A mount that died while its folder was made or removed leaves nothing.
func TestSweep(t *testing.T) {
	disk := newMemDisk()
	for steps := 1; ; steps++ {
		disk.mu.Lock()
		disk.steps = steps
		disk.mu.Unlock()
		s, err := Open("/cache", testIdentity, Options{Disk: disk})
		if err == nil {
			err = s.Close()
		}
		done := err == nil
		disk.restart(false, nil)
		next := openStore(t, disk, "/cache")
		if all, err := next.Adopt(); len(all) != 0 || err != nil {
			t.Fatalf("after %d steps: adopted %d, %v", steps, len(all), err)
		}
		must(t, next.Close())
		names, err := disk.ReadDir(next.home + "/mounts")
		must(t, err)
		for _, name := range names {
			// Between mkdir and the creation of the lock nobody can tell a dead mount from a living one.
			if inside, _ := disk.ReadDir(next.home + "/mounts/" + name); len(inside) > 0 {
				t.Fatalf("after %d steps %s is left with %q", steps, name, inside)
			}
		}
		if done {
			return
		}
	}
}

// The same on a real disk: a process dies with a version pending, one being
// written, and a clean copy.
func TestDeathOnDisk(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, nil, root)
	seal(t, s, "/d/pending", "P")
	c := newCopy(t, s, "")
	must(t, s.Dirty("/d/dirty", c))
	_, err := c.WriteAt([]byte("D"), 0)
	must(t, err)
	clean := newCopy(t, s, "C")
	s.Keep("/d/clean", conn.Version{State: conn.Present}, false, clean)
	must(t, clean.Close())
	must(t, s.abandon())

	next := openStore(t, nil, root)
	a := adoptOne(t, next)
	wantPending(t, a, "/d/pending=P")
	if n, bytes := a.Usage(); n != 1 || bytes <= 0 || bytes > 64<<10 {
		t.Errorf("%d copies with %d bytes", n, bytes)
	}
	want := []string{"/d/dirty=D (the changes were not sealed when the process died)"}
	if diff := cmp.Diff(want, recoveredOf(t, next)); diff != "" {
		t.Errorf("recovery (-want +got):\n%s", diff)
	}
	v := a.Pending()[0]
	must(t, v.Sync())
	w, err := v.Copy()
	must(t, err)
	if w.Store() != a || v.Store() != a || w.Bytes() <= 0 {
		t.Errorf("the copy has %d bytes and belongs to another store", w.Bytes())
	}
	must(t, v.Done())
	if v.Pending() {
		t.Error("done and pending")
	}
	must(t, w.Close())
	must(t, a.Close())
}
