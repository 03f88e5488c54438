//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// toolCases are programs that read and write in their own ways.
func toolCases() []conformanceCase {
	blob := func(t testing.TB, served string) { put(t, served+"/blob", randomBytes(10, 8<<20)) }
	return []conformanceCase{
		{name: "ls-find", prepare: listed, run: listAndFind},
		{name: "read", prepare: blob, run: readTools},
		{name: "pager", prepare: blob, run: pager},
		{name: "sed-i", run: sedInPlace},
		{name: "tar", run: tarRoundTrip},
		{name: "dd", run: ddInTheMiddle},
		{name: "editors", run: editors},
		{name: "pipes", run: pipes},
		{name: "df", run: diskFree},
	}
}

func listed(t testing.TB, served string) {
	for i, name := range []string{"a", "b.txt", "with space", ".dot", "UPPER"} {
		put(t, filepath.Join(served, name), randomBytes(uint64(i), 1000*i))
	}
	putDir(t, served+"/folder")
	put(t, served+"/folder/inside", []byte("in"))
	putDir(t, served+"/.hidden folder")
}

func listAndFind(t testing.TB, e env) {
	for _, script := range []string{
		"ls", "ls -a", "ls -1 folder", "ls -d .* *",
		`find . -printf '%y %P\n' | sort`,
		`find . -type f -printf '%s %m %P\n' | sort`,
		`find . -type f -size +1k | sort`,
		`find . -name '*.txt' -exec cat {} + | sha256sum`,
		"stat -c '%F %s %n' a folder/inside",
		"du -a --apparent-size -b --exclude=. * | grep -v folder",
	} {
		equal(t, script, sh(t, e.Dir, script), sh(t, e.Served, script))
	}
	equal(t, "ls -l", sh(t, e.Dir, "ls -ln 'with space' | tr -s ' ' | cut -d ' ' -f 1,2,5"), "-rw-r--r-- 1 2000")
	shFails(t, e.Dir, "ls missing")
	e.Same(t)
}

func readTools(t testing.TB, e env) {
	for _, script := range []string{
		"head -c 4096 blob | sha256sum", "tail -c 4096 blob | sha256sum",
		"head -c 5000001 blob | tail -c 77 | sha256sum",
		"dd if=blob bs=4096 skip=1000 count=3 status=none | sha256sum",
		"dd if=blob bs=1 skip=8388600 status=none | od -An -tx1",
		"sha256sum blob", "cat blob blob | sha256sum", "wc -c < blob", "cut -c 1-9 blob | sha256sum", "od -An -tx1 blob | sha256sum",
	} {
		equal(t, script, sh(t, e.Dir, script), sh(t, e.Served, script))
	}
}

// A pager reads here and there, back and forth, and stops in the middle.
func pager(t testing.TB, e env) {
	want := randomBytes(10, 8<<20)
	f, err := os.Open(e.path("blob"))
	must(t, err)
	defer f.Close()
	for i, off := range []int64{0, 8192, 100_000, 8<<20 - 10, 4 << 20, 4<<20 - 8192, 12345, 6 << 20, 1, 8 << 20} {
		got := make([]byte, 8192)
		n, err := f.ReadAt(got, off)
		rest := want[off:min(off+8192, 8<<20)]
		if !bytes.Equal(got[:n], rest) {
			t.Errorf("read %d at %d: %d bytes, %v: not the file's", i, off, n, err)
		}
	}
}

func sedInPlace(t testing.TB, e env) {
	sh(t, e.Dir, "seq 1000 > f; sed -i 's/^5$/five/; /^7/d' f")
	want := sh(t, e.Dir, "seq 1000 | sed 's/^5$/five/; /^7/d'") + "\n"
	e.Holds(t, "f", []byte(want))
	sh(t, e.Dir, "sed -i.bak 1d f; test $(wc -l < f.bak) -eq $(( $(wc -l < f) + 1 ))")
	e.Holds(t, "f.bak", []byte(want))
	equal(t, "names", sh(t, e.Served, "ls -A"), "f\nf.bak")
	e.Same(t)
}

