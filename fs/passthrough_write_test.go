package fs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/conn/ftptest"
)

func (q *requests) writes() int { return q.count("WRITE") }

// A copy that is complete is written by the kernel alone; close uploads it.
func TestKernelWritesCompleteCopies(t *testing.T) {
	r, q := bypassing(t)
	q.writes()
	got := r.run("python3", "-c", `
import os, time
a = os.open('f', os.O_RDWR)
os.pwrite(a, b'THE', 0)
print(os.pread(a, 9, 0), os.fstat(a).st_size, os.stat('f').st_size)
os.pwrite(a, b'!!', 17)
print(os.fstat(a).st_size, os.stat('f').st_size, time.time() - os.stat('f').st_mtime < 60)
os.close(a)
print(os.stat('f').st_size)
`)
	if want := "b'THE first' 17 17\n19 19 True\n19"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if n := q.writes(); n != 0 {
		t.Errorf("%d WRITE, want 0", n)
	}
	r.has("f", "THE first version!!") // close told the truth
}

// An open that writes nothing uploads nothing, and the copy serves on.
func TestOpenToWriteWithoutAWrite(t *testing.T) {
	r, q := bypassing(t)
	r.srv.ResetLog()
	r.run("python3", "-c", `
import os
a = os.open('f', os.O_RDWR)
os.pread(a, 3, 0)
os.close(a)
`)
	r.drain()
	for _, verb := range []string{"STOR", "RETR"} {
		if n := r.srv.Count(verb); n > 0 {
			t.Errorf("%d %s, want none", n, verb)
		}
	}
	q.reads()
	if r.sh("cat f"); q.reads() != 0 {
		t.Error("the copy is read through us")
	}
}

