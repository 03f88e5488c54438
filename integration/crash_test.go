//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

// Kills of a write mode on a server that is chosen for it; in make soak each
// mode gets more.
const (
	crashKills     = 20
	crashKillsSoak = 200
)

// temporaryName matches the names of uploads that are not committed.
var temporaryName = regexp.MustCompile(`\.ftpfs-.*\.tmp`)

// TestCrash kills ftpfs at random moments of a write load. After each kill
// the next mount with the same cache folder shows every file that close(2) or
// fsync(2) said was safe, whole, and soon the server has it too.
func TestCrash(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("FTPFS_TEST_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			t.Logf("FTPFS_TEST_SEED=%d", seed)
			kills := crashKills
			if !slices.Contains(bothServers, k) {
				kills /= 4
			}
			soaks := os.Getenv("FTPFS_SOAK") != ""
			if soaks {
				kills = crashKillsSoak
			}
			for _, mode := range writeModes {
				t.Run(mode, func(t *testing.T) { crashMany(t, k, mode, seed, kills) })
				if !soaks {
					kills /= 2 // the same code in the end, from the queue
				}
			}
			the.found.ended(t, "")
		})
	}
}

// writeModes are the values of --write.
var writeModes = []string{"through", "back"}

func crashMany(t *testing.T, k kind, mode string, seed uint64, kills int) {
	t.Helper()
	s := startServer(t, k)
	m := mount(t, s, "--write="+mode)
	m.Expect("level=WARN") // recovery tells what it found
	r := rand.New(rand.NewPCG(seed, 0))
	var total tally
	for i := range kills {
		crashRound(t, m, r, fmt.Sprint("round", i), &total)
		if t.Failed() {
			t.Logf("round %d failed", i)
			break
		}
	}
	t.Logf("%s, --write=%s\n%s", k, mode, total.table())
	noTemporaries(t, s.Served)
}

// TestLoad runs the load to its end, on a plain folder, which shows that it
// knows what a file system does, and on mounts.
func TestLoad(t *testing.T) {
	t.Run("local", func(t *testing.T) {
		dir := t.TempDir()
		loaded(t, dir, dir, 200)
	})
	for _, k := range allServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			for _, mode := range writeModes {
				t.Run(mode, func(t *testing.T) {
					s := startServer(t, k)
					m := mount(t, s, "--write="+mode)
					loaded(t, m.Dir, s.Served, 50)
					noTemporaries(t, s.Served)
				})
			}
		})
	}
}

// loaded runs so many steps of each worker in dir; what they say must be
// there, and soon in served, too.
func loaded(t *testing.T, dir, served string, steps int) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "load")
	must(t, os.WriteFile(log, nil, 0o644))
	sh(t, "/", fmt.Sprintf("%s @load %s %s 1 %d", the.launcher, dir, log, steps))
	if dir != served {
		if o := ftpfs(t, nil, "flush", dir); o.Code != 0 {
			t.Errorf("ftpfs flush ended with %d: %s", o.Code, o.Stderr)
		}
	}
	var total tally
	for worker, states := range replay(t, log, &total) {
		for _, root := range []string{dir, served} {
			equal(t, "state", checkFolder(t, fmt.Sprintf("%s/w%d", root, worker), states), 0)
		}
	}
	equal(t, "safe steps", total.safe, loadWorkers*steps)
}

// tally counts what became of the steps.
type tally struct {
	kills             int
	safe, interrupted int
	files             int    // writes of files that were safe
	bytes             int64  // that the folders held by the log, over all kills
	lost              int64  // of them that were not there
	as                [4]int // index into step.allowed
}

// table is the report.
func (c *tally) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "kills\t%d\n", c.kills)
	fmt.Fprintf(w, "steps that were safe\t%d\n", c.safe)
	fmt.Fprintf(w, "files written\t%d\n", c.files)
	fmt.Fprintf(w, "steps interrupted\t%d\t%d as before, %d done, %d a part that was closed or created\n",
		c.interrupted, c.as[0], c.as[1], c.as[2]+c.as[3])
	fmt.Fprintf(w, "bytes checked\t%d\n", c.bytes)
	fmt.Fprintf(w, "bytes lost\t%d\n", c.lost)
	w.Flush()
	return b.String()
}

// count compares one root's folder with the states that it may have, and
// returns which it has.
func (c *tally) count(t *testing.T, dir string, states []folder) int {
	t.Helper()
	is := checkFolder(t, dir, states)
	got, _ := readFolder(dir) // its error was checkFolder's
	for name, content := range states[max(0, is)] {
		c.bytes += int64(len(content))
		if got[name] != content {
			c.lost += int64(len(content))
		}
	}
	return is
}

