//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openCases are about files that are open while their name changes.
func openCases() []conformanceCase {
	large := func(t testing.TB, served string) {
		put(t, served+"/large", randomBytes(20, 3<<20))
		put(t, served+"/other", []byte("other"))
	}
	return []conformanceCase{
		{name: "open-unlink", prepare: large, run: openUnlink},
		{name: "open-unlink-written", run: openUnlinkWritten},
		{name: "open-rename", prepare: large, run: openRename},
		{name: "open-renamed-over", prepare: large, run: openRenamedOver},
		{name: "open-large", prepare: func(t testing.TB, served string) {
			put(t, served+"/removed", randomBytes(26, largeSize))
			put(t, served+"/replaced", randomBytes(27, largeSize))
			put(t, served+"/other", []byte("other"))
		}, run: openLarge},
		{name: "open-recreate", run: openRecreate},
		{name: "open-folder", run: openFolder},
		{name: "cwd-moves", run: cwdMoves},
	}
}

// openFile opens a file until the test ends.
func openFile(t testing.TB, path string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0o644)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// wantLinks fails the test unless fstat(2) shows n links.
func wantLinks(t testing.TB, f *os.File, n uint64) {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(int(f.Fd()), &st))
	equal(t, "links of "+f.Name(), uint64(st.Nlink), n)
}

// A file that is read goes on being readable, whole, after its unlink.
func openUnlink(t testing.TB, e env) {
	f := openFile(t, e.path("large"), os.O_RDONLY)
	head := make([]byte, 100)
	must(t, errOf(io.ReadFull(f, head)))
	must(t, os.Remove(e.path("large")))
	e.Gone(t, "large")
	wantLinks(t, f, 0)
	rest, err := io.ReadAll(f)
	must(t, err)
	if !bytes.Equal(append(head, rest...), randomBytes(20, 3<<20)) {
		t.Error("the unlinked file lost its content")
	}
	e.Same(t)
}

// A file that is written can be used after its unlink and never comes back.
func openUnlinkWritten(t testing.TB, e env) {
	f := openFile(t, e.path("f"), os.O_RDWR|os.O_CREATE)
	must(t, errOf(f.WriteString("before ")))
	must(t, os.Remove(e.path("f")))
	e.Gone(t, "f")
	wantLinks(t, f, 0)
	must(t, errOf(f.WriteString("after")))
	must(t, f.Truncate(10))
	must(t, f.Sync())
	got := make([]byte, 20)
	n, err := f.ReadAt(got, 0)
	equal(t, "content", string(got[:n]), "before aft")
	equal(t, "end", err, io.EOF)
	must(t, f.Close())
	sh(t, e.Dir, "echo x > g") // an upload that comes after it
	e.Gone(t, "f")
	e.Holds(t, "g", []byte("x\n"))
	e.Same(t)
}

func openRename(t testing.TB, e env) {
	r := openFile(t, e.path("large"), os.O_RDONLY)
	w := openFile(t, e.path("fresh"), os.O_RDWR|os.O_CREATE)
	must(t, errOf(w.WriteString("one ")))
	must(t, os.Mkdir(e.path("dir"), 0o755))
	must(t, os.Rename(e.path("large"), e.path("dir/large")))
	must(t, os.Rename(e.path("fresh"), e.path("dir/fresh")))
	must(t, os.Rename(e.path("dir"), e.path("moved")))
	wantLinks(t, w, 1)
	must(t, errOf(w.WriteString("two")))
	must(t, w.Close())
	// A fork of a case beside this one closes its copy of w in between: the rest goes up within a second then.
	eventually(t, 10*time.Second, func() error { return holds(e.Served+"/moved/fresh", []byte("one two")) })
	got, err := io.ReadAll(r)
	must(t, err)
	if !bytes.Equal(got, randomBytes(20, 3<<20)) {
		t.Error("the renamed file lost its content")
	}
	e.Gone(t, "fresh")
	e.Gone(t, "dir")
	e.Same(t)
}

