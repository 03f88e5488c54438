package cache

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
)

// While a clone is made everything else goes on: no lock is held that others
// need. What is written meanwhile is in a later version, whole.
func TestCloneMeanwhile(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(t *testing.T, s *Store, c *Copy, others File)
		want string // in the next version
	}{
		"nothing": {func(t *testing.T, s *Store, c *Copy, others File) {}, "THE text"},
		"a look":  {func(t *testing.T, s *Store, c *Copy, others File) { sees(t, c, false) }, "THE text"},
		"a read": {func(t *testing.T, s *Store, c *Copy, others File) {
			b := make([]byte, 3)
			if _, err := c.ReadAt(b, 0); string(b) != "THE" || err != nil {
				t.Error(string(b), err)
			}
		}, "THE text"},
		"others": {func(t *testing.T, s *Store, c *Copy, others File) {
			_, err := others.WriteAt([]byte("T"), 4)
			must(t, err)
		}, "THE Text"},
		"others, seen": {func(t *testing.T, s *Store, c *Copy, others File) {
			_, err := others.WriteAt([]byte("T"), 4)
			must(t, err)
			if _, err := c.Look(); err != nil {
				t.Error(err)
			}
		}, "THE Text"},
		"us": {func(t *testing.T, s *Store, c *Copy, others File) {
			_, err := c.WriteAt([]byte("T"), 4)
			must(t, err)
		}, "THE Text"},
		"cut": {func(t *testing.T, s *Store, c *Copy, others File) { must(t, c.Truncate(3)) }, "THE"},
		"cut and grown": {func(t *testing.T, s *Store, c *Copy, others File) {
			must(t, c.Truncate(3))
			_, err := others.WriteAt([]byte(" END"), 3)
			must(t, err)
		}, "THE END"},
		"another opens and closes": {func(t *testing.T, s *Store, c *Copy, others File) {
			if ok, err := s.Expose("/f", c); !ok || err != nil {
				t.Error(ok, err)
			}
			if done, err := s.Cover(c); !done || err != nil {
				t.Error(done, err)
			}
		}, "THE text"},
		"the last closes": {func(t *testing.T, s *Store, c *Copy, others File) {
			must(t, c.Compare())
			if done, err := s.Cover(c); done || err != nil {
				t.Error("covered before it was sealed: ", done, err)
			}
		}, "THE text"},
		"renamed": {func(t *testing.T, s *Store, c *Copy, others File) {
			must(t, s.Rename("/f", "/g"))
			must(t, s.Rename("/g", "/f"))
		}, "THE text"},
		"room is needed": {func(t *testing.T, s *Store, c *Copy, others File) {
			s.Evict()
			must(t, s.MakeRoom(c, 0, 0))
		}, "THE text"},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newMemDisk()
			s := openStore(t, disk, "/cache")
			c, err := s.NewCopy(8)
			must(t, err)
			must(t, c.Fill([]byte("the text"), 0))
			if ok, err := s.Expose("/f", c); !ok || err != nil {
				t.Fatal(ok, err)
			}
			others, err := disk.OpenFile(c.data.path, os.O_RDWR, 0)
			must(t, err)
			_, err = others.WriteAt([]byte("THE"), 0)
			must(t, err)
			sees(t, c, true)
			gen := c.Generation()
			disk.cloning = func() {
				disk.cloning = nil
				tc.do(t, s, c, others)
			}
			v, err := s.Seal("/f", c, Attrs{})
			must(t, err)
			if v.Generation() != gen {
				t.Errorf("the version has generation %d, want %d, when Seal was called", v.Generation(), gen)
			}
			first := sealedText(t, v)
			if _, err := c.Look(); err != nil {
				t.Fatal(err)
			}
			if first != tc.want && c.Generation() == gen {
				t.Errorf("%q is sealed, and nothing tells of later changes", first)
			}
			must(t, v.Done())
			v, err = s.Seal("/f", c, Attrs{})
			must(t, err)
			if got := sealedText(t, v); got != tc.want {
				t.Errorf("sealed again is %q, want %q", got, tc.want)
			}
			must(t, v.Done())
			must(t, others.Close())
			must(t, c.Compare())
			if done, err := s.Cover(c); !done || err != nil {
				t.Error("covered: ", done, err)
			}
			must(t, c.Close())
			if left := s.index.marks; len(left) != 0 {
				t.Errorf("marks are left: %v", left)
			}
			if list := recoveredOf(t, s); len(list) > 0 {
				t.Errorf("recovered: %q", list)
			}
		})
	}
}

// Where there is no room for a clone nothing is sealed and nothing is lost: the
// copy has its changes still, and a crash finds them.
func TestCloneOnAFullDisk(t *testing.T) {
	for _, dies := range []bool{false, true} {
		disk := newMemDisk()
		s := openStore(t, disk, "/cache")
		c, err := s.NewCopy(8)
		must(t, err)
		must(t, c.Fill([]byte("the text"), 0))
		if ok, err := s.Expose("/f", c); !ok || err != nil {
			t.Fatal(ok, err)
		}
		others, err := disk.OpenFile(c.data.path, os.O_RDWR, 0)
		must(t, err)
		_, err = others.WriteAt([]byte("THE"), 0)
		must(t, err)
		sees(t, c, true)
		disk.cloning = func() { disk.room, disk.cloning = 0, nil }
		if _, err := s.Seal("/f", c, Attrs{}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("sealed: %v", err)
		}
		disk.room = -1
		if dies {
			disk.restart(false, nil)
			if found := findBytes(t, disk); !slices.Equal(found, []string{"recovered THE text"}) {
				t.Errorf("after a crash: %q", found)
			}
			continue
		}
		sees(t, c, true)
		v, err := s.Seal("/f", c, Attrs{})
		must(t, err)
		if got := sealedText(t, v); got != "THE text" {
			t.Errorf("sealed is %q", got)
		}
		must(t, others.Close())
		must(t, c.Compare())
		if done, err := s.Cover(c); !done || err != nil {
			t.Error("covered: ", done, err)
		}
	}
}

// A copy that others have just closed needs no clone.
func TestCloneOfACoveredCopy(t *testing.T) {
	s := openStore(t, newMemDisk(), "/cache")
	c := newCopy(t, s, "the text")
	if _, err := s.Clone(c); !errors.Is(err, ErrNotExposed) {
		t.Errorf("cloned: %v", err)
	}
	v, err := s.Seal("/f", c, Attrs{})
	must(t, err)
	must(t, v.Done())
}
