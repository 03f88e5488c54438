//go:build linux

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const (
	middleNames = 8      // of each operation
	middleSize  = 300000 // bytes of a file that is read or written
)

// middleWork is one kind of operation, done again and again.
type middleWork struct {
	// do does it for the i-th time. Wrong content is an error, too.
	do    func(i int) error
	calls int // that a do makes of those that may have to wait for the server
	// holds reports what root, the mount or the server's disk, must hold and
	// does not. After a do that failed it first finds out what that did, from
	// what root holds, and fails if that is nothing it can have done.
	holds func(root string) error
}

// TestOutageInTheMiddle: the server goes away while each kind of operation is
// under way. Each call ends with a true errno within its deadline, and so does
// the next; afterwards everything works, and nothing is lost.
func TestOutageInTheMiddle(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(outages)) {
		for _, k := range allServers {
			t.Run(name+"/"+string(k), func(t *testing.T) {
				t.Parallel()
				a := outages[name](t, k, faultTimeout, "--retry=0", "--stale-if-error=0", "--dir-ttl=1ms", "--cache-size=1M")
				a.m.Expect("level=WARN")
				inTheMiddle(t, a)
			})
		}
	}
}

func inTheMiddle(t *testing.T, a away) {
	works := middleWorks(t, a.m.Dir, a.server.Served)
	started, failed, over := make(chan string), make(chan string), make(chan struct{})
	ended := make(chan string)
	for name, w := range works {
		go func() {
			defer func() { ended <- name }()
			i := 0
			for ; i < 5; i++ { // it works
				if err := w.do(i); err != nil {
					t.Errorf("%s: before the outage: %v", name, err)
				}
			}
			started <- name
			i = untilFailure(t, name, w, i)
			failed <- name
			<-over
			recovers(t, name, w, i+1, a.m.Dir)
		}()
	}
	await(t, "do not start", works, started)
	a.begin()
	await(t, "do not fail", works, failed)
	a.end()
	close(over)
	await(t, "do not end", works, ended)
	noneStuck(t, a.m)
	if o := ftpfs(t, nil, "flush", a.m.Dir); o.Code != 0 {
		t.Errorf("ftpfs flush ended with %d: %s", o.Code, o.Stderr)
	}
	for name, w := range works {
		for _, root := range []string{a.m.Dir, a.server.Served} {
			if err := w.holds(root); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	a.m.Unmount(t)
	for _, w := range works {
		must(t, w.holds(a.server.Served))
	}
}

// await receives the name of each of the works once. With one that is missing
// for long the test cannot go on.
func await(t *testing.T, what string, works map[string]middleWork, from chan string) {
	t.Helper()
	missing := maps.Clone(works)
	timeout := time.After(5 * faultLimit)
	for len(missing) > 0 {
		select {
		case name := <-from:
			delete(missing, name)
		case <-timeout:
			t.Errorf("these %s: %q", what, slices.Sorted(maps.Keys(missing)))
			panic("the test cannot go on") // the goroutines would use t
		}
	}
}

// untilFailure works until the outage is noticed, and once more: both times
// the errno comes in time. It returns the number of the last time.
func untilFailure(t *testing.T, name string, w middleWork, i int) int {
	for failures := 0; ; i++ {
		start := time.Now()
		err := w.do(i)
		took := time.Since(start)
		if took > time.Duration(w.calls)*faultLimit {
			t.Errorf("%s took %v: %v", name, took, err)
		}
		if err == nil {
			if failures > 0 {
				t.Errorf("%s succeeded while the server was away", name)
			}
			time.Sleep(time.Millisecond) // on two cores they must all get their turn
			continue
		}
		wantErrno(t, err, outage...)
		t.Logf("%s: %v after %v", name, err, took.Round(time.Millisecond))
		if failures++; failures == 2 {
			return i
		}
	}
}

// recovers waits until the work is possible again, and works.
func recovers(t *testing.T, name string, w middleWork, i int, root string) {
	var err error
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = w.holds(root); err == nil {
			break
		}
	}
	if err != nil {
		t.Errorf("%s: 15 s after the outage: %v", name, err)
	}
	for n := range 5 {
		if err := w.do(i + n); err != nil {
			t.Errorf("%s: after the outage: %v", name, err)
		}
	}
}

// middleWorks are all kinds of operations, each in a folder of its own.
func middleWorks(t *testing.T, dir, served string) map[string]middleWork {
	t.Helper()
	works := map[string]middleWork{
		"list": {middleList(dir + "/list"), 1, func(root string) error { return middleList(root + "/list")(0) }},
		"stat": {middleStat(dir + "/stat"), 1, func(root string) error { return middleStat(root + "/stat")(0) }},
		"read": {middleRead(dir + "/read"), 2, func(root string) error { return middleRead(root + "/read")(0) }},
	}
	for name := range works {
		putDir(t, served+"/"+name)
		for i := range middleNames {
			sub := fmt.Sprintf("%s/%s/d%d", served, name, i)
			putDir(t, sub)
			put(t, sub+"/f", middleContent(i))
		}
	}
	for _, name := range []string{"write", "rename", "make", "remove"} {
		putDir(t, served+"/"+name)
	}
	for i := range middleNames {
		put(t, fmt.Sprintf("%s/rename/a%d", served, i), middleContent(i))
	}
	works["write"] = middleWrite(dir)
	works["rename"] = middleRename(dir)
	works["mkdir and rmdir"] = middleFolders(dir)
	works["create and remove"] = middleFiles(dir)
	return works
}

func middleContent(i int) []byte { return randomBytes(uint64(i), middleSize) }

func middleList(dir string) func(i int) error {
	return func(i int) error {
		entries, err := os.ReadDir(fmt.Sprintf("%s/d%d", dir, i%middleNames))
		if err == nil && (len(entries) != 1 || entries[0].Name() != "f") {
			err = fmt.Errorf("%s holds %v", dir, entries)
		}
		return err
	}
}

func middleStat(dir string) func(i int) error {
	return func(i int) error {
		info, err := os.Stat(fmt.Sprintf("%s/d%d/f", dir, i%middleNames))
		if err == nil && info.Size() != middleSize {
			err = fmt.Errorf("%s has %d bytes", info.Name(), info.Size())
		}
		return err
	}
}

func middleRead(dir string) func(i int) error {
	return func(i int) error {
		return holds(fmt.Sprintf("%s/d%d/f", dir, i%middleNames), middleContent(i%middleNames))
	}
}

// middleWrite overwrites files. A version whose close failed is kept.
func middleWrite(dir string) middleWork {
	files, unsure := map[string][]byte{}, map[string][]byte{}
	return middleWork{
		calls: 2,
		do: func(i int) error {
			name, content := fmt.Sprintf("write/f%d", i%middleNames), middleContent(i)
			err := os.WriteFile(filepath.Join(dir, name), content, 0o644)
			var told *fs.PathError
			switch {
			case err == nil || errors.As(err, &told) && told.Op == "close":
				files[name] = content
				delete(unsure, name)
			case unsure[name] == nil:
				unsure[name] = content
			}
			return err
		},
		holds: func(root string) error {
			for name := range unsure { // the open failed; what it created or emptied is empty
				got, err := os.ReadFile(filepath.Join(root, name))
				switch {
				case errors.Is(err, fs.ErrNotExist):
					delete(files, name)
				case err != nil:
					return err
				case len(got) > 0 && !bytes.Equal(got, files[name]):
					return fmt.Errorf("%s holds %d bytes that nobody wrote", name, len(got))
				default:
					files[name] = got
				}
				delete(unsure, name)
			}
			for name, content := range files {
				if err := holds(filepath.Join(root, name), content); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// middleToggle takes names to and fro between two states.
type middleToggle struct {
	forth, back func(k int) error
	// is reports whether the k-th name is in the second state. An error says
	// that it is in neither.
	is func(root string, k int) (bool, error)
}

func (m middleToggle) work() middleWork {
	second, unsure := [middleNames]bool{}, map[int]bool{}
	return middleWork{
		calls: 2,
		do: func(i int) error {
			k, change := i%middleNames, m.forth
			if second[k] {
				change = m.back
			}
			err := change(k)
			if err == nil {
				second[k] = !second[k]
			} else {
				unsure[k] = true
			}
			return err
		},
		holds: func(root string) error {
			for k := range second {
				is, err := m.is(root, k)
				switch {
				case err != nil:
					return err
				case unsure[k]:
					second[k] = is
					delete(unsure, k)
				case is != second[k]:
					return fmt.Errorf("in %s, number %d is in the second state: %v", root, k, is)
				}
			}
			return nil
		},
	}
}

func middleRename(dir string) middleWork {
	name := func(root, letter string, k int) string { return fmt.Sprintf("%s/rename/%s%d", root, letter, k) }
	return middleToggle{
		forth: func(k int) error { return os.Rename(name(dir, "a", k), name(dir, "b", k)) },
		back:  func(k int) error { return os.Rename(name(dir, "b", k), name(dir, "a", k)) },
		is: func(root string, k int) (bool, error) {
			first, second := name(root, "a", k), name(root, "b", k)
			_, err := os.Lstat(first)
			if errors.Is(err, fs.ErrNotExist) {
				return true, holds(second, middleContent(k))
			}
			if err == nil {
				err = holds(first, middleContent(k))
			}
			if _, both := os.Lstat(second); err == nil && !errors.Is(both, fs.ErrNotExist) {
				err = fmt.Errorf("%s is there, and %s: %v", first, second, both)
			}
			return false, err
		},
	}.work()
}

func middleFolders(dir string) middleWork {
	name := func(root string, k int) string { return fmt.Sprintf("%s/make/d%d", root, k) }
	return middleToggle{
		forth: func(k int) error { return os.Mkdir(name(dir, k), 0o755) },
		back:  func(k int) error { return os.Remove(name(dir, k)) },
		is: func(root string, k int) (bool, error) {
			_, err := os.ReadDir(name(root, k))
			if errors.Is(err, fs.ErrNotExist) {
				return false, nil
			}
			return true, err
		},
	}.work()
}

func middleFiles(dir string) middleWork {
	name := func(root string, k int) string { return fmt.Sprintf("%s/remove/f%d", root, k) }
	return middleToggle{
		forth: func(k int) error { return os.WriteFile(name(dir, k), middleContent(k), 0o644) },
		back:  func(k int) error { return os.Remove(name(dir, k)) },
		is: func(root string, k int) (bool, error) {
			info, err := os.Lstat(name(root, k))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return false, nil
			case err == nil && info.Size() == 0: // of an open that failed, but not on the server
				return false, os.Remove(name(root, k))
			case err == nil:
				err = holds(name(root, k), middleContent(k))
			}
			return true, err
		},
	}.work()
}
