//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// env is where a conformance case works.
type env struct {
	Dir    string // the case's folder, in the mount
	Served string // the same folder on the server's disk; Dir itself in the control
	Remote bool   // false in the control
}

// conformanceCase is one named promise of a file system.
type conformanceCase struct {
	name string
	// prepare fills the case's folder on the server's disk before anything is
	// mounted. What put and putDir make belongs to the FTP user, the rest to root.
	prepare func(t testing.TB, served string)
	run     func(t testing.TB, e env)
	// remote marks what a local folder of root cannot show: refusals by the
	// server, and what FTP has no command for.
	remote bool
}

func conformanceCases() []conformanceCase {
	return slices.Concat(shellCases(), toolCases(), nameCases(), errnoCases(), openCases(), handleCases(), attributeCases(), accessCases(), foreignCases(), bulkCases(), copyCases())
}

// TestConformance runs the suite over a plain local folder, which shows that
// the suite asks for what a file system does, and over a mount of each server.
func TestConformance(t *testing.T) {
	t.Run("local", func(t *testing.T) {
		root := t.TempDir()
		cases := slices.DeleteFunc(conformanceCases(), func(c conformanceCase) bool { return c.remote })
		prepareCases(t, cases, root)
		runCases(t, cases, root, root, nil)
	})
	for _, k := range everyServer {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s, cases := startServer(t, k), conformanceCases()
			prepareCases(t, cases, s.Served)
			m := mount(t, s)
			m.Expect("/foreign-file/", "/names-", "/changed-elsewhere/") // what was refused there is in the recovery folder
			runCases(t, cases, m.Dir, s.Served, exceptions[k])
			noTemporaries(t, s.Served)
		})
	}
}

func prepareCases(t testing.TB, cases []conformanceCase, served string) {
	t.Helper()
	for _, c := range cases {
		dir := filepath.Join(served, c.name)
		putDir(t, dir)
		if c.prepare != nil {
			c.prepare(t, dir)
		}
	}
}

// runCases runs the cases. fail has the reasons of those that should fail.
func runCases(t *testing.T, cases []conformanceCase, dir, served string, fail map[string]string) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := env{Dir: filepath.Join(dir, c.name), Served: filepath.Join(served, c.name), Remote: dir != served}
			reason := fail[c.name]
			if reason == "" {
				c.run(t, e)
			} else if said, ok := failing(t, func(t testing.TB) { c.run(t, e) }); !ok {
				t.Errorf("it passes, though the server %s", reason)
			} else {
				t.Logf("the server %s; it failed, as it should:\n%s", reason, said)
			}
			the.found.ended(t, reason)
		})
	}
}

// noTemporaries fails the test for names of ours that an upload left behind.
func noTemporaries(t testing.TB, served string) {
	t.Helper()
	for _, line := range treeOf(t, served) {
		if temporaryName.MatchString(line) {
			t.Errorf("left on the server: %s", line)
		}
	}
}

// put writes a file of the FTP user on the server's disk.
func put(t testing.TB, name string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(name, content, 0o644))
	must(t, os.Chown(name, ftpUID, ftpUID))
}

// putDir makes a folder of the FTP user on the server's disk.
func putDir(t testing.TB, name string) {
	t.Helper()
	must(t, os.Mkdir(name, 0o755))
	must(t, os.Chown(name, ftpUID, ftpUID))
}

// path returns the path of a name in the case's folder.
func (e env) path(name string) string { return filepath.Join(e.Dir, name) }

// served returns the path of a name on the server's disk.
func (e env) served(name string) string { return filepath.Join(e.Served, name) }

// Holds fails the test unless the file has this content, in the mount and on
// the server's disk, now.
func (e env) Holds(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := holds(e.path(name), content); err != nil {
		t.Error("in the mount:", err)
	}
	if err := holds(e.served(name), content); err != nil {
		t.Error("on the server:", err)
	}
}

// HoldsSoon is Holds for what reaches the server a moment after close(2):
// files that were only created or truncated, and the last bytes of a file
// that several processes shared (RELEASE is asynchronous).
func (e env) HoldsSoon(t testing.TB, name string, content []byte) {
	t.Helper()
	eventually(t, 10*time.Second, func() error { return holds(e.served(name), content) })
	e.Holds(t, name, content)
}

// Same fails the test unless the folder looks the same in the mount and on
// the server's disk: names, types, sizes and every byte.
func (e env) Same(t testing.TB) {
	t.Helper()
	if d := cmp.Diff(treeOf(t, e.Served), treeOf(t, e.Dir)); d != "" {
		t.Errorf("server (-) and mount (+) differ:\n%s", d)
	}
}

// Gone fails the test if the name is still there on either side.
func (e env) Gone(t testing.TB, name string) {
	t.Helper()
	for _, p := range []string{e.path(name), e.served(name)} {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", p, err)
		}
	}
}

// holds says how a file differs from content, nil if it does not.
func holds(name string, content []byte) error {
	got, err := os.ReadFile(name)
	switch {
	case err != nil:
		return err
	case len(got) != len(content):
		return fmt.Errorf("%s has %d bytes, want %d", name, len(got), len(content))
	}
	for i := range got {
		if got[i] != content[i] {
			return fmt.Errorf("%s differs from byte %d on", name, i)
		}
	}
	return nil
}

// treeOf is walk for a folder that stands still.
func treeOf(t testing.TB, dir string) []string {
	t.Helper()
	lines, err := walk(dir)
	must(t, err)
	return lines
}

// walk describes every name below dir: type, size and SHA-256 of a file,
// target of a link.
func walk(dir string) ([]string, error) {
	var lines []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, what := p[len(dir)+1:], ""
		switch d.Type() {
		case 0:
			info, err := d.Info()
			if err != nil {
				return err
			}
			what = fmt.Sprintf("file %d %s", info.Size(), sum(p))
		case fs.ModeDir:
			what = "folder"
		case fs.ModeSymlink:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			what = "link to " + target
		default:
			what = d.Type().String()
		}
		lines = append(lines, fmt.Sprintf("%q: %s", rel, what))
		return nil
	})
	return lines, err
}