// crashRound loads the mount, kills it at some moment, mounts again and
// compares what is there with what may be there.
func crashRound(t *testing.T, m *mounted, r *rand.Rand, name string, total *tally) {
	t.Helper()
	log := killUnderLoad(t, m, filepath.Join(m.Dir, name), r)
	total.kills++
	m.Start(t)
	workers := replay(t, log, total)
	for worker, states := range workers {
		rel := fmt.Sprintf("%s/w%d", name, worker)
		// The mount shows the right content before it is on the server.
		shown := total.count(t, filepath.Join(m.Dir, rel), states)
		if o := ftpfs(t, nil, "flush", m.Dir); o.Code != 0 {
			t.Errorf("ftpfs flush ended with %d: %s", o.Code, o.Stderr)
		}
		served := total.count(t, filepath.Join(m.server.Served, rel), states)
		equal(t, rel+" on the server", served, shown)
		if served >= 0 && len(states) > 1 {
			total.as[served]++
		}
	}
	if t.Failed() {
		t.Logf("log of the load:\n%s", tailOf(log, 3000))
	}
}

// killUnderLoad starts the load in a process of its own, kills ftpfs and
// returns the load's log once it has ended.
func killUnderLoad(t *testing.T, m *mounted, dir string, r *rand.Rand) string {
	t.Helper()
	log := filepath.Join(t.TempDir(), "load")
	must(t, os.WriteFile(log, nil, 0o644))
	load := exec.Command(the.launcher, "@load", dir, log, fmt.Sprint(r.Uint64()), "1000000")
	load.Stdout, load.Stderr = os.Stderr, os.Stderr
	load.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, load.Start())
	defer load.Wait()
	eventually(t, 20*time.Second, func() error {
		if !strings.Contains(tailOf(log, 1<<20), "begin") {
			return errors.New("the load does not begin")
		}
		return nil
	})
	time.Sleep(time.Duration(r.IntN(700)) * time.Millisecond) // the random moment
	if r.IntN(2) == 0 {                                       // half of them with uploads that get stuck
		m.server.Freeze()
		defer m.server.Thaw()
		time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
	}
	f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	must(t, errOf(f.WriteString("kill\n")))
	must(t, f.Close())
	m.Kill()
	return log
}

// replay returns for each worker the states that its folder may have by the
// log. A step that failed before the kill fails the test.
func replay(t *testing.T, log string, total *tally) map[int][]folder {
	t.Helper()
	done, open, killed := map[int]folder{}, map[int]step{}, false
	for line := range strings.Lines(tailOf(log, 1<<30)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		var worker, n int
		switch word {
		case "kill":
			killed = true
		case "begin":
			s, err := parseStep(rest)
			must(t, err)
			open[s.worker] = s
			if done[s.worker] == nil {
				done[s.worker] = folder{}
			}
		case "safe": // twice for a step with fsync and close
			must(t, errOf(fmt.Sscanf(rest, "%d %d", &worker, &n)))
			if s, ok := open[worker]; ok && s.n == n {
				done[worker] = s.apply(done[worker])
				delete(open, worker)
				total.safe++
				if s.op != "rename" && s.op != "remove" {
					total.files++
				}
			}
		case "fail":
			must(t, errOf(fmt.Sscanf(rest, "%d", &worker)))
			if !killed {
				t.Errorf("failed before the kill: %s: step %v", rest, open[worker])
			}
		}
	}
	states := map[int][]folder{}
	for worker, f := range done {
		states[worker] = []folder{f}
		if s, ok := open[worker]; ok {
			total.interrupted++
			states[worker] = s.allowed(f)
		}
	}
	return states
}

// checkFolder returns which of the states the folder has; none fails the test.
func checkFolder(t *testing.T, dir string, states []folder) int {
	t.Helper()
	got, err := readFolder(dir)
	if errors.Is(err, fs.ErrNotExist) && slices.ContainsFunc(states, func(f folder) bool { return len(f) == 0 }) {
		err = nil // not even the folder was made
	}
	must(t, err)
	for i, want := range states {
		if maps.Equal(got, want) {
			return i
		}
	}
	t.Errorf("%s holds\n  %v, which is none of", dir, got)
	for _, want := range states {
		t.Errorf("  %v", want)
	}
	return -1
}

// String shows names and sizes, with a few bytes of each file.
func (f folder) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f)) {
		fmt.Fprintf(&b, "%s(%d %.4x) ", name, len(f[name]), f[name])
	}
	return b.String()
}

// readFolder returns what a folder holds, temporary names left out.
func readFolder(dir string) (folder, error) {
	entries, err := os.ReadDir(dir)
	f := folder{}
	for _, e := range entries {
		if temporaryName.MatchString(e.Name()) {
			continue
		}
		b, readErr := os.ReadFile(filepath.Join(dir, e.Name()))
		err = errors.Join(err, readErr)
		f[e.Name()] = string(b)
	}
	return f, err
}
