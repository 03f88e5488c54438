package cache

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"syscall"
	"testing"
	"time"
)

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

// A copy that cannot be made leaves neither a file nor a descriptor.
func TestNewCopyFails(t *testing.T) {
	s := openStore(t, nil, t.TempDir())
	before, err := os.ReadDir("/dev/fd")
	must(t, err)
	if _, err := s.NewCopy(math.MaxInt64); err == nil {
		t.Fatal("no file system has files of 8 EiB")
	}
	if _, err := s.NewCopy(-1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a negative size gives %v", err)
	}
	after, err := os.ReadDir("/dev/fd")
	must(t, err)
	if n, _ := s.Usage(); n != 0 || len(after) > len(before) {
		t.Errorf("%d copies are left, %d descriptors more", n, len(after)-len(before))
	}
}
