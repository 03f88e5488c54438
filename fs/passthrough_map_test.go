package fs_test

import (
	"testing"
)

// mapped maps a file as C does: Python's mmap duplicates the descriptor.
const mapped = `
import os, ctypes, time, mmap
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
def map(fd):
    p = libc.mmap(None, 4096, 3, 1, fd, 0)
    assert p and p != 2**64-1, ctypes.get_errno()
    return p
def unmap(p): assert libc.munmap(p, 4096) == 0
def store(p, b): ctypes.memmove(p, b, len(b))
`

// A shared map lives on after the descriptor that it was made from, and
// RELEASE comes with the close: what is stored later reaches the server all the same.
func TestMapsThatOutliveTheirDescriptors(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"written after close": {`
a = os.open('f', os.O_RDWR)
p = map(a)
os.close(a)
time.sleep(.1)
store(p, b'THE')
unmap(p)
`, "THE first version"},
		"written before and after": {`
a = os.open('f', os.O_RDWR)
p = map(a)
store(p, b'THE')
os.close(a)
time.sleep(.3)
store(p, b'tHe')
unmap(p)
`, "tHe first version"},
		"opened again meanwhile": {`
a = os.open('f', os.O_RDWR)
p = map(a)
os.close(a)
b = os.open('f', os.O_RDWR)
store(p, b'THE')
os.pwrite(b, b'FIRST', 4)
os.close(b)
store(p, b'tHe')
assert open('f').read() == 'tHe FIRST version'
unmap(p)
`, "tHe FIRST version"},
		"beside a reader": {`
rd = os.open('f', os.O_RDONLY)
a = os.open('f', os.O_RDWR | os.O_APPEND)
p = map(a)
os.close(a)
time.sleep(.1)
store(p, b'THE')
unmap(p)
os.close(rd)
`, "THE first version"},
		"of a second descriptor": {`
a = os.open('f', os.O_RDWR)
os.pwrite(a, b'THE', 0)
os.fstat(a)
b = os.open('f', os.O_RDWR)
m = mmap.mmap(b, 0)
os.close(a)
time.sleep(.1)
m[0:1] = b'1'
os.fsync(b)
m[0:1] = b'2'
m.close()
os.close(b)
`, "2HE first version"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := bypassing(t)
			r.run("python3", "-c", mapped+c.script)
			r.comes("f", c.want)
			if left := r.recovered(); len(left) > 0 {
				t.Errorf("in the recovery folder: %q", left)
			}
		})
	}
}

// Drain sends what is in a map by then.
func TestDrainWithAMap(t *testing.T) {
	r, _ := bypassing(t)
	p := r.start("exec python3 -u -c '" + mapped + `
a = os.open("f", os.O_RDWR)
p = map(a)
os.close(a)
for text in b"THE", b"tHe":
    store(p, text)
    print("stored")
    input()
unmap(p)
'`)
	for _, want := range []string{"THE first version", "tHe first version"} {
		p.expect("stored")
		r.comes("f", want)
		if want[0] == 'T' {
			p.say()
		}
	}
	p.end()
}

// All maps of a file show the version that who opened it first has. What is
// stored there when another one has come since is not lost without a word.
func TestMapBesideAReaderOfAnOlderVersion(t *testing.T) {
	r, _ := bypassing(t)
	p := r.start("exec python3 -u -c '" + mapped + `
import errno
rd = os.open("f", os.O_RDONLY)
print("ready"); input()
b = os.open("f", os.O_RDWR)
print(os.pread(b, 99, 0))
p = map(b)
print(ctypes.string_at(p, 9))
store(p, b"XXX")
unmap(p)
try: os.close(b); print("closed")
except OSError as e: print(errno.errorcode[e.errno])
os.close(rd)
'`)
	p.expect("ready")
	r.put("f", "the second, longer version")
	p.say()
	for _, want := range []string{"b'the second, longer version'", "b'the first'", "ESTALE"} {
		p.expect(want)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	r.has("f", "the second, longer version")
	r.recovers("[XXX first version]")
}
