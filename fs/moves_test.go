package fs_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/conn/ftptest"
)

// A directory is renamed while programs are in it and have files of it open:
// they notice nothing.
func TestRenameAroundWhoIsInside(t *testing.T) {
	r := mount(t)
	r.sh("mkdir d; echo hello > d/f")
	got := r.run("python3", "-c", `
import os
os.chdir('d')
fd = os.open('f', os.O_RDONLY)
pid = os.fork()
if pid == 0:
    for i in range(150): os.rename('../d', '../e'); os.rename('../e', '../d')
    os._exit(0)
def read():
    with open('f') as f: return f.read()
wrong = {}
def expect(what, do, want=None):
    try: got = do()
    except OSError as e: got = e
    if got != want: wrong.setdefault((what, str(got)), []).append(1)
i = 0
while os.waitpid(pid, os.WNOHANG)[0] == 0:
    i += 1
    expect('stat', lambda: os.stat(fd).st_size, 6)
    expect('chmod', lambda: os.fchmod(fd, 0o600 + i % 2))
    expect('stat 2', lambda: os.stat(fd).st_size, 6)
    expect('open', read, 'hello\n')
    expect('utime', lambda: os.utime(fd))
    expect('list', lambda: 'f' in os.listdir('.'), True)
    expect('access', lambda: os.access('f', os.R_OK), True)
print(i > 3, sorted((k, len(v)) for k, v in wrong.items()))
`)
	if got != "True []" {
		t.Errorf("wrong: %s", got)
	}
}

// A directory is renamed while programs make, rename and remove what is in it.
func TestRenameAroundChanges(t *testing.T) {
	for name, change := range map[string]string{
		"mkdir, rmdir":    "os.mkdir('x'); os.rmdir('x')",
		"mkdir with mode": "os.mkdir('x', 0o700); assert os.stat('x').st_mode & 0o777 == 0o700; os.rmdir('x')",
		"rename":          "os.rename('f', 'g'); os.rename('g', 'f')",
		"rename from top": "os.rename('../t', 't'); os.rename('t', '../t')",
		"create, unlink":  "open('n', 'w').close(); os.unlink('n')",
		"save, unlink":    "open('n', 'w').write('hello'); os.unlink('n')",
		"save over, read": "open('f', 'w').write('HELLO'); assert open('f').read() == 'HELLO'",
	} {
		t.Run(name, func(t *testing.T) {
			r := mount(t)
			r.sh("mkdir d; echo hello > d/f; echo top > t")
			got := r.run("python3", "-c", `
import os
os.chdir('d')
pid = os.fork()
if pid == 0:
    for i in range(150): os.rename('../d', '../e'); os.rename('../e', '../d')
    os._exit(0)
wrong = {}
i = 0
while os.waitpid(pid, os.WNOHANG)[0] == 0:
    i += 1
    try: `+change+`
    except Exception as e: wrong[repr(e)] = wrong.get(repr(e), 0) + 1
print(i > 3, wrong, sorted(os.listdir('.')), sorted(os.listdir('..')))
`)
			if want := "True {} ['f'] ['d', 't']"; got != want {
				t.Errorf("wrong: %s", got)
			}
		})
	}
}

// Who is refused what is in a directory that is being renamed looks again when it
// has been: the reason that was found may be that of another moment.
func TestRefusedWhileTheDirectoryIsRenamed(t *testing.T) {
	r := mount(t)
	if err := os.MkdirAll(filepath.Join(r.srv.Root, "d", "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	undo := r.srv.Fault(ftptest.DelayReply("RNTO", 250, time.Minute))
	defer undo()
	inside := r.start("cd d; echo ready; read x; ls; echo listed; read x")
	inside.expect("ready")
	renamed := r.srv.Count("RNTO")
	rename := r.start("mv -T d e; echo renamed; read x")
	r.srv.WaitCount("RNTO", renamed+1)
	r.srv.Fault(ftptest.Refuse("MLSD", 550, "Permission denied.").Once())
	listed := r.srv.Count("MLSD")
	inside.say()
	r.srv.WaitCount("MLSD", listed+1)
	undo()
	rename.expect("renamed")
	inside.expect("sub")
	inside.expect("listed")
	inside.end()
	rename.end()
}

// Who looks for a name does not wait for a rename that waits for something else.
func TestLookBesideARenameThatWaits(t *testing.T) {
	r := mount(t)
	r.sh("mkdir -p d/sub; ls d d/sub")
	before := r.srv.Count("MKD")
	undo := r.srv.Fault(ftptest.DelayReply("MKD", 257, time.Minute))
	defer undo()
	slow := r.start("echo ready; mkdir d/sub/x; echo made; read x")
	slow.expect("ready")
	r.srv.WaitCount("MKD", before+1)
	rename := r.start("cd d; echo ready; mv -T ../d ../e; echo renamed; read x")
	rename.expect("ready")
	start := time.Now()
	for time.Since(start) < time.Second { // the rename begins meanwhile
		at := time.Now()
		r.sh("cd d 2>/dev/null || exit 0; ! test -e nothing")
		if d := time.Since(at); d > 5*time.Second {
			t.Errorf("it took %v", d)
		}
	}
	undo()
	slow.expect("made")
	rename.expect("renamed")
	slow.end()
	rename.end()
	r.names("e")
}
