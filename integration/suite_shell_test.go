//go:build linux

package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// shellCases are what a shell does to files and folders.
func shellCases() []conformanceCase {
	return []conformanceCase{
		{name: "redirect", run: redirect},
		{name: "redirect-shared", run: redirectShared},
		{name: "cp", run: copyFiles},
		{name: "cp-r", run: copyTree},
		{name: "cp-p", run: copyPreserve},
		{name: "mv", run: move},
		{name: "mv-folder", run: moveFolder},
		{name: "rm-r", run: removeTree},
		{name: "mkdir-p", run: makeFolders},
		{name: "touch", run: touch},
		{name: "truncate", run: truncate},
	}
}

func redirect(t testing.TB, e env) {
	sh(t, e.Dir, "echo one > f")
	e.Holds(t, "f", []byte("one\n"))
	sh(t, e.Dir, "echo two >> f")
	e.Holds(t, "f", []byte("one\ntwo\n"))
	sh(t, e.Dir, "echo x > f")
	e.Holds(t, "f", []byte("x\n"))
	sh(t, e.Dir, "cat f f > g; cat < g > h; test -s h")
	e.Holds(t, "g", []byte("x\nx\n"))
	e.Holds(t, "h", []byte("x\nx\n"))
	sh(t, e.Dir, ": > f; : > fresh")
	e.HoldsSoon(t, "f", nil)
	e.HoldsSoon(t, "fresh", nil)
	shFails(t, e.Dir, "set -C; echo y > h")
	e.Holds(t, "h", []byte("x\nx\n"))
	e.Same(t)
}

// One redirect of many processes: they share the handle, and each closes it.
func redirectShared(t testing.TB, e env) {
	sh(t, e.Dir, "{ for i in $(seq 20); do /bin/echo $i; done; } > f")
	e.HoldsSoon(t, "f", []byte(strings.Join(strings.Fields("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"), "\n")+"\n"))
	sh(t, e.Dir, "(echo a; /bin/echo b) > g; (/bin/echo c; echo d) >> g")
	e.HoldsSoon(t, "g", []byte("a\nb\nc\nd\n"))
}

func copyFiles(t testing.TB, e env) {
	src := t.TempDir()
	small, large := randomBytes(1, 1000), randomBytes(2, 8<<20)
	must(t, os.WriteFile(src+"/small", small, 0o644))
	must(t, os.WriteFile(src+"/large", large, 0o644))
	must(t, os.WriteFile(src+"/empty", nil, 0o644))
	sh(t, e.Dir, "cp "+src+"/* .")
	e.Holds(t, "small", small)
	e.Holds(t, "large", large)
	e.HoldsSoon(t, "empty", nil)
	sh(t, e.Dir, "cp small over; cp large over; cp small over")
	e.Holds(t, "over", small)
	sh(t, e.Dir, "cp large again; cmp large again; cp large "+src+"/back; cmp "+src+"/large "+src+"/back")
	e.Holds(t, "again", large)
	e.Same(t)
}

// sampleTree fills a local folder with a small tree and returns it.
func sampleTree(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range []string{"a", "sub/b", "sub/c", "sub/deeper/d", "other folder/e", ".hidden"} {
		p := dir + "/" + name
		must(t, os.MkdirAll(p[:strings.LastIndex(p, "/")], 0o755))
		must(t, os.WriteFile(p, randomBytes(uint64(i), i*3000), 0o644))
	}
	must(t, os.Mkdir(dir+"/empty folder", 0o755))
	return dir
}

func copyTree(t testing.TB, e env) {
	src := sampleTree(t)
	sh(t, e.Dir, "cp -r "+src+" tree; cp -r tree tree2; diff -r "+src+" tree; diff -r tree tree2")
	waitForTree(t, src, e.served("tree"))
	waitForTree(t, src, e.served("tree2"))
	e.Same(t)
}

func copyPreserve(t testing.TB, e env) {
	src := t.TempDir()
	must(t, os.WriteFile(src+"/f", []byte("content"), 0o640))
	sh(t, src, "touch -d '2021-02-03 04:05:06' f; touch -d '2011-12-13 14:15:16' g; chmod 755 g")
	sh(t, e.Dir, "cp -p "+src+"/f f; cp -a "+src+"/f a; cp -p "+src+"/g g")
	eventually(t, 10*time.Second, func() error { // an empty file reaches the server a moment after its close
		st, err := os.Stat(e.served("g"))
		if err == nil && (st.Mode().Perm() != 0o755 || st.ModTime().Unix() != 1323785716) {
			err = fmt.Errorf("g is %v %v", st.Mode(), st.ModTime())
		}
		return err
	})
	for _, dir := range []string{e.Dir, e.Served} {
		eventually(t, 10*time.Second, func() error { // g is empty
			const want = "a 640 7 1612325106\nf 640 7 1612325106\ng 755 0 1323785716"
			if got := sh(t, dir, "stat -c '%n %a %s %Y' a f g 2>&1 || true"); got != want {
				return fmt.Errorf("%s: %s, want %s", dir, got, want)
			}
			return nil
		})
	}
}