// A file that another is renamed over keeps its content for those who have
// it open; what they write is nobody's any more.
func openRenamedOver(t testing.TB, e env) {
	r := openFile(t, e.path("large"), os.O_RDONLY)
	w := openFile(t, e.path("target"), os.O_RDWR|os.O_CREATE)
	must(t, errOf(w.WriteString("target")))
	must(t, os.Rename(e.path("other"), e.path("large")))
	e.Holds(t, "large", []byte("other"))
	must(t, os.Rename(e.path("large"), e.path("target")))
	wantLinks(t, r, 0)
	wantLinks(t, w, 0)
	must(t, errOf(w.WriteString(" lost")))
	must(t, w.Close())
	got, err := io.ReadAll(r)
	must(t, err)
	if !bytes.Equal(got, randomBytes(20, 3<<20)) {
		t.Error("the replaced file lost its content")
	}
	e.Gone(t, "large")
	e.Holds(t, "target", []byte("other"))
	e.Same(t)
}

// largeSize is more than ftpfs fetches before a file loses its name.
const largeSize = 9 << 20

// A file that is too large to be fetched first stays readable, too, when its
// name is gone or has become another's; at the last close nothing is left.
func openLarge(t testing.TB, e env) {
	removed, replaced := openFile(t, e.path("removed"), os.O_RDONLY), openFile(t, e.path("replaced"), os.O_RDONLY)
	must(t, os.Remove(e.path("removed")))
	must(t, os.Rename(e.path("other"), e.path("replaced")))
	e.Gone(t, "removed")
	e.Holds(t, "replaced", []byte("other"))
	for seed, f := range map[uint64]*os.File{26: removed, 27: replaced} {
		wantLinks(t, f, 0)
		got, err := io.ReadAll(f)
		must(t, err)
		if !bytes.Equal(got, randomBytes(seed, largeSize)) {
			t.Errorf("%s lost its content", f.Name())
		}
		must(t, f.Close())
	}
	eventually(t, 10*time.Second, func() error {
		lines, err := walk(e.Served)
		if len(lines) != 1 {
			err = fmt.Errorf("on the server: %q, %v", lines, err)
		}
		return err
	})
	e.Same(t)
}

// A name that is deleted and made again is another file than the open one.
func openRecreate(t testing.TB, e env) {
	must(t, os.WriteFile(e.path("f"), []byte("first"), 0o644))
	first := openFile(t, e.path("f"), os.O_RDWR)
	must(t, os.Remove(e.path("f")))
	must(t, os.WriteFile(e.path("f"), []byte("second"), 0o644))
	must(t, errOf(first.WriteAt([]byte("F"), 0)))
	got := make([]byte, 5)
	must(t, errOf(first.ReadAt(got, 0)))
	equal(t, "first", string(got), "First")
	must(t, first.Close())
	e.Holds(t, "f", []byte("second"))
	a, err := os.Stat(e.path("f"))
	must(t, err)
	must(t, os.Rename(e.path("f"), e.path("g")))
	b, err := os.Stat(e.path("g"))
	must(t, err)
	if !os.SameFile(a, b) {
		t.Error("a rename changed the inode number")
	}
	e.Same(t)
}

// A folder that is open can be listed while it changes.
func openFolder(t testing.TB, e env) {
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.WriteFile(e.path(name), []byte(name), 0o644))
	}
	d := openFile(t, e.Dir, os.O_RDONLY)
	names, err := d.Readdirnames(-1)
	must(t, err)
	equal(t, "names", len(names), 3)
	must(t, os.Remove(e.path("a")))
	must(t, os.WriteFile(e.path("d"), nil, 0o644))
	must(t, os.WriteFile(e.path("e"), nil, 0o644))
	must(t, errOf(d.Seek(0, io.SeekStart)))
	names, err = d.Readdirnames(-1)
	must(t, err)
	equal(t, "names after a rewind", len(names), 4)
	must(t, d.Sync())
	e.HoldsSoon(t, "d", nil)
	e.HoldsSoon(t, "e", nil)
	fd := openFile(t, e.Dir, os.O_RDONLY)
	must(t, unix.Mkdirat(int(fd.Fd()), "below", 0o755))
	must(t, unix.Unlinkat(int(fd.Fd()), "below", unix.AT_REMOVEDIR))
	e.Same(t)
}

