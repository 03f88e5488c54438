//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// attributes lists what copies preserve: times of files to the second, modes.
const attributes = `find . -type f -printf 'f %P %m %s %Ts\n' -o -type d -printf 'd %P %m\n' | sort`

// copyPrograms bring trees into the folder, out of it, and remove them.
func copyPrograms(k kind) []program {
	r := rsync{folderTimes: k != vsftpd && k != pyftpdlib}
	return []program{
		{name: "rsync", run: r.twice, again: r.again},
		{name: "cp-a", run: copyArchive},
		{name: "find-delete", run: findDelete},
		{name: "folder-times", run: folderTimes},
	}
}

// sourceTree fills a local folder: modes, times of all the past decades,
// names that need quoting, an empty folder, empty and larger files. It is the
// same at every call.
func sourceTree(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	for i, name := range []string{"a", "sub/b", "sub/c d", "sub/deeper/e", "sub/deeper/ü", "other/-f", "other/g'h", ".hidden/i", "large"} {
		p := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		size := i * 5000
		if name == "large" {
			size = 3 << 20
		}
		must(t, os.WriteFile(p, randomBytes(uint64(i), size), 0o644))
	}
	sh(t, dir, `mkdir empty private; echo p > private/p; chmod 600 private/p; chmod 750 private; chmod 755 sub/b; chmod 444 other/-f
i=0; find . -type f | sort | while read -r f; do i=$((i + 1)); touch -d "$((1990 + 3 * i))-02-03 04:05:$((10 + i))" "$f"; done
find . -depth -type d -exec touch -d '2001-01-01 01:01:01' {} +`)
}

// rsync copies a tree of which a second run finds all in place.
type rsync struct {
	folderTimes bool // the server sets the times of folders, too
}

func (r rsync) twice(t *testing.T, e env) string {
	src := filepath.Join(t.TempDir(), "src")
	sourceTree(t, src)
	copied := e.path("copy")
	run := func(args string) string { return sh(t, e.Dir, "rsync "+args+" "+src+"/ copy/") }
	run("-a")
	r.nothingToDo(t, e, src, "")
	r.nothingToDo(t, e, src, "--checksum")
	equal(t, "diff", sh(t, e.Dir, "diff -r "+src+" copy"), "")
	said := sh(t, copied, attributes)
	// A part of a large file, a file that goes, a mode and a time that change.
	sh(t, src, `printf changed | dd of=large bs=1 seek=1000000 conv=notrunc status=none; touch -d '2020-02-02 02:02:02' large
rm 'sub/c d'; chmod 600 a; touch -d '2011-11-11 11:11:11' sub/b; echo new > new; touch -d '2012-12-12 12:12:12' new
find . -depth -type d -exec touch -d '2001-01-01 01:01:01' {} +`)
	said += "\n" + run("-ai --delete --no-whole-file --omit-dir-times")
	run("-a")
	r.nothingToDo(t, e, src, "--delete")
	// In place also a file of one's own must be writable; root's local folder knows no such refusal.
	run("-a --inplace --ignore-times --no-whole-file --backup --suffix=.old --exclude=/other/-f")
	run("-a")
	r.nothingToDo(t, e, src, "")
	equal(t, "back", sh(t, e.Dir, "rsync -a --exclude '*.old' copy/ "+src+"-back/; diff -r "+src+" "+src+"-back"), "")
	return said + "\n" + sh(t, copied, attributes)
}

// again is for a mount that has to ask the server for all times.
func (r rsync) again(t *testing.T, e env) string {
	src := filepath.Join(t.TempDir(), "src")
	sh(t, e.Served, "cp -a copy "+src+"; chown -R $(id -u):$(id -g) "+src)
	sh(t, src, "find . -depth -type d -exec touch -d '2001-01-01 01:01:01' {} +")
	r.nothingToDo(t, e, src, "")
	return ""
}

// nothingToDo fails the test if rsync -a does anything. Two of the servers
// cannot set the time of a folder: there that is all that it finds, again
// and again.
func (r rsync) nothingToDo(t *testing.T, e env, src, args string) {
	t.Helper()
	found := sh(t, e.Dir, "rsync -ai "+args+" "+src+"/ copy/")
	if !e.Remote || r.folderTimes {
		equal(t, "rsync -ai "+args, found, "")
		return
	}
	for line := range strings.Lines(found) {
		if !strings.HasPrefix(line, ".d..t...... ") {
			t.Errorf("rsync -ai %s: %s", args, line)
		}
	}
	if found == "" {
		t.Error("the times of folders are right: take the server from the list of copyPrograms")
	}
	equal(t, "rsync -ai --omit-dir-times "+args, sh(t, e.Dir, "rsync -ai --omit-dir-times "+args+" "+src+"/ copy/"), "")
}

// cp -a keeps modes and times, into the folder, within it, and out of it.
func copyArchive(t *testing.T, e env) string {
	tmp := t.TempDir()
	src := filepath.Join(tmp, "src")
	sourceTree(t, src)
	sh(t, e.Dir, fmt.Sprintf("cp -a %s in; cp -a in within; cp -a within %s/out; cp -au %[1]s/. in; cp -a --backup=numbered %[1]s/a in", src, tmp))
	want := sh(t, src, attributes)
	for _, dir := range []string{filepath.Join(e.Dir, "within"), filepath.Join(e.Served, "within"), filepath.Join(tmp, "out")} {
		same(t, dir, want, sh(t, dir, attributes))
	}
	sameTrees(t, src, filepath.Join(tmp, "out"))
	return sh(t, e.Dir, attributes)
}

func findDelete(t *testing.T, e env) string {
	said := sh(t, e.Dir, `for d in a a/b a/b/c x 'x/y z'; do mkdir "$d"; for i in $(seq 8); do echo $i > "$d/$i.txt"; : > "$d/$i.tmp"; done; done
find . -name '*.tmp' -delete; find . | sort
find a -type f -newermt '2000-01-01' -size -10c -name '[1-5]*' -delete -print | sort
find x -delete; ls; find a -empty -delete; find . -type f | wc -l
find a -mindepth 1 -delete; ls -A a; mkdir -p deep/$(seq -s / 40); find deep -delete; ls -A`)
	e.Gone(t, "x")
	e.Gone(t, "deep")
	return said
}

// A folder's time is that of the last name that came or went in it, whatever
// was set before.
func folderTimes(t *testing.T, e env) string {
	return sh(t, e.Dir, `mkdir d
for change in 'echo x > d/f' 'mv d/f d/g' 'rm d/g' 'mkdir d/e' 'mv d/e e' 'mv e d/e' 'rmdir d/e'; do
  touch -d '2001-01-01 01:01:01' d; eval "$change"
  [ $(($(date +%s) - $(stat -c %Y d))) -lt 60 ] || echo "$change: $(stat -c %y d)"
done`)
}
