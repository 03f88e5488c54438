package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"ftpfs/conn"
)

// Many users of one path at once: a reader of a sealed version always gets
// the same bytes, and nothing is left in the end.
func TestConcurrent(t *testing.T) {
	s := openStore(t, osDisk{}, t.TempDir())
	c := newCopy(t, s, "")
	const rounds = 200
	var wg sync.WaitGroup
	run := func(fn func(i int) error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range rounds {
				if err := fn(i); err != nil && !errors.Is(err, ErrNotPending) && !errors.Is(err, ErrMissing) && err != io.EOF {
					t.Error(err)
					return
				}
			}
		}()
	}
	run(func(i int) error { // changes anywhere
		_, err := c.WriteAt(bytes.Repeat([]byte{byte(i)}, 100), rand.Int64N(4000))
		return err
	})
	run(func(i int) error { // appends
		if i%20 == 0 {
			return c.Truncate(rand.Int64N(1000))
		}
		_, err := c.WriteAt([]byte("tail"), c.Size())
		return err
	})
	run(func(int) error { return c.Fill(make([]byte, 4096), 0) })
	run(func(int) error { _, err := c.ReadAt(make([]byte, 64), rand.Int64N(1000)); return err })
	run(func(int) error { _, err := s.Seal("/d/f", c, Attrs{}); return err })
	run(func(i int) error { return errors.Join(s.Dirty("/d/f", c), s.Clean(c)) })
	run(func(i int) error { return s.Rename([]string{"/d", "/e"}[i%2], []string{"/e", "/d"}[i%2]) })
	run(func(i int) error { return endSome(s, i) })
	run(func(int) error { return readTwice(s) })
	run(func(int) error { return keepSome(s) })
	wg.Wait()
	must(t, c.Close())
	must(t, s.Unlink("/d"))
	must(t, s.Unlink("/e"))
	for _, v := range s.Pending() {
		t.Errorf("%s is pending", v.Path())
	}
	if n, _ := s.Usage(); n != 0 {
		t.Errorf("%d copies are left", n)
	}
}

// oldest returns the oldest pending version, nil if there is none.
func oldest(s *Store) *Sealed {
	if all := s.Pending(); len(all) > 0 {
		return all[0]
	}
	return nil
}

// keepSome keeps the copy of what is pending.
func keepSome(s *Store) error {
	v := oldest(s)
	if v == nil {
		return nil
	}
	c, err := v.Copy()
	if err != nil {
		return err
	}
	s.Keep(v.Path(), conn.Version{State: conn.Present}, false, c)
	s.Usage()
	return errors.Join(c.Retain().Close(), c.Close())
}

// endSome ends what is pending, one way or another.
func endSome(s *Store, i int) error {
	v := oldest(s)
	if v == nil {
		return nil
	}
	switch i % 5 {
	case 0:
		return v.Sync()
	case 1:
		_, err := v.Refuse("refused")
		return err
	case 2:
		return v.Drop()
	case 3:
		return v.Attempt(".temp")
	}
	return v.Done()
}

// readTwice reads what is pending twice, and expects the same bytes.
func readTwice(s *Store) (err error) {
	v := oldest(s)
	if v == nil {
		return nil
	}
	r, err := v.Reader()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var texts [2][]byte
	for i := range texts {
		if texts[i], err = io.ReadAll(io.NewSectionReader(r, 0, r.Size())); err != nil {
			return err
		}
	}
	if !bytes.Equal(texts[0], texts[1]) {
		return fmt.Errorf("the bytes of a sealed version changed")
	}
	return nil
}
