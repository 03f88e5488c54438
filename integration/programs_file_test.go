//go:build linux

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// filePrograms use what programs in C use of a file.
func filePrograms() []program {
	return []program{
		{name: "truncate", run: truncateUpAndDown},
		{name: "mmap", run: mapShared},
		{name: "mmap-closed", run: mapAfterClose},
		{name: "mmap-private", run: mapPrivate},
		{name: "replace-read", run: replaceAndRead},
	}
}

func truncateUpAndDown(t *testing.T, e env) string {
	said := sh(t, e.Dir, `seq 20000 > f; truncate -s 50000 f; wc -c f; tail -c 5 f; truncate -s +1000 f; truncate -s %4096 f; wc -c f
tail -c 3000 f | od -An -c | sort -u | head -n 3; truncate -s 0 f; truncate -s 1M f; cmp -n 1048576 f /dev/zero; truncate -r f g; rm g; truncate -s 17 new`)
	f, err := os.OpenFile(e.path("open"), os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	defer f.Close()
	want := randomBytes(1, 200_000)
	must(t, errOf(f.Write(want)))
	// Down and up in one handle: what was cut off comes back as zeros.
	for _, size := range []int64{150_001, 180_000, 4096, 4097, 0, 5000, 300_000, 299_999} {
		must(t, f.Truncate(size))
		want = append(want[:min(size, int64(len(want)))], make([]byte, max(0, size-int64(len(want))))...)
		must(t, errOf(f.WriteAt([]byte("mark"), size/2)))
		want = want[:max(len(want), int(size/2)+4)]
		copy(want[size/2:], "mark")
		got := make([]byte, len(want)+10)
		n, _ := f.ReadAt(got, 0)
		if !bytes.Equal(got[:n], want) {
			t.Fatalf("after truncate to %d the handle reads something else", size)
		}
	}
	must(t, f.Sync())
	e.Holds(t, "open", want)
	return said
}

// mapping maps a file, shared, for reading and writing.
func mapping(t *testing.T, f *os.File, size int) []byte {
	t.Helper()
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	return m
}

// What is written through a shared mapping is on the server when fsync(2) has
// returned (msync(2) is not enough where the kernel writes the local copy by
// itself), and write(2) and the mapping see each other.
func mapShared(t *testing.T, e env) string {
	const size = 1 << 20
	want := randomBytes(2, size)
	must(t, os.WriteFile(e.path("f"), want, 0o644))
	f := openFile(t, e.path("f"), os.O_RDWR)
	m := mapping(t, f, size)
	defer unix.Munmap(m)
	for _, at := range []int{0, 4094, 65_536, 500_000, size - 6} {
		copy(m[at:], "mapped")
		copy(want[at:], "mapped")
	}
	must(t, unix.Msync(m, unix.MS_SYNC))
	must(t, f.Sync())
	e.Holds(t, "f", want)
	must(t, errOf(f.WriteAt([]byte("written"), 300_000)))
	copy(want[300_000:], "written")
	equal(t, "the mapping after write(2)", string(m[300_000:300_007]), "written")
	copy(m[700_000:], "again")
	copy(want[700_000:], "again")
	got := make([]byte, 5)
	must(t, errOf(f.ReadAt(got, 700_000)))
	equal(t, "read(2) after the mapping was written", string(got), "again")
	must(t, f.Sync())
	e.Holds(t, "f", want)
	// A file of which nothing is in memory: pages are read as they are touched.
	must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	if !bytes.Equal(m, want) {
		t.Error("the mapping shows something else")
	}
	return fmt.Sprint(len(want))
}

// A mapping outlives the descriptor that it was made from; its bytes reach
// the server soon after it is gone, without any fsync.
func mapAfterClose(t *testing.T, e env) string {
	const size = 300_000
	f, err := os.OpenFile(e.path("f"), os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	must(t, f.Truncate(size)) // as a database that makes room first
	m := mapping(t, f, size)
	must(t, f.Close())
	want := randomBytes(3, size)
	copy(m, want)
	must(t, unix.Munmap(m))
	e.HoldsSoon(t, "f", want)
	return ""
}

// A private mapping shows the file and changes nothing of it; what lies
// behind the end of the file is SIGBUS, up to the page zeros.
func mapPrivate(t *testing.T, e env) string {
	want := randomBytes(4, 100_001)
	must(t, os.WriteFile(e.path("f"), want, 0o444))
	f := openFile(t, e.path("f"), os.O_RDONLY)
	_, err := unix.Mmap(int(f.Fd()), 0, len(want), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if !errors.Is(err, unix.EACCES) {
		t.Errorf("a shared mapping for writing of a file that is open for reading: %v", err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, len(want), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	must(t, err)
	defer unix.Munmap(m)
	if !bytes.Equal(m, want) {
		t.Error("the mapping shows something else")
	}
	equal(t, "behind the end", string(m[len(want):cap(m)]), string(make([]byte, cap(m)-len(want))))
	copy(m, "private")
	e.Holds(t, "f", want)
	return ""
}

// A file that one program replaces again and again, by renaming another over
// it, is at any time some whole version to those who open it.
func replaceAndRead(t *testing.T, e env) string {
	const versions = 60
	version := func(i int) []byte { return randomBytes(uint64(i), 100+1000*i) }
	must(t, os.WriteFile(e.path("f"), version(0), 0o644))
	replaced := make(chan error, 1)
	go func() {
		var err error
		for i := 1; i <= versions && err == nil; i++ {
			err = errors.Join(os.WriteFile(e.path("next"), version(i), 0o644), os.Rename(e.path("next"), e.path("f")))
		}
		replaced <- err
	}()
	for last := 0; last < versions && !t.Failed(); {
		select {
		case err := <-replaced:
			must(t, err)
		default:
		}
		f, err := os.Open(e.path("f"))
		must(t, err)
		if _, err := f.Stat(); err != nil {
			t.Errorf("fstat: %v", err)
		}
		got, err := io.ReadAll(f)
		if err != nil {
			t.Errorf("read: %v", err)
		}
		must(t, f.Close())
		i := (len(got) - 100) / 1000
		if !t.Failed() && (i < last || !bytes.Equal(got, version(i))) {
			t.Errorf("after version %d: %d bytes that are not a later version", last, len(got))
		}
		last = max(last, i)
	}
	return ""
}

// executables are run from the folder: a linker writes one there, scripts,
// and a large binary of Go, which is read as its pages are needed.
func executables() []program {
	return []program{{name: "exec", run: func(t *testing.T, e env) string {
		source := "#include <stdio.h>\nint main(int n, char **a) { printf(\"hello from %d\\n\", n); return 3; }\n"
		must(t, os.WriteFile(e.path("hello.c"), []byte(source), 0o644))
		said := sh(t, e.Dir, `gcc -c hello.c; gcc -static -o hello hello.o; rc=0; ./hello a b || rc=$?; echo $rc
cp hello again; chmod -x again; rc=0; ./again 2>/dev/null || rc=$?; echo $rc; chmod +x again; ./again || true; strip again; ./again || true
cp /bin/true .; ./true; ar rcs lib.a hello.o; ranlib lib.a; ar t lib.a
printf '#!/bin/sh\necho "script $0 $*"\n' > script; chmod 755 script; ./script 1 2; PATH=.:$PATH script 3
cp /bin/cat running; ./running < /dev/null; mkdir bin; mv running bin/; echo x | bin/running`)
		sh(t, e.Dir, "cp "+the.program(t)+" program; cmp "+the.program(t)+" program")
		said += sh(t, filepath.Join(e.Dir, "bin"), "mv ../program .; ./program help umount")
		return said
	}}}
}
