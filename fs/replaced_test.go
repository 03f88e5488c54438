package fs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	got := r.run("python3", "-c", reopening+`
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

// reopening is the beginning of programs that open what they have open again.
const reopening = `
import os, mmap, time
def reopen(fd, mode='r'):
    return open('/proc/self/fd/%d' % fd, mode)
def write(fd, text):
    with reopen(fd, 'r+') as f: f.write(text)
def beside(do):
    pid = os.fork()
    if not pid:
        do()
        os._exit(0)
    time.sleep(0.2)
    return pid
`

// Who opens again what he has open gets the same file, whatever becomes of its
// name meanwhile, and no other is written.
func TestReopenWhileTheNameIsTaken(t *testing.T) {
	for name, c := range map[string]struct {
		fold   bool
		faults []ftptest.Fault
		script string
		want   string
		holds  string // what f has in the end
	}{
		"a rename over it is under way": {faults: []ftptest.Fault{ftptest.DelayReply("RNFR", 350, time.Second)}, script: `
pid = beside(lambda: os.rename('g', 'f'))
write(held, 'DEAD')
os.waitpid(pid, 0)
print(os.pread(held, 9, 0).decode(), os.fstat(held).st_size, open('f').read())
write(held, 'GONE')
print(os.pread(held, 9, 0).decode(), open('f').read())`, want: "DEAD 4 next\nGONE next", holds: "next"},
		"a rename over it waits for an upload": {faults: []ftptest.Fault{ftptest.DelayReply("STOR", 226, time.Second).Once()}, script: `
up = beside(lambda: open('g', 'w').write('next'))
pid = beside(lambda: os.rename('g', 'f'))
mine = os.open('f', os.O_RDWR)
mmap.mmap(mine, 0, prot=mmap.PROT_READ)
os.waitpid(pid, 0)
write(mine, 'DEAD')
print(os.pread(mine, 9, 0).decode(), open('f').read())`, want: "DEAD next", holds: "next"},
		"its removal is under way": {faults: []ftptest.Fault{ftptest.DelayReply("DELE", 250, time.Second)}, script: `
pid = beside(lambda: os.unlink('f'))
write(held, 'DEAD')
os.waitpid(pid, 0)
open('f', 'w').write('anew')
print(reopen(held).read(), open('f').read())`, want: "DEAD anew", holds: "anew"},
		"renamed by another spelling": {fold: true, script: `
os.rename('F', 'x')
open('f', 'w').write('anew')
try: write(held, 'MINE')
except OSError as e: print(e.strerror) # the kernel could have found it by its old name as well
print(open('x').read(), open('f').read())`, want: "Stale file handle\nold anew", holds: "anew"},
		"replaced, open by another spelling": {fold: true, script: `
alias = os.open('F', os.O_RDWR)
os.rename('g', 'f')
os.utime(alias, (1e9, 1e9)); os.fchmod(alias, 0o600)
print(os.stat('F').st_size, open('F').read(), os.stat('f').st_mtime > 1e9)
os.unlink('f')
open('f', 'w').write('anew')
with open('F', 'a') as again: again.write('!')
print(os.stat('F').st_size, open('f').read(), os.pread(alias, 9, 0).decode(), os.fstat(alias).st_size)`,
			want: "4 next True\n5 anew! old 3", holds: "anew!"},
		"removed, open by another spelling of its directory": {fold: true, script: `
os.mkdir('d')
os.rename('f', 'd/f')
alias = os.open('D/f', os.O_RDWR)
os.unlink('d/f')
open('d/f', 'w').write('anew')
with open('D/f', 'w') as f: f.write('MINE')
print(open('D/f').read(), open('d/f').read(), os.pread(alias, 9, 0).decode())
os.rename('d/f', 'f')`, want: "MINE MINE old", holds: "MINE"},
		"renamed to itself by another spelling": {fold: true, script: `
write(held, 'MIN')
os.pwrite(held, b'MINE', 0)
os.rename('F', 'f')
os.pwrite(held, b'more', 4)
os.close(held)
print(open('f').read())`, want: "MINEmore", holds: "MINEmore"},
		"its mode and time, opened as what took its place": {script: `
looked = os.open('f', os.O_PATH)
os.close(held)
os.rename('g', 'f')
with reopen(looked, 'r+') as w:
    os.fchmod(w.fileno(), 0o600); os.utime(w.fileno(), (1e9, 1e9))
print(oct(os.stat('f').st_mode), os.stat('f').st_mtime)`, want: "0o100600 1000000000.0", holds: "next"},
		"two that took its place": {script: `
looked = os.open('f', os.O_PATH)
open('h', 'w').write('the third')
os.rename('g', 'f')
a = reopen(looked)
os.rename('h', 'f')
b = reopen(looked, 'r+')
b.write('DEAD'); b.flush()
print(a.read(), [os.fstat(x.fileno()).st_size for x in (a, b)], open('f').read())`, want: "DEAD [4, 4] the third", holds: "the third"},
	} {
		t.Run(name, func(t *testing.T) {
			r := mountWith(t, fs.Options{}, ftptest.WithConfig(func(s *server.Config) { s.FoldCase = c.fold }))
			r.put("f", "old")
			r.put("g", "next")
			r.sh("cat f g")
			for _, f := range c.faults {
				r.srv.Fault(f)
			}
			if got := r.run("python3", "-c", reopening+"held = os.open('f', os.O_RDWR)"+c.script); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			r.drain()
			r.has("f", c.holds)
		})
	}
}

// A name that a file had in another case is that of the file that somebody else makes.
func TestOpenOfAnAliasThatBecameAFile(t *testing.T) {
	r := mountWith(t, fs.Options{}, ftptest.WithConfig(func(c *server.Config) { c.FoldCase = true }))
	r.put("f", "old")
	p := r.start(`exec 3<>F; rm f; echo ready; read x; printf MINE! > F; cat F; echo; read x`)
	p.expect("ready")
	r.put("F", "of another client")
	p.say()
	p.expect("MINE!")
	p.end()
	r.drain()
	r.has("F", "MINE!")
}

// What was renamed over a name in another case is found when somebody else respells it.
func TestRespelledWhileItIsOpen(t *testing.T) {
	r := mountWith(t, fs.Options{}, ftptest.WithConfig(func(c *server.Config) { c.FoldCase = true }))
	r.put("b", "old")
	r.put("x", "new")
	r.sh("cat b x; mv x B; cat B b")
	p := r.start("exec 3<B; echo ready; read x")
	p.expect("ready")
	if err := os.Rename(filepath.Join(r.srv.Root, "b"), filepath.Join(r.srv.Root, "B")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.mnt.Refresh("")
		if got := r.sh("ls; cat B"); got != "B\nnew" {
			t.Errorf("the mount shows %q", got)
		}
	}
	p.end()
}

// A file can be made by open(2) beside who removes it all the time.
func TestCreateBesideRemovals(t *testing.T) {
	r := mount(t)
	got := r.run("python3", "-c", reopening+`
def remove():
    while not os.path.exists('done'):
        try: os.unlink('f')
        except FileNotFoundError: pass
pid = beside(remove)
for _ in range(200):
    fd = os.open('f', os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b'x')
    os.close(fd)
open('done', 'w').close()
print(os.waitpid(pid, 0)[1])
`)
	if got != "0" {
		t.Errorf("got %q", got)
	}
}

// What is opened while the file that it replaces is being closed shows and
// takes by a map what it does by read and write.
func TestMapsBesideClosesOfTheFileBefore(t *testing.T) {
	r := mount(t)
	got := r.run("python3", "-c", reopening+`
for i in range(150):
    for name, c in ('f', b'old'), ('n', b'NEW'):
        with open(name, 'wb') as f: f.write((c + b' %d ' % i) * 2000)
    looked = os.open('f', os.O_PATH)
    held = os.open('f', os.O_RDWR)
    os.pread(held, 10, 0)
    os.rename('n', 'f')
    os.close(held)
    fd = os.open('/proc/self/fd/%d' % looked, os.O_RDWR)
    m = mmap.mmap(fd, 0)
    if m[:] != os.pread(fd, 1 << 20, 0): print('they differ', i)
    m[0:4] = b'MINE'
    m.flush(); m.close(); os.close(fd); os.close(looked)
`)
	if got != "" {
		t.Error(got)
	}
}

// Closing beside opening: what is opened can be mapped, always.
func TestMapsBesideClosesOfTheSameFile(t *testing.T) {
	r := mount(t)
	r.put("f", "some content")
	got := r.run("python3", "-c", reopening+`
def open_and_map():
    for _ in range(600):
        fd = os.open('f', os.O_RDONLY)
        mmap.mmap(fd, 0, prot=mmap.PROT_READ)
        os.close(fd)
print([os.waitpid(pid, 0)[1] for pid in [beside(open_and_map), beside(open_and_map)]])
`)
	if want := "[0, 0]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// chmod, utime and a map of a file that is replaced all the time succeed.
func TestChangesOfAFileThatIsReplacedAllTheTime(t *testing.T) {
	r := mount(t)
	r.put("f", "0")
	got := r.run("python3", "-c", reopening+`
def change():
    while not os.path.exists('done'):
        os.chmod('f', 0o644)
        os.utime('f')
        with open('f') as f: mmap.mmap(f.fileno(), 1, prot=mmap.PROT_READ)[:1]
pids = [beside(change), beside(change)]
for i in range(150):
    with open('n', 'w') as n: n.write('%d' % i)
    os.rename('n', 'f')
open('done', 'w').close()
print([os.waitpid(pid, 0)[1] for pid in pids])
`)
	if want := "[0, 0]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A rename that the server refuses leaves what it was to replace where it is,
// also if that was put aside for who has it open, with what he has written.
func TestRefusedRenameOverALargeOpenFile(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 6<<16)
	for name, c := range map[string]struct{ script, holds string }{
		"read":    {"", big},
		"written": {"os.pwrite(held, b'MINE', 0)", "MINE" + big[4:]},
	} {
		t.Run(name, func(t *testing.T) {
			r := mount(t)
			r.put("f", big)
			r.put("g", "next")
			r.sh("ls")
			r.srv.Fault(ftptest.Refuse("RNTO", 550, "no").OnArg("/f").Once())
			got := r.run("python3", "-c", reopening+"held = os.open('f', os.O_RDWR)\n"+c.script+`
try: os.rename('g', 'f')
except PermissionError: print('refused')
print(os.listdir('.'), os.pread(held, 4, 5 << 20).decode())
os.close(held)
`)
			if want := "refused\n['f', 'g'] 0123"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			r.drain()
			r.has("f", c.holds)
			r.has("g", "next")
			r.sh("printf X >> f")
			r.drain()
			r.has("f", c.holds+"X")
			if left, err := filepath.Glob(filepath.Join(r.srv.Root, ".*")); err != nil || len(left) > 0 {
				t.Errorf("left on the server: %q, %v", left, err)
			}
		})
	}
}
