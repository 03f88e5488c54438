package fs_test

import (
	"testing"

	"ftpfs/conn/ftptest"
	"ftpfs/conn/ftptest/server"
	"ftpfs/fs"
)

// Who opens a file that is replaced all the time gets one of its versions, whole.
func TestOpenOfAFileThatIsReplacedAllTheTime(t *testing.T) {
	r := mount(t)
	r.put("f", "0 ")
	got := r.run("python3", "-c", `
import os
replacing = os.fork()
if not replacing:
    for i in range(1, 250):
        with open('n', 'w') as n:
            n.write('%d ' % i * (1 + i % 90 * 40))
        os.rename('n', 'f')
    os._exit(0)
readers = []
for _ in range(3):
    if reader := os.fork():
        readers.append(reader)
        continue
    last, wrong = 0, 0
    while last < 249:
        try:
            with open('f') as f:
                words = f.read().split()
        except OSError as e:
            print(e.strerror, flush=True)
            os._exit(1)
        i = int(words[0])
        if i < last or words != ['%d' % i] * (1 + i % 90 * 40):
            print('after version %d: %d words %s' % (last, len(words), set(words)), flush=True)
            os._exit(1)
        last = i
    os._exit(0)
print([os.waitpid(p, 0)[1] for p in [replacing] + readers])
`)
	if want := "[0, 0, 0, 0]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An open that the kernel began before another file took the name gets the one
// that is there, but the old one if somebody has that open, and so has content.
func TestOpenOfANodeThatWasReplaced(t *testing.T) {
	r := mount(t)
	for _, name := range []string{"f", "g", "h"} {
		r.put(name, name)
	}
	got := r.run("python3", "-c", `
import os
def reopen(fd, mode='r'):
    return open('/proc/self/fd/%d' % fd, mode)
looked = os.open('f', os.O_PATH)
os.rename('g', 'f')
print(reopen(looked).read())
held = os.open('f', os.O_RDONLY)
os.rename('h', 'f')
print(reopen(held).read(), os.pread(held, 10, 0).decode())
reopen(held, 'r+').write('old')
print(os.pread(held, 10, 0).decode(), os.fstat(held).st_size, open('f').read())
os.truncate('/proc/self/fd/%d' % held, 1)
print(os.pread(held, 10, 0).decode(), os.fstat(held).st_size, os.stat('f').st_size)
emptied = reopen(held, 'w+')
print(os.fstat(held).st_size, open('f').read())
os.unlink('f')
emptied.write('again')
emptied.flush()
print(reopen(held).read(), os.listdir('.'))
`)
	if want := "g\ng g\nold 3 h\no 1 1\n0 h\nagain []"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.drain()
	if got := r.run("ls"); got != "" {
		t.Errorf("left on the server: %q", got)
	}
}

// Who has a file open by its name in another case does not keep that name from
// the one that is made in its place.
func TestOpenByAnAliasOfAFileThatWasReplaced(t *testing.T) {
	r := mountWith(t, fs.Options{}, ftptest.WithConfig(func(c *server.Config) { c.FoldCase = true }))
	r.put("f", "old")
	r.put("g", "next")
	got := r.run("python3", "-c", `
import os
held = open('F', 'r+')
os.rename('g', 'f')
print(os.stat('F').st_size, open('F').read())
os.unlink('f')
open('f', 'w').write('anew')
again = open('F', 'r+')
again.seek(4)
again.write('!')
again.close()
print(os.stat('F').st_size, open('f').read(), held.read(), os.fstat(held.fileno()).st_size)
`)
	if want := "4 next\n5 anew! old 3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.drain()
	r.has("f", "anew!")
}
