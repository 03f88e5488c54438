package cache

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
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

func TestCopy(t *testing.T) {
	disks := map[string]Disk{"memory": newMemDisk(), "os": osDisk{}}
	for name, disk := range disks {
		t.Run(name, func(t *testing.T) {
			root := "/cache"
			if name == "os" {
				root = t.TempDir()
			}
			testCopy(t, openStore(t, disk, root))
		})
	}
}

func testCopy(t *testing.T, s *Store) {
	c, err := s.NewCopy(10)
	must(t, err)
	defer c.Close()
	buf := make([]byte, 4)
	read := func(off int64, want string, wantErr error) {
		t.Helper()
		n, err := c.ReadAt(buf, off)
		if string(buf[:n]) != want || err != wantErr {
			t.Errorf("ReadAt(%d) = %q, %v; want %q, %v", off, buf[:n], err, want, wantErr)
		}
	}
	missing := func(want Range, wantMissing bool) {
		t.Helper()
		if g, ok := c.Missing(0, 1<<62); g != want || ok != wantMissing || c.Complete() == wantMissing {
			t.Errorf("Missing = %v, %v; want %v, %v", g, ok, want, wantMissing)
		}
	}
	read(0, "", ErrMissing)
	read(10, "", io.EOF)
	missing(Range{0, 10}, true)

	must(t, c.Fill([]byte("abcd"), 0))
	if c.Generation() != 0 {
		t.Error("Fill made another generation")
	}
	read(0, "abcd", nil)
	read(1, "", ErrMissing)
	if _, err := c.WriteAt([]byte("XY"), 3); err != nil {
		t.Fatal(err)
	}
	must(t, c.Fill([]byte("0123456789+++"), 0)) // keeps what is there, and the size
	missing(Range{}, false)
	if got := copyContent(t, c); got != "abcXY56789" || c.Generation() != 1 {
		t.Errorf("content %q, generation %d", got, c.Generation())
	}
	read(8, "89", io.EOF)

	must(t, c.Truncate(4))
	must(t, c.Truncate(6))
	if _, err := c.WriteAt([]byte("end"), 8); err != nil {
		t.Fatal(err)
	}
	if got := copyContent(t, c); got != "abcX\x00\x00\x00\x00end" || c.Size() != 11 || c.Generation() != 4 {
		t.Errorf("content %q, size %d, generation %d", got, c.Size(), c.Generation())
	}
	for _, err := range []error{c.Truncate(-1), func() error { _, err := c.WriteAt(buf, -1); return err }(),
		func() error { _, err := c.ReadAt(buf, -1); return err }(), c.Fill(buf, -1)} {
		if !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("a negative offset gives %v", err)
		}
	}
}

func TestCopyDiskFull(t *testing.T) {
	disk := newMemDisk()
	s := openStore(t, disk, "/cache")
	c := newCopy(t, s, "0123456789")
	disk.room = 4
	n, err := c.WriteAt([]byte("abcdefgh"), 6)
	if n != 4 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("WriteAt = %d, %v; want 4, ENOSPC", n, err)
	}
	if got := copyContent(t, c); got != "012345abcd" {
		t.Errorf("content %q", got)
	}
	if _, err := s.Seal("/f", c, Attrs{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Seal gives %v", err)
	}
	wantPending(t, s)
	disk.room = -1
	_, err = s.Seal("/f", c, Attrs{})
	must(t, err)
	disk.room = 100
	wantPending(t, s, "/f=012345abcd")
	disk.room = 0
	if _, err := c.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("WriteAt that clones gives %v", err)
	}
	if got := copyContent(t, c); got != "012345abcd" {
		t.Errorf("content %q", got)
	}
	disk.room = -1
	must(t, c.Close())
}

