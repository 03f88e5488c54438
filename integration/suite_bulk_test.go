//go:build linux

package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// bulkCases are many of something.
func bulkCases() []conformanceCase {
	return []conformanceCase{
		{name: "many-entries", prepare: manyEntries, run: listMany},
		{name: "many-made", run: makeMany},
		{name: "parallel-writers", run: parallelWriters},
		{name: "parallel-one-file", run: parallelOneFile},
		{name: "parallel-names", run: parallelNames},
		{name: "parallel-rename", run: parallelRename},
		{name: "parallel-readers", prepare: func(t testing.TB, served string) {
			put(t, served+"/f", randomBytes(30, 4<<20))
		}, run: parallelReaders},
	}
}

func manyEntries(t testing.TB, served string) {
	putDir(t, served+"/dir")
	for i := range 2000 {
		put(t, fmt.Sprintf("%s/dir/entry %04d.dat", served, i), make([]byte, i%7))
	}
}

func listMany(t testing.TB, e env) {
	equal(t, "ls", sh(t, e.Dir, "ls dir | sha256sum"), sh(t, e.Served, "ls dir | sha256sum"))
	const script = `find dir -type f -printf '%s %P\n' | sort | sha256sum`
	equal(t, "find", sh(t, e.Dir, script), sh(t, e.Served, script))
	sh(t, e.Dir, "cat dir/entry\\ 00* > all; rm dir/entry\\ 1*; echo x > dir/extra")
	equal(t, "left", sh(t, e.Dir, "ls dir | wc -l"), "1001")
	equal(t, "left on the server", sh(t, e.Served, "ls dir | wc -l"), "1001")
}

func makeMany(t testing.TB, e env) {
	sh(t, e.Dir, "mkdir d; for i in $(seq 200); do echo $i > d/f$i; done; ls d | wc -l | grep -qx 200")
	equal(t, "sum", sh(t, e.Served, "cat d/* | sort -n | sha256sum"), sh(t, "/", "seq 200 | sha256sum"))
	e.Same(t)
	sh(t, e.Dir, "rm -r d")
	e.Gone(t, "d")
}

// together runs f n times at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func parallelWriters(t testing.TB, e env) {
	together(16, func(i int) {
		for j := range 4 {
			name := fmt.Sprintf("w%d-%d", i, j)
			content := randomBytes(uint64(i*100+j), 1000+i*j*5000)
			if err := errors.Join(os.WriteFile(e.path(name), content, 0o644), holds(e.served(name), content)); err != nil {
				t.Error(err)
			}
		}
	})
	e.Same(t)
}

// Writers of one file write each their own blocks, through handles of their own.
func parallelOneFile(t testing.TB, e env) {
	want := randomBytes(31, 16*4096)
	must(t, os.WriteFile(e.path("f"), make([]byte, len(want)), 0o644))
	together(16, func(i int) {
		f, err := os.OpenFile(e.path("f"), os.O_RDWR, 0)
		if err != nil {
			t.Error(err)
			return
		}
		_, err = f.WriteAt(want[i*4096:(i+1)*4096], int64(i*4096))
		if err := errors.Join(err, f.Close()); err != nil {
			t.Error(err)
		}
	})
	e.HoldsSoon(t, "f", want)
}

// Of many who make the same name, one wins.
func parallelNames(t testing.TB, e env) {
	for round := range 3 {
		var files, folders atomic.Int32
		together(8, func(i int) {
			f, err := os.OpenFile(e.path(fmt.Sprint("f", round)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			switch {
			case err == nil:
				files.Add(1)
				_, err = fmt.Fprint(f, i)
				if err := errors.Join(err, f.Close()); err != nil {
					t.Error(err)
				}
			case !errors.Is(err, syscall.EEXIST):
				t.Error(err)
			}
			switch err := os.Mkdir(e.path(fmt.Sprint("d", round)), 0o755); {
			case err == nil:
				folders.Add(1)
			case !errors.Is(err, syscall.EEXIST):
				t.Error(err)
			}
			if err := os.MkdirAll(filepath.Join(e.Dir, "p", fmt.Sprint(round), fmt.Sprint(i)), 0o755); err != nil {
				t.Error(err)
			}
		})
		equal(t, "files made", files.Load(), 1)
		equal(t, "folders made", folders.Load(), 1)
	}
	e.Same(t)
}

func parallelReaders(t testing.TB, e env) {
	want := randomBytes(30, 4<<20)
	together(8, func(i int) {
		f, err := os.Open(e.path("f"))
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for j := range 8 {
			off := int64((i*8+j)*64<<10) % (4<<20 - 5000)
			got := make([]byte, 5000)
			if _, err := f.ReadAt(got, off); err != nil || string(got) != string(want[off:off+5000]) {
				t.Errorf("reader %d at %d: wrong bytes, %v", i, off, err)
			}
		}
	})
	e.Holds(t, "f", want)
}

// A directory is renamed while two others work in it: neither notices.
func parallelRename(t testing.TB, e env) {
	must(t, os.Mkdir(e.path("d"), 0o755))
	dir := openFile(t, e.path("d"), os.O_RDONLY)
	var renamed atomic.Bool
	report := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	together(3, func(i int) {
		if i == 0 {
			defer renamed.Store(true)
			for range 10 {
				report(os.Rename(e.path("d"), e.path("e")))
				report(os.Rename(e.path("e"), e.path("d")))
			}
			return
		}
		for n := 0; !renamed.Load() && !t.Failed(); n++ {
			report(workIn(int(dir.Fd()), fmt.Sprint("w", i), fmt.Sprint("text ", i, n)))
		}
	})
	equal(t, "left", sh(t, e.Dir, "ls -A d; ls"), "d")
	e.Same(t)
}

// workIn makes, writes, renames, reads and removes a directory and a file of that name in dir.
func workIn(dir int, name, text string) error {
	if err := unix.Mkdirat(dir, name, 0o755); err != nil {
		return fmt.Errorf("mkdir: %w", err)
	}
	fd, err := unix.Openat(dir, name+"/f", unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if _, err := unix.Write(fd, []byte(text)); err != nil {
		return errors.Join(fmt.Errorf("write: %w", err), unix.Close(fd))
	}
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if err := unix.Renameat(dir, name+"/f", dir, name+".g"); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	fd, err = unix.Openat(dir, name+".g", unix.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	got := make([]byte, len(text)+1)
	n, err := unix.Read(fd, got)
	if err = errors.Join(err, unix.Close(fd)); err != nil || string(got[:n]) != text {
		return fmt.Errorf("read: %q, want %q, %w", got[:n], text, err)
	}
	if err := unix.Unlinkat(dir, name+".g", 0); err != nil {
		return fmt.Errorf("unlink: %w", err)
	}
	if err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); err != nil {
		return fmt.Errorf("rmdir: %w", err)
	}
	return nil
}
