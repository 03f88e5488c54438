package fs_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

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

// A directory that was renamed before has moved when it goes into one that was not.
func TestRefusedWhileTheDirectoryGoesElsewhere(t *testing.T) {
	r := mount(t)
	r.sh("mkdir -p a0/x b; echo hello > a0/x/f; mv a0 a; ls a/x b")
	r.drain()
	inside := r.start("cd a/x; stat -c %s f; echo ready; read x; chmod 600 f; echo ok; read x")
	inside.expect("6")
	inside.expect("ready")
	undo := r.srv.Fault(ftptest.DelayReply("RNTO", 250, time.Minute))
	defer undo()
	renamed, asked := r.srv.Count("RNTO"), r.srv.Count("SITE")
	rename := r.start("mv -T a/x b/x; echo renamed; read x")
	r.srv.WaitCount("RNTO", renamed+1)
	inside.say()
	r.srv.WaitCount("SITE", asked+1)
	undo()
	rename.expect("renamed")
	inside.expect("ok")
	inside.end()
	rename.end()
}

// Who is refused something does not wait for an upload that a rename waits for.
func TestRefusedBesideARenameThatWaits(t *testing.T) {
	r := mount(t)
	r.sh("mkdir -p d/sub; echo g > d/g; ls d")
	r.drain()
	inside := r.start("cd d; stat -c %s g; echo ready; read x; ! chmod 600 g 2>&-; ! test -e nothing; touch -d 2001-01-01 sub; echo refused; read x")
	inside.expect("2")
	inside.expect("ready")
	undo := r.srv.Fault(ftptest.DelayReply("STOR", 226, time.Minute))
	defer undo()
	r.srv.Fault(ftptest.Refuse("SITE", 550, "Operation not permitted."))
	r.srv.Fault(ftptest.Refuse("MFMT", 550, "Operation not permitted."))
	stored := r.srv.Count("STOR")
	up := r.start("echo data > d/f; echo stored; read x")
	r.srv.WaitCount("STOR", stored+1)
	rename := r.start("mv -T d e; echo renamed; read x")
	waitFor(t, "fs/transfer.(*Manager).beginMove")
	start := time.Now()
	inside.say()
	inside.expect("refused")
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("it took %v", d)
	}
	undo()
	up.expect("stored")
	rename.expect("renamed")
	up.end()
	rename.end()
	inside.end()
}

// What is told once is told, also to who opens the file beside a rename.
func TestToldBesideARename(t *testing.T) {
	r := mount(t)
	r.sh("mkdir d; echo old > d/f")
	r.drain()
	inside := r.start("cd d; cat f; echo ready; read x; cat f 2>&- || echo told; cat f; read x")
	inside.expect("old")
	inside.expect("ready")
	r.srv.Fault(ftptest.Refuse("STOR", 550, "Permission denied.").Once())
	r.sh(": > d/f")
	for end := time.Now().Add(20 * time.Second); len(r.m.Status().Failures) == 0 && time.Now().Before(end); {
		runtime.Gosched()
	}
	undo := r.srv.Fault(ftptest.DelayReply("RNTO", 250, time.Minute))
	defer undo()
	renamed := r.srv.Count("RNTO")
	rename := r.start("mv -T d e; echo renamed; read x")
	r.srv.WaitCount("RNTO", renamed+1)
	inside.say()
	inside.expect("told")
	undo()
	rename.expect("renamed")
	inside.expect("old")
	inside.end()
	rename.end()
}

// A lookup is answered just after the rename of what it has found. Neither what another
// client makes there then, nor what is renamed back, is taken for the other.
func TestLookupAnsweredAfterARename(t *testing.T) {
	beside := func(r *mounted, rename string) {
		release, looked := r.mnt.HoldNode("a"), make(chan fuse.Status, 1)
		defer release() // also if the test ends here
		go func() {
			var out fuse.EntryOut
			looked <- r.mnt.Raw().Lookup(nil, &fuse.InHeader{NodeId: 1}, "a", &out)
		}()
		waitFor(r.T, "fs.(*node).asOpened") // it has found a, and waits
		r.sh(rename)
		release()
		if status := <-looked; status != fuse.OK {
			r.Error(status)
		}
	}
	t.Run("another client's", func(t *testing.T) {
		r := mount(t)
		r.put("a", "first")
		r.sh("cat a")
		beside(r, "mv a b")
		r.put("a", "of another client")
		if got := r.sh("until test -e a; do :; done; cat a; echo; cat b; echo; stat -c %i a b | sort -u | wc -l"); got != "of another client\nfirst\n2" {
			t.Errorf("a and b: %q", got)
		}
	})
	t.Run("to another case", func(t *testing.T) {
		r := mount(t)
		r.sh("mkdir a x; ls a x")
		inside := r.start("cd a; echo ready; read x; ls .; stat -c %F .; read x")
		inside.expect("ready")
		beside(r, "mv -T a A")
		r.sh("mv -T x a")
		inside.say()
		inside.expect("directory")
		inside.end()
	})
	t.Run("back", func(t *testing.T) {
		r := mount(t)
		r.sh("mkdir a; ls a")
		inside := r.start("cd a; echo ready; read x; ls .; stat -c %F .; read x")
		inside.expect("ready")
		beside(r, "mv -T a b")
		r.sh("mv -T b a")
		inside.say()
		inside.expect("directory")
		inside.end()
	})
}

// A lookup is answered before go-fuse has followed a rename: what is renamed stays one inode.
func TestLookupAnsweredDuringARename(t *testing.T) {
	for name, c := range map[string]struct{ to, newName string }{
		"another name":                  {"d", "y"},
		"another directory":             {"e", "x"},
		"another directory and name":    {"e", "y"},
		"the same name in another case": {"d", "X"},
	} {
		t.Run(name, func(t *testing.T) {
			r := mount(t)
			r.sh("mkdir -p d/x e; ls d e d/x")
			if !r.mnt.LookupDuringRename(t.Context(), "d", "x", c.to, c.newName) {
				t.Error("it is another inode")
			}
		})
	}
}

// waitFor waits until a goroutine is in the function.
func waitFor(t *testing.T, function string) {
	t.Helper()
	for end, buf := time.Now().Add(20*time.Second), make([]byte, 1<<20); ; {
		if strings.Contains(string(buf[:runtime.Stack(buf, true)]), function) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody is in %s", function)
		}
	}
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
