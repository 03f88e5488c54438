package cache

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// exposed returns a store on the real disk with a copy of /f that others
// write, whose content is the text, and that file.
func exposed(t *testing.T, text string) (*Store, *Copy, *os.File) {
	t.Helper()
	s, err := Open(t.TempDir(), testIdentity, Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	c, err := s.NewCopy(int64(len(text)))
	must(t, err)
	must(t, c.Fill([]byte(text), 0))
	if !c.data.file.TellsMaps() {
		t.Skip("this file system does not tell of stores through maps")
	}
	if ok, err := s.Expose("/f", c); !ok || err != nil {
		t.Fatalf("the copy is not exposed: %v, %v", ok, err)
	}
	f, err := os.OpenFile(c.data.path, os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { f.Close() }) // in spite of an earlier one
	return s, c, f
}

func sees(t *testing.T, c *Copy, want bool) {
	t.Helper()
	if saw, err := c.Look(); saw != want || err != nil {
		t.Errorf("Look: %v, %v; want %v", saw, err, want)
	}
}

func sealedText(t *testing.T, v *Sealed) string {
	t.Helper()
	r, err := v.Reader()
	must(t, err)
	defer r.Close()
	b := make([]byte, v.Size())
	if _, err := r.ReadAt(b, 0); err != nil && len(b) > 0 {
		t.Fatal(err)
	}
	return string(b)
}

// The kernel tells only of the first store to a page that is clean. So that
// one is seen after each seal, though the page was written before.
func TestMapsOfExposedCopiesAreSeen(t *testing.T) {
	s, c, f := exposed(t, "the first text")
	m, err := unix.Mmap(int(f.Fd()), 0, 14, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	sees(t, c, false)
	copy(m, "The")
	sees(t, c, true)
	sees(t, c, false)
	for _, text := range []string{"the 2nd", "the 3rd", "the 4th"} {
		copy(m, text)
		v, err := s.Seal("/f", c, Attrs{})
		must(t, err)
		sees(t, c, false)
		if got := sealedText(t, v); got != text+"st text" {
			t.Errorf("sealed is %q", got)
		}
		before := sealedText(t, v)
		copy(m, "THE")
		if got := sealedText(t, v); got != before {
			t.Errorf("a store after the seal changed the version: %q", got)
		}
		sees(t, c, true)
	}
	if done, err := s.Cover(c); done || err != nil {
		t.Errorf("covered with a map: %v, %v", done, err)
	}
	must(t, f.Close())
	if done, err := s.Cover(c); done || err != nil {
		t.Errorf("covered with a map of a closed file: %v, %v", done, err)
	}
	must(t, unix.Munmap(m))
	must(t, c.Compare())
	if done, err := s.Cover(c); !done || err != nil {
		t.Errorf("not covered without a map: %v, %v", done, err)
	}
}

// A copy that was exposed and not written is nothing to recover; what was
// written is, and what was sealed is pending.
func TestExposedCopiesAfterACrash(t *testing.T) {
	for name, c := range map[string]struct {
		before, after string // written before and after a version is sealed
		pending       string
		recovered     string
	}{
		"untouched":          {},
		"written":            {before: "THE", recovered: "THE first text"},
		"sealed":             {before: "THE", pending: "THE first text"},
		"written on":         {before: "THE", pending: "THE first text", after: "tHe", recovered: "tHe first text"},
		"sealed, and longer": {before: "THE first text, and more", pending: "THE first text, and more"},
	} {
		t.Run(name, func(t *testing.T) {
			s, cp, f := exposed(t, "the first text")
			put := func(text string) {
				if _, err := f.WriteAt([]byte(text), 0); err != nil {
					t.Fatal(err)
				}
			}
			if c.before != "" {
				put(c.before)
			}
			if c.pending != "" {
				if _, err := s.Seal("/f", cp, Attrs{}); err != nil {
					t.Fatal(err)
				}
			}
			if c.after != "" {
				put(c.after)
			}
			must(t, s.unlockFolder()) // all that is left of a process that died
			next, err := Open(s.root, testIdentity, Options{})
			must(t, err)
			defer next.Close()
			adopted, err := next.Adopt()
			must(t, err)
			pending := ""
			for _, a := range adopted {
				for _, v := range a.Pending() {
					pending = sealedText(t, v)
					must(t, v.Done())
				}
				must(t, a.Close())
			}
			if pending != c.pending {
				t.Errorf("pending is %q, want %q", pending, c.pending)
			}
			list, err := next.Recovery()
			must(t, err)
			recovered := ""
			for _, r := range list {
				b, err := os.ReadFile(r.File)
				must(t, err)
				recovered += string(b)
			}
			if recovered != c.recovered {
				t.Errorf("recovered is %q, want %q", recovered, c.recovered)
			}
		})
	}
}

// A copy is not exposed while a version shares its file, or before it is whole.
func TestExposeWhatCanBe(t *testing.T) {
	s, err := Open(t.TempDir(), testIdentity, Options{})
	must(t, err)
	defer s.Close()
	c, err := s.NewCopy(5)
	must(t, err)
	if ok, err := s.Expose("/f", c); ok || err != nil {
		t.Errorf("not whole: %v, %v", ok, err)
	}
	must(t, c.Fill([]byte("hello"), 0))
	v, err := s.Seal("/f", c, Attrs{})
	must(t, err)
	if ok, err := s.Expose("/f", c); ok || err != nil {
		t.Errorf("shared: %v, %v", ok, err)
	}
	must(t, v.Done())
	if ok, err := s.Expose("/f", c); !ok || err != nil {
		t.Errorf("whole and alone: %v, %v", ok, err)
	}
	if done, err := s.Cover(c); !done || err != nil {
		t.Errorf("covered: %v, %v", done, err)
	}
	must(t, c.Close())
	if left := s.index.marks; len(left) != 0 {
		t.Errorf("marks are left: %v", left)
	}
}

// Of two who expose a copy, the one that goes first takes nothing from what
// the other sees.
func TestCoverTakesNoNote(t *testing.T) {
	s, c, f := exposed(t, "the first text")
	if ok, err := s.Expose("/f", c); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := f.WriteAt([]byte("THE"), 0); err != nil {
		t.Fatal(err)
	}
	if done, err := s.Cover(c); !done || err != nil {
		t.Fatal(done, err)
	}
	sees(t, c, true)
}

// A copy with unsealed changes is not exposed: its time would not tell of them.
func TestChangedCopiesAreNotExposed(t *testing.T) {
	s, c, f := exposed(t, "the first text")
	if _, err := f.WriteAt([]byte("THE"), 0); err != nil {
		t.Fatal(err)
	}
	must(t, f.Close())
	if done, err := s.Cover(c); !done || err != nil {
		t.Fatal(done, err)
	}
	if ok, err := s.Expose("/f", c); ok || err != nil {
		t.Fatal(ok, err)
	}
	must(t, c.Close())
	list, err := s.Recovery()
	must(t, err)
	if len(list) != 1 {
		t.Errorf("in the recovery folder: %v, want one", list)
	}
}

// A store whose page fault began before a seal and ended after it shows in no
// time: it is found when nobody can write any more.
func TestStoresThatStraddleASealAreFound(t *testing.T) {
	s, c, f := exposed(t, "the first text")
	if _, err := s.Seal("/f", c, Attrs{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("THE"), 0); err != nil {
		t.Fatal(err)
	}
	must(t, f.Close())
	must(t, c.data.file.SetModTime(quiet()))
	sees(t, c, false)
	gen := c.Generation()
	if done, err := s.Cover(c); done || err != nil {
		t.Errorf("covered before it was compared: %v, %v", done, err)
	}
	must(t, c.Compare())
	if done, err := s.Cover(c); !done || err != nil || c.Generation() == gen {
		t.Errorf("covered: %v, %v; generation %d as before", done, err, gen)
	}
	must(t, c.Close())
	if list, err := s.Recovery(); err != nil || len(list) != 1 {
		t.Errorf("in the recovery folder: %v, %v, want one", list, err)
	}
}

// Where no file can be opened, or none to write, a copy is read as before, and
// is written again as soon as that is over.
func TestCoverWithoutDescriptors(t *testing.T) {
	for files := range 3 {
		disk := newMemDisk()
		s := openStore(t, disk, "/cache")
		c := newCopy(t, s, "the text")
		if ok, err := s.Expose("/f", c); !ok || err != nil {
			t.Fatal(ok, err)
		}
		disk.files = files
		done, err := s.Cover(c)
		if done != (err == nil) {
			t.Errorf("%d files: covered: %v, %v", files, done, err)
		}
		b := make([]byte, c.Size())
		if n, err := c.ReadAt(b, 0); string(b[:n]) != "the text" {
			t.Errorf("%d files: read %q, %v", files, b[:n], err)
		}
		disk.files = -1
		if !done {
			if done, err := s.Cover(c); !done || err != nil {
				t.Errorf("%d files: covered again: %v, %v", files, done, err)
			}
		}
		if _, err := c.WriteAt([]byte("THE"), 0); err != nil {
			t.Errorf("%d files: %v", files, err)
		}
		must(t, c.Truncate(3))
		must(t, c.Close())
		must(t, s.Close())
		if disk.open != 0 {
			t.Errorf("%d files: %d are left open", files, disk.open)
		}
	}
}