// A sealed version keeps its bytes whatever the copy does, and Fill reaches it
// as long as they share the file.
func TestSealKeepsBytes(t *testing.T) {
	s := openStore(t, newMemDisk(), "/cache")
	c, err := s.NewCopy(8)
	must(t, err)
	if _, err := c.WriteAt([]byte("AB"), 0); err != nil {
		t.Fatal(err)
	}
	when := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	a := Attrs{Base: conn.Version{State: conn.Present, Size: 8, Time: when, Precision: time.Second}, Time: when, Mode: 0o640, SetMode: true}
	v, err := s.Seal("/d/f", c, a)
	must(t, err)
	if diff := cmp.Diff(a, v.Attrs()); diff != "" {
		t.Errorf("attrs (-want +got):\n%s", diff)
	}
	if v.Path() != "/d/f" || v.Size() != 8 || v.Generation() != 1 || v.Complete() {
		t.Errorf("path %s, size %d, generation %d", v.Path(), v.Size(), v.Generation())
	}
	files := len(s.files)
	if _, err := c.WriteAt([]byte("tail"), 8); err != nil {
		t.Fatal(err)
	}
	if len(s.files) != files {
		t.Error("appending made a clone")
	}
	must(t, c.Fill([]byte("01234567"), 0))
	if !v.Complete() {
		t.Error("filling the copy did not fill the version")
	}
	r, err := v.Reader()
	must(t, err)
	if _, err := c.WriteAt([]byte("zz"), 7); err != nil {
		t.Fatal(err)
	}
	must(t, v.Done())
	must(t, c.Truncate(1))
	text, err := io.ReadAll(r)
	if string(text) != "AB234567" || err != nil {
		t.Errorf("the reader got %q, %v", text, err)
	}
	must(t, r.Close())
	if len(s.files) != 1 {
		t.Errorf("%d files, want the copy's", len(s.files))
	}
	if err := v.Done(); !errors.Is(err, ErrNotPending) {
		t.Errorf("Done again gives %v", err)
	}
	must(t, c.Close())
	if n, bytes := s.Usage(); n != 0 || bytes != 0 {
		t.Errorf("%d copies with %d bytes are left", n, bytes)
	}
}

