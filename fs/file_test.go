package fs_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/conn/ftptest"
	"ftpfs/fs"
)

// python runs a script that has the file f of the mount, created if need be,
// open as fd.
func (r *mounted) python(script string) string {
	r.Helper()
	return r.run("python3", "-c", "import os, mmap\nfd = os.open('f', os.O_RDWR | os.O_CREAT)\n"+script)
}

// The descriptor is of a file that has no name any more. Whether its own
// attributes can still be set does not matter here.
func TestAttributesOfAReplacedFileAreNotThoseOfTheNew(t *testing.T) {
	r := mount(t)
	r.put("f", "old")
	r.put("n", "new")
	before, err := os.Stat(filepath.Join(r.srv.Root, "n"))
	if err != nil {
		t.Fatal(err)
	}
	r.python(`
os.rename('n', 'f')
for set in lambda: os.fchmod(fd, 0o600), lambda: os.utime(fd, (1e9, 1e9)):
    try:
        set()
    except OSError:
        pass
`)
	after, err := os.Stat(filepath.Join(r.srv.Root, "f"))
	if err != nil || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the new file has %v %v (%v), it had %v %v", after.Mode(), after.ModTime(), err, before.Mode(), before.ModTime())
	}
}

func TestReplacedFileKeepsItsContent(t *testing.T) {
	r := mount(t)
	r.put("f", "old")
	got := r.python(`
n = os.open('n', os.O_RDWR | os.O_CREAT)
os.write(n, b'new content')
os.rename('n', 'f')
os.write(n, b'!!')
os.pwrite(fd, b'XX', 0)
print(os.fstat(fd).st_size, os.fstat(n).st_size, os.stat('f').st_size, os.pread(fd, 10, 0).decode(), os.fstat(fd).st_nlink)
`)
	if want := "3 13 13 XXd 0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.drain()
	r.has("f", "new content!!")
}

// Another file of the same name is another file.
func TestUnlinkedFileBesideANewOne(t *testing.T) {
	r := mount(t)
	got := r.python(`
os.write(fd, b'first')
os.unlink('f')
new = os.open('f', os.O_RDWR | os.O_CREAT | os.O_EXCL)
os.write(new, b'second!')
os.write(fd, b' more')
a, b = os.fstat(fd), os.fstat(new)
print(a.st_size, b.st_size, os.stat('f').st_size, a.st_nlink, a.st_ino != b.st_ino)
os.ftruncate(fd, 2)
print(os.fstat(fd).st_size, os.fstat(new).st_size)
`)
	if want := "10 7 7 0 True\n2 7"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.drain()
	r.has("f", "second!")
}

// The kernel writes what a mapping changed when the last descriptor is closed.
func TestMappedWritesAreUploaded(t *testing.T) {
	r := mount(t)
	r.put("f", string(make([]byte, 8192)))
	r.python(`
idle = os.open('f', os.O_RDWR)
m = mmap.mmap(fd, 8192)
m[0:5] = b'hello'
m.close()
os.close(fd)
os.close(idle)
`)
	r.drain()
	r.has("f", "hello"+string(make([]byte, 8192-5)))
}

// fsync, futimens, write: our own time is no change by somebody else.
func TestWriteAfterFutimens(t *testing.T) {
	r := mount(t)
	r.python(`
os.write(fd, b'one')
os.fsync(fd)
os.utime(fd, (1e9, 1e9))
os.write(fd, b' two')
os.close(fd)
`)
	r.drain()
	r.has("f", "one two")
	if got := r.run("ls"); got != "f" {
		t.Errorf("ls: %q", got)
	}
}

// A mode that waits for the upload is not the one that the server has.
func TestModeBackToThatOfTheServer(t *testing.T) {
	r := mount(t)
	r.put("f", "served")
	r.sh("chmod 644 f")
	r.run("python3", "-c", "import os\nf = open('f', 'r+')\nf.write('S')\nf.flush()\nos.fchmod(f.fileno(), 0o600)\nos.fchmod(f.fileno(), 0o644)")
	if got := r.sh("stat -c %a f"); got != "644" {
		t.Errorf("mode %s", got)
	}
	info, err := os.Stat(filepath.Join(r.srv.Root, "f"))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("on the server %v, %v", info.Mode(), err)
	}
}

// What stat shows after close stays when the upload that comes later ends.
func TestTimeAndModeStayAfterClose(t *testing.T) {
	for name, script := range map[string]string{
		"touch":              "touch f",
		"emptied":            ": > f",
		"shared descriptor":  "{ /bin/echo a; /bin/echo b; } > f",
		"touch -d":           "{ /bin/echo a; /bin/echo b; } > f; touch -d 2001-01-01 f; chmod 600 f",
		"touch -d, no bytes": ": > f; touch -d 2001-01-01 f; chmod 600 f",
	} {
		t.Run(name, func(t *testing.T) {
			r := mount(t)
			r.srv.Fault(ftptest.DelayReply("STOR", 226, 300*time.Millisecond)) // so that stat comes first
			before := r.sh(script + "; stat -c '%y %a' f")
			r.drain()
			r.tree.ForgetAll()
			if after := r.run("stat", "-c", "%y %a", "f"); after != before {
				t.Errorf("it was %s and is %s", before, after)
			}
		})
	}
}

// Who looks at a file that he has just created is not answered by us, as long
// as he is quick, but he is once he has written.
func TestAttributesOfACreatedFile(t *testing.T) {
	q := &requests{}
	log := slog.New(slog.NewTextHandler(q, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := mountWith(t, fs.Options{Log: log, Debug: true})
	r.sh("ls") // else the directory is looked at again and again
	q.count("GETATTR")
	got := r.run("python3", "-c", `
import os
for i in range(5):
    a = os.open('f%d' % i, os.O_CREAT|os.O_EXCL|os.O_WRONLY, 0o640)
    s = os.fstat(a)
    os.write(a, b'text')
    assert (oct(s.st_mode), s.st_size, os.fstat(a).st_size) == ('0o100640', 0, 4), s
`)
	if n := q.count("GETATTR"); got != "" || n > 9 { // 10 and that of the directory, if nothing was kept
		t.Errorf("%d GETATTR %s", n, got)
	}
}

func TestAccessByAModeThatWaits(t *testing.T) {
	r := mount(t)
	back := r.srv.Fault(ftptest.DelayReply("STOR", 226, 300*time.Millisecond))
	defer back()
	r.run("python3", "-c", `
import os
f = open('f', 'w')
f.write('#!/bin/sh'); f.flush()
os.fchmod(f.fileno(), 0o755)
assert os.access('f', os.X_OK)
os.fchmod(f.fileno(), 0o644)
assert not os.access('f', os.X_OK)`)
}

// An upload ends while somebody asks for the size: what the server had before
// is not told any more, and least of all for the kernel to keep.
func TestSizeAtTheEndOfAnUpload(t *testing.T) {
	r := mount(t)
	r.sh("echo > f")
	got := r.run("python3", "-c", `
import os
pid = os.fork()
if pid == 0:
    while not os.path.exists('end'): os.stat('f')
    os._exit(0)
wrong = []
for i in range(250):
    size = i % 100
    with open('f', 'wb') as f: f.write(b'x' * size)
    for k in range(3):
        got = os.stat('f').st_size
        if got != size: wrong.append((size, got))
with open('end', 'w'): pass
os.waitpid(pid, 0)
print(wrong)
`)
	if got != "[]" {
		t.Errorf("size written, size shown: %s", got)
	}
}