// A copy of a file that has just changed is not trusted; who opens it to
// change it has it fetched again, and the kernel writes it all the same.
func TestKernelWritesCopiesOfYoungFiles(t *testing.T) {
	r, q := bypassing(t)
	for _, name := range []string{"read", "not read"} {
		if err := os.WriteFile(filepath.Join(r.srv.Root, name), []byte("the first version"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.tree.ForgetAll()
	r.sh("cat read")
	r.srv.ResetLog()
	for name, want := range map[string]struct{ retr, writes int }{"read": {1, 0}, "not read": {1, 1}} {
		q.writes()
		r.srv.ResetLog()
		r.run("python3", "-c", "import os, sys\na = os.open(sys.argv[1], os.O_RDWR)\nos.pwrite(a, b'THE', 0)\nos.close(a)", name)
		if n := q.writes(); n != want.writes {
			t.Errorf("%s: %d WRITE, want %d", name, n, want.writes)
		}
		if n := r.srv.Count("RETR"); n != want.retr {
			t.Errorf("%s: %d RETR, want %d", name, n, want.retr)
		}
		r.has(name, "THE first version")
	}
}

// What is written beside the kernel's writes, and when it can come late.
func TestWritesBesideThoseOfTheKernel(t *testing.T) {
	const open = "import os, mmap\na = os.open('f', os.O_RDWR)\nos.pwrite(a, b'THE', 0)\n"
	for name, c := range map[string]struct{ script, want, served string }{
		"a second of the kernel's": {open + `
b = os.open('f', os.O_RDWR)
os.pwrite(b, b'FIRST', 4)
os.close(a)
print(open('f').read())
os.close(b)
`, "THE FIRST version", "THE FIRST version"},
		"a reader": {open + `
b = os.open('f', os.O_RDONLY)
os.pwrite(a, b', longer', 17)
print(os.pread(b, 99, 0), os.fstat(b).st_size)
os.close(a)
print(os.pread(b, 99, 0))
`, "b'THE first version, longer' 25\nb'THE first version, longer'", "THE first version, longer"},
		"an appender": {open + `
b = os.open('f', os.O_WRONLY | os.O_APPEND)
os.write(b, b'+')
os.pwrite(a, b'*', 18)
os.write(b, b'+')
os.close(b)
print(os.pread(a, 99, 0))
os.pwrite(a, b'T', 0)
os.close(a)
`, "b'THE first version+*+'", "THE first version+*+"},
		"one that empties it": {open + `
b = os.open('f', os.O_WRONLY | os.O_TRUNC)
os.write(b, b'new')
os.close(b)
os.pwrite(a, b'N', 0)
print(os.pread(a, 99, 0))
os.close(a)
`, "b'New'", "New"},
		"ftruncate": {open + `
os.ftruncate(a, 5)
os.pwrite(a, b'..', 7)
print(os.pread(a, 99, 0), os.fstat(a).st_size)
os.ftruncate(a, 12)
os.close(a)
print(os.stat('f').st_size)
`, "b'THE f\\x00\\x00..' 9\n12", "THE f\x00\x00..\x00\x00\x00"},
		"a truncate by name": {open + `
os.truncate('f', 4)
os.pwrite(a, b'end', 4)
os.close(a)
print(open('f').read())
`, "THE end", "THE end"},
		"a map written after close": {open + `
m = mmap.mmap(a, 0)
m[4:9] = b'FIRST'
os.close(a)
m[0:3] = b'the'
m.flush()
m.close()
print(open('f').read())
`, "the FIRST version", "the FIRST version"},
		"fsync": {open + `
os.fsync(a)
os.pwrite(a, b'FIRST', 4)
os.fsync(a)
b = os.dup(a)
os.pwrite(a, b'V', 10)
os.close(b)
os.close(a)
print(open('f').read())
`, "THE FIRST Version", "THE FIRST Version"},
		"times": {open + `
os.utime(a, (1000000000, 1000000000))
os.close(a)
print(int(os.stat('f').st_mtime))
`, "1000000000", "THE first version"},
		"a rename": {open + `
os.rename('f', 'g')
os.pwrite(a, b'FIRST', 4)
os.close(a)
os.rename('g', 'f')
print(open('f').read())
`, "THE FIRST version", "THE FIRST version"},
		"a removal": {open + `
os.remove('f')
os.pwrite(a, b'FIRST', 4)
print(os.pread(a, 99, 0), os.fstat(a).st_size, os.fstat(a).st_nlink)
os.close(a)
open('f', 'w').write('another')
`, "b'THE FIRST version' 17 0", "another"},
		"a file renamed over it": {open + `
with open('n', 'w') as n: n.write('the next')
os.rename('n', 'f')
os.pwrite(a, b'FIRST', 4)
print(os.pread(a, 99, 0), open('f').read())
os.close(a)
`, "b'THE FIRST version' the next", "the next"},
		"many": {`
import os
for i in range(100):
    a = os.open('f', os.O_RDWR)
    os.pwrite(a, b'%03d' % i, 0)
    b = os.open('f', os.O_RDWR)
    os.close(a)
    os.pwrite(b, b'%03d' % i, 4)
    os.close(b)
    with open('f', 'rb') as f:
        got = f.read()
    if got != b'%03d %03dst version' % (i, i): print(i, got)
print('done')
`, "done", "099 099st version"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := bypassing(t)
			if got := r.run("python3", "-c", c.script); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			r.drain()
			r.has("f", c.served)
			if left := r.recovered(); len(left) > 0 {
				t.Errorf("in the recovery folder: %q", left)
			}
		})
	}
}

// A close that the server refuses says so, and what is written after that is
// not lost either.
func TestRefusalOfWhatTheKernelWrote(t *testing.T) {
	r, _ := bypassing(t)
	undo := r.srv.Fault(ftptest.Refuse("STOR", 552, "Disk quota exceeded"))
	defer undo()
	got := r.run("python3", "-c", `
import os, errno
a = os.open('f', os.O_RDWR)
os.pwrite(a, b'THE', 0)
b = os.dup(a)
try: os.close(b)
except OSError as e: print(errno.errorcode[e.errno])
os.pwrite(a, b'FIRST', 4)
try: os.close(a)
except OSError as e: print(errno.errorcode[e.errno])
print(open('f').read())
`)
	if want := "EDQUOT\nEDQUOT\nthe first version"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r.drain()
	r.has("f", "the first version")
	r.recovers("[THE first version THE FIRST version]")
}

// A version that comes from elsewhere while the kernel writes the one before:
// close says so, and what was written is kept.
func TestNewVersionBesideTheOneThatTheKernelWrites(t *testing.T) {
	r, _ := bypassing(t)
	p := r.start("exec 3<>f; echo ready; read x; cat f >/dev/null; echo read; read x; printf THE >&3; echo written; read x; exec 3>&- || echo refused")
	p.expect("ready")
	r.put("f", "the second, longer version")
	p.say()
	p.expect("read")
	p.say()
	p.expect("written")
	p.end()
	r.has("f", "the second, longer version")
	r.recovers("[THE first version]")
}

// fsync of what is lost to a version from elsewhere says so, too.
func TestFsyncBesideANewVersion(t *testing.T) {
	r, _ := bypassing(t)
	p := r.start(`exec python3 -u -c "
import os, errno
a = os.open('f', os.O_RDWR)
print('ready'); input()
open('f').read()
print('read'); input()
os.pwrite(a, b'THE', 0)
for call in os.fsync, os.close:
    try: call(a)
    except OSError as e: print(errno.errorcode[e.errno])
"`)
	p.expect("ready")
	r.put("f", "the second, longer version")
	p.say()
	p.expect("read")
	p.say()
	p.expect("ESTALE")
	p.expect("ESTALE")
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	r.has("f", "the second, longer version")
}

// Two writers of a version that the server no longer has: both closes say so.
func TestTwoWritersBesideANewVersion(t *testing.T) {
	r, _ := bypassing(t)
	p := r.start(`exec python3 -u -c "
import os, errno
a = os.open('f', os.O_RDWR)
b = os.open('f', os.O_RDWR)
print('ready'); input()
open('f').read()
print('read'); input()
os.pwrite(b, b'THE', 0)
for x in (a, b):
    try: os.close(x)
    except OSError as e: print(errno.errorcode[e.errno])
"`)
	p.expect("ready")
	r.put("f", "the second, longer version")
	p.say()
	p.expect("read")
	p.say()
	p.expect("ESTALE")
	p.expect("ESTALE")
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// comes drains, also what RELEASE brings after the close, until the server has
// exactly content at name.
func (r *mounted) comes(name, content string) {
	r.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); r.drain() {
		if b, _ := os.ReadFile(filepath.Join(r.srv.Root, name)); string(b) == content {
			break
		}
	}
	r.has(name, content)
}

// recovers waits until want is in the recovery folder: RELEASE comes after close.
func (r *mounted) recovers(want string) {
	r.Helper()
	got := ""
	for end := time.Now().Add(10 * time.Second); got != want && time.Now().Before(end); {
		got = fmt.Sprint(r.recovered())
	}
	if got != want {
		r.Errorf("in the recovery folder: %s, want %s", got, want)
	}
}

// recovered returns what is in the recovery folder, oldest first.
func (r *mounted) recovered() (out []string) {
	r.Helper()
	list, err := r.store.Recovery()
	if err != nil {
		r.Fatal(err)
	}
	for _, l := range list {
		b, err := os.ReadFile(l.File)
		if err != nil {
			r.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

// What reads the copy is released while the next one opens it to append: the
// copy that it was given must be open for it, too.
func TestAppendBesideARelease(t *testing.T) {
	r, _ := bypassing(t)
	got := r.run("python3", "-c", `
import os
text = b'the first version'
for i in range(400):
    with open('f', 'rb') as f:
        got = f.read()
    if got != text: print('read', got[-10:], text[-10:])
    fd = os.open('f', os.O_WRONLY | os.O_APPEND)
    os.write(fd, b'.')
    os.close(fd)
    text += b'.'
print('done')
`)
	if got != "done" {
		t.Errorf("wrong: %s", got)
	}
}

// What waits to be uploaded is not changed. Who reads the copy by itself must
// see what is written meanwhile all the same.
func TestKernelReadsWhatIsWrittenBesideAnUpload(t *testing.T) {
	r, _ := bypassing(t)
	got := r.run("python3", "-c", `
import os
readers = [os.open('f', os.O_RDONLY)]
b = os.open('f', os.O_WRONLY)
for i in range(4):
    os.pwrite(b, b'%d' % i, 0)
    print(*{os.pread(r, 99, 0) for r in readers})
    os.close(os.dup(b)) # from the second on, nobody waits for the upload
    readers.append(os.open('f', os.O_RDONLY))
os.close(b)
`)
	if want := "b'0he first version'\nb'1he first version'\nb'2he first version'\nb'3he first version'"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r.drain()
	r.has("f", "3he first version")
}

// The server refuses an upload for now. Who opens the file meanwhile must see
// what others write then.
func TestKernelReadsWhatIsWrittenAfterAFailedUpload(t *testing.T) {
	r, _ := bypassing(t)
	undo := r.srv.Fault(ftptest.Refuse("STOR", 450, "Busy"))
	got := r.run("python3", "-c", `
import os
def save(text, flags=0):
    b = os.open('f', os.O_WRONLY | flags)
    os.pwrite(b, text, 0)
    try: os.close(b)
    except OSError as e: print(e.strerror)
save(b'THE first version', os.O_TRUNC)
r = os.open('f', os.O_RDONLY)
print(os.pread(r, 99, 0))
save(b'and')
print(os.pread(r, 99, 0))
`)
	if want := "Device or resource busy\nb'THE first version'\nDevice or resource busy\nb'and first version'"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	undo()
	r.drain()
	r.has("f", "and first version")
}
