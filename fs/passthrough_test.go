package fs_test

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpfs/fs"
)

// requests counts what the kernel asks for, from go-fuse's debug log.
type requests struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (q *requests) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lines.Write(p)
}

// count returns how many requests op there were since requests were counted last.
func (q *requests) count(op string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := strings.Count(q.lines.String(), ": "+op+" ")
	q.lines.Reset()
	return n
}

func (q *requests) reads() int { return q.count("READ") }

// offers reports whether the kernel has offered something at INIT. Nothing
// else may have been asked before.
func (q *requests) offers(capability string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return strings.Contains(q.lines.String(), capability)
}

// bypassing mounts with a log of requests, and skips the test where the kernel
// does not offer to read copies by itself.
func bypassing(t *testing.T) (*mounted, *requests) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may hand files to the kernel")
	}
	q := &requests{}
	log := slog.New(slog.NewTextHandler(q, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := mountWith(t, fs.Options{Log: log, Debug: true})
	if !q.offers("PASSTHROUGH") {
		t.Skip("this kernel does not read copies by itself")
	}
	r.put("f", "the first version")
	r.sh("cat f")
	if q.reads() == 0 {
		t.Fatal("the log has no READ")
	}
	for range 20 { // the server may not have confirmed the first one yet
		if r.sh("cat f"); q.reads() == 0 {
			return r, q
		}
	}
	t.Fatal("the kernel does not read a complete copy by itself, though it offers to")
	return nil, nil
}

// A file that was read once is read by the kernel alone, mapped or not.
func TestKernelReadsCompleteCopies(t *testing.T) {
	r, q := bypassing(t)
	got := r.run("python3", "-c", `
import mmap, os
a = os.open('f', os.O_RDONLY); b = os.open('f', os.O_RDONLY)
m = mmap.mmap(a, 0, prot=mmap.PROT_READ)
print(os.pread(a, 9, 0), os.pread(b, 99, 4), m[-7:])
`)
	if want := `b'the first' b'first version' b'version'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := q.reads(); n != 0 {
		t.Errorf("%d READ, want 0", n)
	}
	r.put("prog", "#!/bin/sh\necho it ran\n")
	r.sh("chmod +x prog; cat prog")
	q.reads()
	if got := r.sh("./prog"); got != "it ran" || q.reads() != 0 {
		t.Errorf("a program that is complete here prints %q", got)
	}
}

// What the kernel refuses to mix on one inode (openmode.go) never meets: each
// second open works, and shows what the first one should see.
func TestOpensBesideThoseOfTheKernel(t *testing.T) {
	const reader = "import os\na = os.open('f', os.O_RDONLY)\nold = os.pread(a, 99, 0)\n"
	for name, c := range map[string]struct{ script, want string }{
		"a writer": {reader + `
b = os.open('f', os.O_RDWR)
os.pwrite(b, b'THE', 0)
c = os.open('f', os.O_RDONLY)
print(os.pread(a, 5, 0), os.pread(b, 5, 0), os.pread(c, 5, 0))
os.close(b)
print(os.pread(a, 5, 0), os.fstat(c).st_size)
`, "b'THE f' b'THE f' b'THE f'\nb'THE f' 17"},
		"an appender": {reader + `
b = os.open('f', os.O_WRONLY | os.O_APPEND)
os.write(b, b'!!')
os.close(b)
c = os.open('f', os.O_RDONLY)
print(os.pread(a, 99, 0), os.pread(c, 99, 12), os.fstat(a).st_size)
`, "b'the first version!!' b'rsion!!' 19"},
		"one that empties it": {reader + `
b = os.open('f', os.O_WRONLY | os.O_TRUNC)
os.write(b, b'new')
os.close(b)
print(os.pread(a, 99, 0), os.stat('f').st_size)
`, "b'new' 3"},
		"an appender that came first": {`
import os
a = os.open('f', os.O_WRONLY | os.O_APPEND)
b = os.open('f', os.O_RDONLY)
print(os.pread(b, 9, 0))
os.close(a)
c = os.open('f', os.O_RDONLY)
print(os.pread(c, 9, 0), os.pread(b, 3, 0))
os.close(b)
d = os.open('f', os.O_RDONLY)
print(os.pread(d, 9, 0), os.pread(c, 3, 0))
`, "b'the first'\nb'the first' b'the'\nb'the first' b'the'"},
		"a writer that came first": {`
import os
a = os.open('f', os.O_RDWR)
b = os.open('f', os.O_RDONLY)
os.pwrite(a, b'THE', 0)
print(os.pread(b, 9, 0))
os.close(b)
c = os.open('f', os.O_RDONLY)
os.close(a)
d = os.open('f', os.O_RDONLY)
print(os.pread(c, 9, 0), os.pread(d, 9, 0))
`, "b'THE first'\nb'THE first' b'THE first'"},
		"a map that is written": {reader + `
import mmap
b = os.open('f', os.O_RDWR)
m = mmap.mmap(b, 0)
m[0:3] = b'MAP'
m.flush()
m.close()
os.close(b)
print(os.pread(a, 5, 0), open('f','rb').read(5))
`, "b'MAP f' b'MAP f'"},
		"a removal": {reader + `
os.remove('f')
print(os.pread(a, 5, 0), os.fstat(a).st_nlink)
`, "b'the f' 0"},
		"a file renamed over it": {reader + `
with open('n', 'w') as n: n.write('the next')
os.rename('n', 'f')
print(os.pread(a, 99, 0), open('f','rb').read())
`, "b'the first version' b'the next'"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := bypassing(t)
			if got := r.run("python3", "-c", c.script); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			r.drain()
			if name == "a map that is written" {
				r.has("f", "MAP first version")
			}
		})
	}
}

// A version that comes while the kernel reads the one before is read beside
// it, and by the kernel again once that is closed.
func TestNewVersionBesideTheOneThatTheKernelReads(t *testing.T) {
	r, q := bypassing(t)
	p := r.start("exec 3<f; cat <&3 >/dev/null; echo ready; read x; cat /proc/self/fd/3")
	p.expect("ready")
	r.put("f", "the second, longer version")
	for range 2 {
		if got := r.sh("cat f"); got != "the second, longer version" {
			t.Errorf("the new version reads as %q", got)
		}
	}
	p.end()
	deadline := time.Now().Add(10 * time.Second)
	for q.reads(); ; {
		if got := r.sh("cat f"); got != "the second, longer version" {
			t.Fatalf("the new version reads as %q", got)
		}
		if q.reads() == 0 || time.Now().After(deadline) {
			break
		}
	}
	if time.Now().After(deadline) {
		t.Error("the kernel does not read the new version by itself")
	}
}

// The release of one handle comes while the next is opened: the kernel must
// still be given a file that is there, and that of the right version.
func TestOpensBesideReleases(t *testing.T) {
	r, _ := bypassing(t)
	got := r.run("python3", "-c", `
import os, threading
wrong = []
def reader():
    for i in range(400):
        with open('f', 'rb') as f:
            got = f.read()
        if got != b'the first version': wrong.append(got)
def toucher():
    for i in range(200):
        os.close(os.open('f', os.O_RDWR))
def run(t):
    try: t()
    except OSError as e: wrong.append(e)
threads = [threading.Thread(target=run, args=[f]) for f in (reader, reader, toucher, toucher)]
for t in threads: t.start()
for t in threads: t.join()
for i in range(200):
    text = b'version %d' % i
    with open('f', 'wb') as f: f.write(text)
    with open('f', 'rb') as f:
        got = f.read()
    if got != text: wrong.append((text, got))
print(wrong)
`)
	if got != "[]" {
		t.Errorf("wrong: %s", got)
	}
}

// The RELEASE of who appends comes some time after the close: who opens the
// file meanwhile can map it, and sees all that is appended.
func TestMapBesideAnAppender(t *testing.T) {
	r, _ := bypassing(t)
	got := r.run("python3", "-c", `
import mmap, os
a = os.open('f', os.O_WRONLY | os.O_APPEND)
b = os.open('f', os.O_RDWR); m = mmap.mmap(b, 0)
c = os.open('f', os.O_RDONLY); n = mmap.mmap(c, 0, prot=mmap.PROT_READ)
print(m[:9], n[:9], os.pread(c, 99, 0))
os.write(a, b', longer')
print(os.pread(b, 99, 10), os.pread(c, 99, 10), os.fstat(c).st_size)
m.resize(25); print(m[10:])
m[0:3] = b'MAP'; m.flush()
os.write(a, b' yet')
print(os.pread(c, 99, 0), n[:9])
os.close(a); m.close(); os.close(b)
print(open('f').read(), os.pread(c, 99, 0))
`)
	want := `b'the first' b'the first' b'the first version'
b'version, longer' b'version, longer' 25
b'version, longer'
b'MAP first version, longer yet' b'MAP first'
MAP first version, longer yet b'MAP first version, longer yet'`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r.drain()
	r.has("f", "MAP first version, longer yet")
}