// A process whose folder is moved or removed goes on.
func cwdMoves(t testing.TB, e env) {
	sh(t, e.Dir, "mkdir a; cd a; mv ../a ../b; echo x > f; cat f; mkdir sub; cd sub; rmdir ../sub; ! echo y > g")
	e.Holds(t, "b/f", []byte("x\n"))
	e.Same(t)
}

// handleCases are about what open files of one name see of each other.
func handleCases() []conformanceCase {
	return []conformanceCase{
		{name: "two-handles", run: twoHandles},
		{name: "append-handles", run: appendHandles},
		{name: "write-middle", prepare: func(t testing.TB, served string) {
			put(t, served+"/f", randomBytes(21, 5<<20))
			put(t, served+"/g", randomBytes(22, 5<<20))
		}, run: writeMiddle},
		{name: "read-while-written", run: readWhileWritten},
		{name: "trunc-open", run: truncOpen},
		{name: "sparse", run: sparse},
		{name: "fsync", run: fsync},
		{name: "mmap", run: mmap},
		{name: "locks", run: locks},
	}
}

func twoHandles(t testing.TB, e env) {
	a := openFile(t, e.path("f"), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	b := openFile(t, e.path("f"), os.O_RDWR)
	must(t, errOf(a.WriteString("hello world")))
	got := make([]byte, 11)
	must(t, errOf(b.ReadAt(got, 0)))
	equal(t, "b sees a", string(got), "hello world")
	must(t, errOf(b.WriteAt([]byte("W"), 6)))
	must(t, errOf(a.ReadAt(got, 0)))
	equal(t, "a sees b", string(got), "hello World")
	must(t, a.Close())
	must(t, errOf(b.WriteAt([]byte("!"), 11)))
	info, err := os.Stat(e.path("f"))
	must(t, err)
	equal(t, "size", info.Size(), 12)
	must(t, b.Close())
	e.HoldsSoon(t, "f", []byte("hello World!"))
}

func appendHandles(t testing.TB, e env) {
	a := openFile(t, e.path("f"), os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	b := openFile(t, e.path("f"), os.O_WRONLY|os.O_APPEND)
	var want []byte
	for i := range 20 {
		f, line := a, []byte("from a\n")
		if i%3 == 0 {
			f, line = b, []byte("from b, longer\n")
		}
		must(t, errOf(f.Write(line)))
		want = append(want, line...)
	}
	must(t, a.Close())
	must(t, b.Close())
	e.HoldsSoon(t, "f", want)
}

// Some bytes of a file that was never read here are replaced; the rest stays.
func writeMiddle(t testing.TB, e env) {
	want := randomBytes(21, 5<<20)
	f := openFile(t, e.path("f"), os.O_RDWR)
	for _, off := range []int64{3_000_000, 0, 5<<20 - 4, 70_000, 5<<20 + 10} {
		must(t, errOf(f.WriteAt([]byte("HERE"), off)))
		if grown := off + 4 - int64(len(want)); grown > 0 {
			want = append(want, make([]byte, grown)...)
		}
		copy(want[off:], "HERE")
	}
	must(t, f.Close())
	e.HoldsSoon(t, "f", want)
	g := openFile(t, e.path("g"), os.O_WRONLY)
	must(t, errOf(g.WriteAt([]byte("write only"), 1_000_000)))
	must(t, g.Close())
	want = randomBytes(22, 5<<20)
	copy(want[1_000_000:], "write only")
	e.HoldsSoon(t, "g", want)
}

// A reader follows a file that is being written, as tail -f does.
func readWhileWritten(t testing.TB, e env) {
	w := openFile(t, e.path("f"), os.O_WRONLY|os.O_CREATE)
	r := openFile(t, e.path("f"), os.O_RDONLY)
	want := randomBytes(23, 64<<10)
	for i := range 16 {
		block := want[i*4096 : (i+1)*4096]
		must(t, errOf(w.Write(block)))
		got := make([]byte, 4096)
		must(t, errOf(io.ReadFull(r, got)))
		if !bytes.Equal(got, block) {
			t.Fatalf("block %d differs", i)
		}
	}
	must(t, errOf(r.Seek(0, io.SeekStart)))
	all, err := io.ReadAll(r)
	must(t, err)
	equal(t, "all", bytes.Equal(all, want), true)
	must(t, w.Close())
	e.HoldsSoon(t, "f", want) // another case that forks beside it has a copy of w for a moment
}

func truncOpen(t testing.TB, e env) {
	content := randomBytes(24, 10_000)
	must(t, os.WriteFile(e.path("f"), content, 0o644))
	r := openFile(t, e.path("f"), os.O_RDONLY)
	f := openFile(t, e.path("f"), os.O_RDWR)
	must(t, f.Truncate(5000))
	info, err := f.Stat()
	must(t, err)
	equal(t, "size", info.Size(), 5000)
	must(t, f.Truncate(6000))
	must(t, f.Close())
	e.HoldsSoon(t, "f", append(content[:5000:5000], make([]byte, 1000)...))
	w := openFile(t, e.path("f"), os.O_WRONLY|os.O_TRUNC)
	n, err := r.ReadAt(make([]byte, 10), 0)
	equal(t, "bytes read of a truncated file", n, 0)
	equal(t, "end", err, io.EOF)
	must(t, errOf(w.WriteString("short")))
	must(t, w.Close())
	e.Holds(t, "f", []byte("short"))
}

func sparse(t testing.TB, e env) {
	f := openFile(t, e.path("f"), os.O_RDWR|os.O_CREATE)
	must(t, errOf(f.WriteAt([]byte("end"), 1<<20)))
	must(t, errOf(f.WriteAt([]byte("start"), 0)))
	want := make([]byte, 1<<20+3)
	copy(want, "start")
	copy(want[1<<20:], "end")
	must(t, f.Close())
	e.HoldsSoon(t, "f", want)
}

// What fsync(2) returned for is on the server, without a close.
func fsync(t testing.TB, e env) {
	f := openFile(t, e.path("f"), os.O_RDWR|os.O_CREATE)
	must(t, f.Sync())
	e.Holds(t, "f", nil)
	must(t, errOf(f.WriteString("first")))
	must(t, f.Sync())
	e.Holds(t, "f", []byte("first"))
	must(t, errOf(f.WriteString(" second")))
	must(t, unix.Fdatasync(int(f.Fd())))
	e.Holds(t, "f", []byte("first second"))
	must(t, f.Sync())
	must(t, f.Close())
	e.Holds(t, "f", []byte("first second"))
	sh(t, e.Dir, "sync f; sync .")
}

func mmap(t testing.TB, e env) {
	want := randomBytes(25, 300_000)
	must(t, os.WriteFile(e.path("f"), want, 0o644))
	f := openFile(t, e.path("f"), os.O_RDWR)
	m, err := unix.Mmap(int(f.Fd()), 0, len(want), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	if !bytes.Equal(m, want) {
		t.Error("the mapping differs from the file")
	}
	must(t, f.Close()) // a mapping outlives its descriptor
	copy(m[123_456:], "mapped")
	copy(want[123_456:], "mapped")
	must(t, unix.Msync(m, unix.MS_SYNC))
	must(t, unix.Munmap(m))
	e.HoldsSoon(t, "f", want)
}

// Locks are this kernel's own: they hold within the mount.
func locks(t testing.TB, e env) {
	a := openFile(t, e.path("f"), os.O_RDWR|os.O_CREATE)
	b := openFile(t, e.path("f"), os.O_RDWR)
	must(t, syscall.Flock(int(a.Fd()), syscall.LOCK_EX))
	wantErrno(t, syscall.Flock(int(b.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
	must(t, syscall.Flock(int(a.Fd()), syscall.LOCK_UN))
	must(t, syscall.Flock(int(b.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	start := time.Now()
	must(t, b.Close())
	must(t, syscall.Flock(int(a.Fd()), syscall.LOCK_EX))
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("a closed lock was held for %v", d)
	}
}
