//go:build linux

package integration

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// program is something that people run and that knows nothing of FTP.
type program struct {
	name string
	// run works in the folder, which is empty, and returns what must be the
	// same wherever that is. It runs in a local folder and in a mount.
	run func(t *testing.T, e env) string
	// varies matches the files, by their path below the folder, whose bytes
	// depend on place and time.
	varies []string
	// again, if it is set, runs when the server is mounted anew and returns
	// what must not differ from the local folder, as run.
	again func(t *testing.T, e env) string
}

func programs(k kind) []program {
	all := slices.Concat(gitPrograms(), sqlitePrograms(), copyPrograms(k), archivePrograms(), editorPrograms(), filePrograms(), executables())
	if k == inetutils {
		all = slices.DeleteFunc(all, func(p program) bool { return !slices.Contains(withoutTimes, p.name) })
	}
	return all
}

// withoutTimes are the programs that inetutils' ftpd can be tested with.
var withoutTimes = []string{"truncate", "mmap", "mmap-closed", "mmap-private", "replace-read"}

// TestPrograms runs each in a folder of its own in a mount of each server,
// and in a local folder: what it said and every byte that it left must be
// the same, in the mount, on the server's disk, and in another mount of it.
func TestPrograms(t *testing.T) {
	for _, k := range everyServer {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k)
			m := mount(t, s)
			local := t.TempDir()
			for _, p := range programs(k) {
				t.Run(p.name, func(t *testing.T) {
					control := filepath.Join(local, p.name)
					p.check(t, env{Dir: control, Served: control}, env{Dir: filepath.Join(m.Dir, p.name), Served: filepath.Join(s.Served, p.name), Remote: true})
					the.found.ended(t, "")
				})
			}
			noTemporaries(t, s.Served)
			m.Unmount(t)
			m.Start(t)
			t.Run("again", func(t *testing.T) {
				sameTrees(t, s.Served, m.Dir)
				for _, p := range programs(k) {
					if p.again != nil {
						want := p.again(t, env{Dir: filepath.Join(local, p.name), Served: filepath.Join(local, p.name)})
						got := p.again(t, env{Dir: filepath.Join(m.Dir, p.name), Served: filepath.Join(s.Served, p.name), Remote: true})
						same(t, p.name, want, got)
					}
				}
			})
		})
	}
}

// check runs the program in both folders and compares them.
func (p program) check(t *testing.T, control, mounted env) {
	t.Helper()
	must(t, os.Mkdir(control.Dir, 0o755))
	must(t, os.Mkdir(mounted.Dir, 0o755))
	want := p.run(t, control)
	same(t, "what it said", want, p.run(t, mounted))
	outline := p.outline(treeOf(t, control.Dir))
	eventually(t, 10*time.Second, func() error {
		lines, err := walk(mounted.Served)
		if d := cmp.Diff(outline, p.outline(lines)); d != "" {
			return fmt.Errorf("the local folder (-) and the server's disk (+) differ: %v\n%s", err, d)
		}
		return nil
	})
	mounted.Same(t)
}

// outline takes from the lines of walk what may vary.
func (p program) outline(lines []string) []string {
	outline := slices.Clone(lines)
	for i, line := range outline {
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			continue
		}
		name, err := strconv.Unquote(quoted)
		varies := func(pattern string) bool {
			ok, _ := path.Match(pattern, name)
			return ok
		}
		if err == nil && slices.ContainsFunc(p.varies, varies) {
			outline[i] = quoted + ": varies"
		}
	}
	return outline
}

// same fails the test unless two texts are equal.
func same(t *testing.T, what, local, mounted string) {
	t.Helper()
	if d := cmp.Diff(strings.Split(local, "\n"), strings.Split(mounted, "\n")); d != "" {
		t.Errorf("%s: the local folder (-) and the mount (+) differ:\n%s", what, d)
	}
}