// The version is filled by itself once the copy has gone its own way.
func TestSealedFill(t *testing.T) {
	s := openStore(t, newMemDisk(), "/cache")
	c, err := s.NewCopy(4)
	must(t, err)
	v, err := s.Seal("/f", c, Attrs{})
	must(t, err)
	if _, err := c.WriteAt([]byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	must(t, c.Close())
	must(t, v.Fill([]byte("abcdef"), 0))
	wantPending(t, s, "/f=abcd")
	again, err := v.Copy()
	must(t, err)
	if got := copyContent(t, again); got != "abcd" {
		t.Errorf("Copy has %q", got)
	}
	other, err := v.Copy()
	must(t, err)
	if other != again {
		t.Error("two copies work on one file")
	}
	must(t, other.Close())
	must(t, again.Close())
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

func TestRefuse(t *testing.T) {
	s := openStore(t, osDisk{}, t.TempDir())
	long := strings.Repeat("ü", 120) + ".jpeg"
	c := newCopy(t, s, "bytes")
	v, err := s.Seal("/d/"+long, c, Attrs{Base: conn.Version{State: conn.Absent}})
	must(t, err)
	where, err := v.Refuse("550 no permission")
	must(t, err)
	if got := path.Base(where); len(got) > 250 || !strings.HasSuffix(got, ".jpeg") {
		t.Errorf("name %q", got)
	}
	if _, err := c.WriteAt([]byte("more!!"), 3); err != nil { // goes on with a clone
		t.Fatal(err)
	}
	if got := copyContent(t, c); got != "bytmore!!" {
		t.Errorf("the copy has %q", got)
	}
	must(t, c.Close())
	seal(t, s, "/d/"+long, "others").Refuse("again")
	want := []string{"/d/" + long + "=bytes (550 no permission)", "/d/" + long + "=others (again)"}
	if diff := cmp.Diff(want, recoveredOf(t, s), sortStrings); diff != "" {
		t.Errorf("recovery (-want +got):\n%s", diff)
	}
	list, err := s.Recovery()
	must(t, err)
	if list[0].Base.State != conn.Absent || list[0].Time.IsZero() || list[0].Size != 5 {
		t.Errorf("described as %+v", list[0])
	}
	info, err := os.Stat(where)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	wantPending(t, s)
}

// What is called like the description of another file overwrites nothing.
func TestRecoveryNamesDoNotClash(t *testing.T) {
	s := openStore(t, newMemDisk(), "/cache")
	for range 3 {
		for _, p := range []string{"/x.json", "/x", "/x.json.json"} {
			_, err := seal(t, s, p, p).Refuse("r")
			must(t, err)
		}
	}
	if got := recoveredOf(t, s); len(got) != 9 {
		t.Errorf("recovery has %q", got)
	}
}

func TestDirtyClose(t *testing.T) {
	s := openStore(t, newMemDisk(), "/cache")
	write := func(p, text string) *Copy {
		c := newCopy(t, s, "")
		must(t, s.Dirty(p, c))
		must(t, s.Dirty(p, c))
		_, err := c.WriteAt([]byte(text), 0)
		must(t, err)
		return c
	}
	must(t, write("/lost", "L").Close())
	given := write("/given-up", "G")
	must(t, s.Clean(given))
	must(t, given.Close())
	gone := write("/gone", "U")
	must(t, s.Unlink("/gone"))
	must(t, gone.Close())
	sealed := write("/sealed", "S")
	_, err := s.Seal("/sealed", sealed, Attrs{})
	must(t, err)
	must(t, s.Dirty("/sealed", sealed))
	_, err = sealed.WriteAt([]byte("tail"), 1)
	must(t, err)
	must(t, sealed.Close())
	want := []string{"/lost=L (closed with changes that were not sealed)",
		"/sealed=Stail (closed with changes that were not sealed)"}
	if diff := cmp.Diff(want, recoveredOf(t, s), sortStrings); diff != "" {
		t.Errorf("recovery (-want +got):\n%s", diff)
	}
	wantPending(t, s, "/sealed=S")
}

func TestCleanCopies(t *testing.T) {
	disk := newMemDisk()
	s, err := Open("/cache", testIdentity, Options{CacheSize: 10, Disk: disk})
	must(t, err)
	v1 := conn.Version{State: conn.Present, Size: 4, Time: time.Unix(100, 0), Precision: time.Second}
	v2 := conn.Version{State: conn.Present, Size: 4, Time: time.Unix(200, 0), Precision: time.Second}
	keep := func(p string) {
		c := newCopy(t, s, "1234")
		s.Keep(p, v1, c)
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
	s.Keep("/s", v1, c)
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

func TestTemps(t *testing.T) {
	disk := newMemDisk()
	s := openStore(t, disk, "/cache")
	v := seal(t, s, "/d/f", "1")
	must(t, v.Attempt(".t1"))
	must(t, v.Attempt(".t2"))
	w := seal(t, s, "/d/f", "2")
	if !w.Attempted() {
		t.Error("the attempt of the superseded version is forgotten")
	}
	must(t, w.SetBase(conn.Version{State: conn.Absent}))
	if w.Attempted() || w.Attrs().Base.State != conn.Absent {
		t.Error("SetBase does not settle the attempts")
	}
	must(t, s.Rename("/d", "/e"))
	must(t, w.Attempt(".t3"))
	must(t, w.Done())
	must(t, s.TempGone("/e/.t1"))
	must(t, s.TempGone("/e/unknown"))
	disk.restart(false, nil)
	next := openStore(t, disk, "/cache")
	a := adoptOne(t, next)
	if diff := cmp.Diff([]string{"/e/.t2"}, a.Temps()); diff != "" {
		t.Errorf("temporary files (-want +got):\n%s", diff)
	}
	must(t, a.TempGone("/e/.t2"))
	must(t, a.Close())
	if all, err := next.Adopt(); len(all) != 0 || err != nil {
		t.Errorf("adopted %d more, %v", len(all), err)
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

func TestCloneSparse(t *testing.T) {
	dir := t.TempDir()
	const size = 64 << 20
	open := func(name string) File {
		f, err := osDisk{}.OpenFile(path.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
		must(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	from := open("from")
	must(t, from.Truncate(size))
	for _, off := range []int64{0, 5<<20 + 17, size - 3} {
		_, err := from.WriteAt([]byte("abc"), off)
		must(t, err)
	}
	for _, n := range []int64{0, 1, 5<<20 + 18, size - 1, size} {
		to := open("to" + time.Duration(n).String())
		must(t, to.CloneFrom(from, n))
		if got, err := to.Size(); got != n || err != nil {
			t.Errorf("clone of %d bytes has %d, %v", n, got, err)
		}
		want, got := make([]byte, n), make([]byte, n)
		if n > 0 {
			_, err := from.ReadAt(want, 0)
			must(t, err)
			_, err = to.ReadAt(got, 0)
			must(t, err)
		}
		if !bytes.Equal(want, got) {
			t.Errorf("clone of %d bytes differs", n)
		}
		if b, err := to.Bytes(); b > 2<<20 || err != nil {
			t.Errorf("clone of %d bytes takes %d, %v", n, b, err)
		}
	}
}