func tarRoundTrip(t testing.TB, e env) {
	src, back := sampleTree(t), t.TempDir()
	sh(t, src, "find . -type f -exec touch -d '2019-08-07 06:05:04' {} +")
	sh(t, e.Dir, "tar -C "+src+" -cf - . | tar -xf -")
	waitForTree(t, src, e.Served)
	eventually(t, 10*time.Second, func() error { // one is empty
		if times := sh(t, e.Served, "find . -type f -printf '%T@\n' | cut -d . -f 1 | sort -u"); times != "1565157904" {
			return fmt.Errorf("times: %q", times)
		}
		return nil
	})
	sh(t, e.Dir, "find . -type f -empty -exec sync {} +") // it goes up beside us, and changes its folder
	sh(t, e.Dir, "tar -cf - . | tar -C "+back+" -xf -; tar -czf ../tar.tgz --exclude=../tar.tgz .; tar -tzf ../tar.tgz > /dev/null; rm ../tar.tgz")
	sameTrees(t, src, back)
	e.Same(t)
}

func ddInTheMiddle(t testing.TB, e env) {
	want := randomBytes(4, 1<<20)
	must(t, os.WriteFile(e.path("f"), want, 0o644))
	sh(t, e.Dir, "printf MIDDLE | dd of=f bs=1 seek=500000 conv=notrunc status=none")
	copy(want[500_000:], "MIDDLE")
	e.HoldsSoon(t, "f", want)
	sh(t, e.Dir, "printf END | dd of=f oflag=append conv=notrunc status=none")
	want = append(want, "END"...)
	e.HoldsSoon(t, "f", want)
	sh(t, e.Dir, "dd if=f of=g bs=64k status=none conv=fsync")
	e.Holds(t, "g", want)
	sh(t, e.Dir, "dd if=f of=g bs=1000 count=10 skip=5 seek=20 status=none")
	e.HoldsSoon(t, "g", slices.Concat(want[:20_000], want[5000:15_000]))
}

// Editors save by a new file and renames, in one of these ways.
func editors(t testing.TB, e env) {
	sh(t, e.Dir, "echo one > f; echo two > .f.new; mv .f.new f; test \"$(cat f)\" = two")
	e.Holds(t, "f", []byte("two\n"))
	sh(t, e.Dir, "mv f f~; echo three > f; rm f~; test \"$(cat f)\" = three")
	e.Holds(t, "f", []byte("three\n"))
	sh(t, e.Dir, "cp f f~; echo four > f; mv f~ f; test \"$(cat f)\" = three")
	e.Holds(t, "f", []byte("three\n"))
	sh(t, e.Dir, "sort -r -o f f; install -m 700 f script; test -x script; perl -pi -e 's/three/five/' f")
	e.Holds(t, "f", []byte("five\n"))
	e.Same(t)
}

func pipes(t testing.TB, e env) {
	sh(t, e.Dir, "seq 100000 | tee f | gzip > f.gz; zcat f.gz | cmp - f; split -l 30000 f part.; cat part.* | cmp - f; echo end | tee -a f > /dev/null")
	equal(t, "lines", sh(t, e.Served, "tail -n 2 f; ls | wc -l"), "100000\nend\n6")
	sh(t, e.Dir, "grep -c 9 f; grep -rl 99999 . | sort; sort -rn f | head -n 1 || true; md5sum f part.* > sums; md5sum -c --quiet sums")
	e.Same(t)
}

func diskFree(t testing.TB, e env) {
	start := time.Now()
	sh(t, e.Dir, "df . > /dev/null; df -i . > /dev/null; stat -f . > /dev/null")
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("df took %v", d)
	}
	equal(t, "a file can be made after it", sh(t, e.Dir, "echo x > f; cat f"), "x")
	sh(t, e.Dir, "test $(stat -f -c %l .) -ge 255 && test $(stat -f -c %a .) -gt 0")
}

// sameTrees fails the test unless two folders are equal.
func sameTrees(t testing.TB, want, got string) {
	t.Helper()
	if d := cmp.Diff(treeOf(t, want), treeOf(t, got)); d != "" {
		t.Errorf("%s (-) and %s (+) differ:\n%s", want, got, d)
	}
}

// waitForTree waits until got is equal to want; empty files reach the server
// a moment after they were closed.
func waitForTree(t testing.TB, want, got string) {
	t.Helper()
	eventually(t, 10*time.Second, func() error {
		lines, err := walk(got)
		if d := cmp.Diff(treeOf(t, want), lines); d != "" {
			return fmt.Errorf("%s (-) and %s (+) differ: %v\n%s", want, got, err, d)
		}
		return nil
	})
}
