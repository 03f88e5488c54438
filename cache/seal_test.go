package cache

import (
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpfs/conn"
)

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

// What was appended and never sealed does not come back with the version's bytes.
func TestSealedCopyHasNoTail(t *testing.T) {
	s := openStore(t, newMemDisk(), "/cache")
	c := newCopy(t, s, "sealed")
	v, err := s.Seal("/f", c, Attrs{})
	must(t, err)
	_, err = c.WriteAt([]byte("TAIL"), 6)
	must(t, err)
	must(t, c.Close())
	c, err = v.Copy()
	must(t, err)
	must(t, c.Truncate(8))
	if got := copyContent(t, c); got != "sealed\x00\x00" {
		t.Errorf("the copy has %q", got)
	}
	must(t, c.Close())
}

// A durable version stays on the disk until the one that superseded it is durable, and no longer.
func TestSupersededFileGoes(t *testing.T) {
	s := openStore(t, newMemDisk(), "/cache")
	must(t, seal(t, s, "/f", "1").Sync())
	seal(t, s, "/f", "2")
	v := seal(t, s, "/f", "3")
	if n, _ := s.Usage(); n != 2 {
		t.Errorf("%d files before Sync, want those of the first and the last", n)
	}
	must(t, v.Sync())
	if n, _ := s.Usage(); n != 1 {
		t.Errorf("%d files after Sync, want 1", n)
	}
}

// A version knows which earlier ones the server can have instead of its base,
// also in the next mount.
func TestEarlierAttempts(t *testing.T) {
	disk := newMemDisk()
	s := openStore(t, disk, "/cache")
	earlier := func(v *Sealed) (sizes []int64) {
		for _, e := range v.Earlier() {
			sizes = append(sizes, e.Size)
		}
		return sizes
	}
	seal(t, s, "/d/f", "never tried")
	v := seal(t, s, "/d/f", "1")
	must(t, v.Attempt(".t1"))
	v = seal(t, s, "/d/f", "22")
	must(t, v.Attempt(""))
	v = seal(t, s, "/d/f", "333")
	want := []int64{1, 2}
	if got := earlier(v); !slices.Equal(got, want) {
		t.Errorf("earlier attempts of sizes %v, want %v", got, want)
	}
	disk.restart(false, nil)
	a := adoptOne(t, openStore(t, disk, "/cache"))
	v = a.Pending()[0]
	if got := earlier(v); !slices.Equal(got, want) {
		t.Errorf("after a restart: %v, want %v", got, want)
	}
	must(t, v.SetBase(conn.Version{State: conn.Absent}))
	if got := earlier(v); got != nil {
		t.Errorf("%v: SetBase does not settle them", got)
	}
	must(t, v.Drop())
	must(t, a.Close())
}

func TestTemps(t *testing.T) {
	disk := newMemDisk()
	s := openStore(t, disk, "/cache")
	must(t, s.Temp("/d/.t0"))
	if got := s.Temps(); len(got) != 1 || got[0] != "/d/.t0" {
		t.Errorf("temporary files %v", got)
	}
	must(t, s.TempGone("/d/.t0"))
	v := seal(t, s, "/d/f", "1")
	must(t, v.Attempt(".t1"))
	must(t, v.Attempt(".t2"))
	if v.Attempted() {
		t.Error("an upload to a temporary name cannot have changed the file")
	}
	must(t, v.Attempt(""))
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

// A version that was sealed apart keeps its bytes, and the copy its file.
func TestSealApart(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, osDisk{}, dir)
	c := newCopy(t, s, "one")
	must(t, s.Dirty("/f", c))
	file := c.FileID()
	v, err := s.SealApart("/f", c, Attrs{})
	must(t, err)
	must(t, s.Dirty("/f", c))
	if _, err := c.WriteAt([]byte("T"), 0); err != nil {
		t.Fatal(err)
	}
	if c.FileID() != file {
		t.Error("the copy has moved to another file")
	}
	r, err := v.Reader()
	must(t, err)
	if got, err := io.ReadAll(r); string(got) != "one" || err != nil {
		t.Errorf("the version is %q, %v", got, err)
	}
	must(t, r.Close())
	must(t, v.Done())
	must(t, s.Clean(c))
	must(t, c.Close())
	if n, _ := s.Usage(); n != 0 {
		t.Errorf("%d copies are left", n)
	}
}