func move(t testing.TB, e env) {
	sh(t, e.Dir, "echo a > a; mkdir d; mv a b")
	e.Gone(t, "a")
	e.Holds(t, "b", []byte("a\n"))
	sh(t, e.Dir, "mv b d")
	e.Gone(t, "b")
	e.Holds(t, "d/b", []byte("a\n"))
	sh(t, e.Dir, "echo longer > c; mv c d/b; mv d/b .")
	e.Holds(t, "b", []byte("longer\n"))
	sh(t, e.Dir, "echo x > x; mv -n x b 2>/dev/null || true")
	e.Holds(t, "b", []byte("longer\n"))
	// A rename over a file that was read before shows the other content.
	sh(t, e.Dir, "echo 1 > one; echo 2 > two; cat one two; mv one two; test \"$(cat two)\" = 1")
	e.Same(t)
}

func moveFolder(t testing.TB, e env) {
	sh(t, e.Dir, "mkdir -p a/b full empty; echo x > a/b/f; echo y > full/y; mv a c")
	e.Gone(t, "a")
	e.Holds(t, "c/b/f", []byte("x\n"))
	sh(t, e.Dir, "mv -T c empty; cat empty/b/f; echo more >> empty/b/f")
	e.Holds(t, "empty/b/f", []byte("x\nmore\n"))
	shFails(t, e.Dir, "mv -T empty full")
	shFails(t, e.Dir, "mv empty empty/b")
	sh(t, e.Dir, "mv empty/b full")
	e.Holds(t, "full/b/f", []byte("x\nmore\n"))
	e.Same(t)
}

func removeTree(t testing.TB, e env) {
	src := sampleTree(t)
	sh(t, e.Dir, "cp -r "+src+" tree; rm tree/a; test ! -e tree/a")
	e.Gone(t, "tree/a")
	shFails(t, e.Dir, "rmdir tree")
	shFails(t, e.Dir, "rm tree/sub")
	sh(t, e.Dir, "rmdir 'tree/empty folder'; rm -r tree")
	e.Gone(t, "tree")
	shFails(t, e.Dir, "rm tree")
	sh(t, e.Dir, "mkdir tree; echo again > tree/a; rm -rf tree")
	e.Gone(t, "tree")
}

func makeFolders(t testing.TB, e env) {
	sh(t, e.Dir, "mkdir -p a/b/c; mkdir -p a/b/c/d; mkdir -m 750 m; echo x > a/b/c/d/f")
	e.Holds(t, "a/b/c/d/f", []byte("x\n"))
	shFails(t, e.Dir, "mkdir a")
	shFails(t, e.Dir, "mkdir missing/b")
	equal(t, "mode of m", sh(t, e.Served, "stat -c %a m"), "750")
	e.Same(t)
}

func touch(t testing.TB, e env) {
	sh(t, e.Dir, "touch f")
	e.HoldsSoon(t, "f", nil)
	sh(t, e.Dir, "echo x > g; touch -d '2020-05-06 07:08:09' g f; touch -r g h")
	e.HoldsSoon(t, "h", nil)
	for _, dir := range []string{e.Dir, e.Served} {
		eventually(t, 10*time.Second, func() error { // two are empty
			if got := sh(t, dir, "stat -c '%n %s %Y' f g h"); got != "f 0 1588748889\ng 2 1588748889\nh 0 1588748889" {
				return fmt.Errorf("%s: %s", dir, got)
			}
			return nil
		})
	}
	sh(t, e.Dir, "touch g; test $(( $(date +%s) - $(stat -c %Y g) )) -lt 60")
	sh(t, e.Served, "test $(( $(date +%s) - $(stat -c %Y g) )) -lt 60")
	sh(t, e.Dir, "touch -c missing; test ! -e missing")
}

func truncate(t testing.TB, e env) {
	content := randomBytes(3, 100_000)
	must(t, os.WriteFile(e.path("f"), content, 0o644))
	sh(t, e.Dir, "truncate -s 70000 f")
	e.HoldsSoon(t, "f", content[:70_000])
	sh(t, e.Dir, "truncate -s 120000 f")
	e.HoldsSoon(t, "f", append(content[:70_000:70_000], make([]byte, 50_000)...))
	sh(t, e.Dir, "truncate -s 0 f; truncate -s 5000 fresh")
	e.HoldsSoon(t, "f", nil)
	e.HoldsSoon(t, "fresh", make([]byte, 5000))
	must(t, os.Truncate(e.path("fresh"), 10))
	e.HoldsSoon(t, "fresh", make([]byte, 10))
}
