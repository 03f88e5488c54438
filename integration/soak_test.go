//go:build linux

package integration

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

const (
	soakRestart = 20 * time.Second // from one restart of the server to the next
	soakDown    = 3 * time.Second  // for which it is away, at most
	soakTimeout = "--timeout=5s"
	// A fork of this process closes its copies of files that are being written:
	// it must not wait for the server that it is to start.
	soakRetry = "--retry=0"
	// What failed is looked at as a user would: not in an old listing.
	soakStale = "--stale-if-error=0"
	soakLimit = 30 * time.Second // of one call
)

// soakTold are the errnos that programs may be told while the server comes
// and goes.
var soakTold = append([]syscall.Errno{syscall.EAGAIN}, outage...)

// TestSoak puts a mixed load on a mount whose server is killed and restarted
// all the time, compares every byte with a model, and reports. `make soak`
// runs it for FTPFS_SOAK; without, it runs only for as long as it takes to see
// that the soak itself works.
func TestSoak(t *testing.T) {
	lasts, restart := 4*time.Second, 1500*time.Millisecond
	if v := os.Getenv("FTPFS_SOAK"); v != "" {
		var err error
		lasts, err = time.ParseDuration(v)
		must(t, err)
		restart = soakRestart
	}
	for _, k := range bothServers {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			soak(t, k, lasts, restart)
		})
	}
}

func soak(t *testing.T, k kind, lasts, restart time.Duration) {
	s, dir, cache := startServer(t, k), mountpoint(t), t.TempDir()
	r := newSoakRun(t, s, dir)
	flags := append(strings.Fields(os.Getenv("FTPFS_ARGS")), "--cache-dir", cache, "--password-file", passwordFile(t, ftpPassword), soakTimeout, soakRetry, soakStale)
	mounts := func() mountStatus { return detach(t, nil, dir, s.URL("/"), flags...) }
	st := mounts()
	r.work(func() { time.Sleep(min(lasts/3, 10*time.Second)) })
	before := r.footprint(st)
	st = mounts()
	r.work(func() { r.restarts(lasts, restart) })
	after := r.footprint(st)
	st = mounts() // all that was safe is there in the next mount, too
	r.compare(dir)
	umountDetachedWith(t, st)
	r.compare(s.Served)
	noTemporaries(t, s.Served)
	if left := slices.Concat(pendingIn(cache), recoveredIn(cache)); len(left) > 0 {
		t.Errorf("not on the server: %q", left)
	}
	t.Logf("%s, %v, %d restarts\n%s", k, lasts, r.restarted, r.table(before, after, tailOf(st.Log, 1<<30)))
	r.judge(before, after, tailOf(st.Log, 1<<30))
	if t.Failed() {
		lines := regexp.MustCompile(`(?m)^time=.*$`).FindAllString(tailOf(st.Log, 1<<30), -1) // not the stacks
		t.Logf("log of ftpfs:\n%s", strings.Join(lines[max(0, len(lines)-500):], "\n"))
	}
}

// umountDetachedWith ends a detached mount whose log has warnings.
func umountDetachedWith(t *testing.T, st mountStatus) {
	t.Helper()
	if o := ftpfs(t, nil, "umount", st.Mountpoint); o.Code != 0 {
		t.Errorf("ftpfs umount ended with %d: %s", o.Code, o.Stderr)
	}
	eventually(t, 20*time.Second, func() error {
		if running(st.PID) {
			return fmt.Errorf("process %d still lives", st.PID)
		}
		return nil
	})
}

// soakRun is one server's soak.
type soakRun struct {
	t         *testing.T
	server    *server
	dir       string // the mountpoint
	workers   []soakWorker
	restarted int

	mu      sync.Mutex
	calls   map[string]int           // guarded by mu; by operation
	slowest map[string]time.Duration // guarded by mu
	told    map[string]int           // guarded by mu; by errno
	checked int64                    // guarded by mu; bytes that were compared
	lost    int64                    // guarded by mu; bytes that are not what they should be
}

// soakWorker does one piece of work after the other.
type soakWorker interface {
	step(r *soakRun)
	// compare compares what root has with what it should have, when all stands still.
	compare(r *soakRun, root string)
}

func newSoakRun(t *testing.T, s *server, dir string) *soakRun {
	r := &soakRun{t: t, server: s, dir: dir, calls: map[string]int{}, slowest: map[string]time.Duration{}, told: map[string]int{}}
	for i := range uint64(3) {
		w := &soakWriter{name: fmt.Sprint("written", i), random: rand.New(rand.NewPCG(1, i)), holds: folder{}}
		putDir(t, filepath.Join(s.Served, w.name))
		r.workers = append(r.workers, w)
	}
	read := &soakCorpus{files: map[string][]byte{}}
	putDir(t, s.Served+"/read")
	for i := range uint64(39) {
		name, size := fmt.Sprintf("read/f%d", i), 1<<(10+i%13) // 1 KiB to 4 MiB
		read.files[name] = randomBytes(i, size)
		put(t, filepath.Join(s.Served, name), read.files[name])
	}
	for i := range uint64(2) {
		r.workers = append(r.workers, &soakReader{read, rand.New(rand.NewPCG(2, i))})
	}
	putDir(t, s.Served+"/names")
	r.workers = append(r.workers, &soakLister{read}, &soakNamer{})
	return r
}

// work lets all workers work while f runs, then waits until nothing is pending.
func (r *soakRun) work(f func()) {
	r.t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, w := range r.workers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					w.step(r)
				}
			}
		})
	}
	f()
	close(stop)
	wg.Wait()
	if o := ftpfs(r.t, nil, "flush", r.dir); o.Code != 0 {
		r.t.Errorf("ftpfs flush ended with %d: %s", o.Code, o.Stderr)
	}
	r.compare(r.dir)
	r.compare(r.server.Served)
}

func (r *soakRun) compare(root string) {
	for _, w := range r.workers {
		w.compare(r, root)
	}
}

// restarts kills the server every so often, and leaves it running.
func (r *soakRun) restarts(lasts, every time.Duration) {
	end, random := time.Now().Add(lasts), rand.New(rand.NewPCG(3, 0))
	for time.Now().Before(end) {
		time.Sleep(min(every, time.Until(end)))
		r.server.Kill()
		time.Sleep(time.Duration(random.Int64N(int64(min(soakDown, every)))))
		r.server.Start(r.t)
		r.restarted++
	}
}

// call runs one operation and counts it and what it was told. A failure that
// is not an outage's, or that comes too late, fails the test.
func (r *soakRun) call(op string, f func() error) error {
	start := time.Now()
	err := f()
	took := time.Since(start)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[op]++
	r.slowest[op] = max(r.slowest[op], took)
	if took > soakLimit {
		r.t.Errorf("%s took %v: %v", op, took, err)
	}
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		r.told[errnoName(errno)]++
		if !slices.Contains(soakTold, errno) {
			r.t.Errorf("%s: %v", op, err)
		}
	} else if err != nil {
		r.told[err.Error()]++
		r.t.Errorf("%s: %v", op, err)
	}
	return err
}

func errnoName(e syscall.Errno) string {
	names := map[syscall.Errno]string{
		syscall.ETIMEDOUT: "ETIMEDOUT", syscall.EHOSTDOWN: "EHOSTDOWN", syscall.EHOSTUNREACH: "EHOSTUNREACH",
		syscall.ECONNREFUSED: "ECONNREFUSED", syscall.EIO: "EIO", syscall.EAGAIN: "EAGAIN",
	}
	if name, ok := names[e]; ok {
		return name
	}
	return e.Error()
}

// insist repeats an operation until it succeeds. After a failure also one of
// done says that it has been done: the reply was lost.
func (r *soakRun) insist(op string, done syscall.Errno, f func() error) {
	failed := false
	for end := time.Now().Add(2 * soakLimit); ; time.Sleep(200 * time.Millisecond) {
		err := r.call(op, func() error {
			err := f()
			if failed && done != 0 && errors.Is(err, done) {
				err = nil
			}
			return err
		})
		if err == nil {
			return
		}
		if failed = true; time.Now().After(end) {
			r.t.Errorf("%s goes on failing: %v", op, err)
			return
		}
	}
}

// same counts the bytes of a file as compared, and as lost if they differ.
func (r *soakRun) same(name string, got, want []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checked += int64(len(want))
	if string(got) == string(want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	r.lost += int64(len(want))
	r.t.Errorf("%s: %d bytes instead of %d, different from byte %d on", name, len(got), len(want), at)
}

// footprint is what a process holds when it rests.
type footprint struct {
	usage
	resident int // KiB
}

// footprint measures the mount's process, and ends it to count its goroutines
// in the stacks that it then prints.
func (r *soakRun) footprint(st mountStatus) (p footprint) {
	r.t.Helper()
	eventually(r.t, 10*time.Second, func() error { // descriptors of what RELEASE closes
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", st.PID))
		settled := len(fds) == p.descriptors
		p.descriptors = len(fds)
		if err == nil && !settled {
			err = fmt.Errorf("%d descriptors", p.descriptors)
		}
		return err
	})
	_, after, _ := strings.Cut(tailOf(fmt.Sprintf("/proc/%d/status", st.PID), 1<<16), "VmRSS:")
	must(r.t, errOf(fmt.Sscan(after, &p.resident)))
	must(r.t, syscall.Kill(st.PID, syscall.SIGQUIT))
	eventually(r.t, 10*time.Second, func() error {
		if running(st.PID) {
			return errors.New("it lives")
		}
		return nil
	})
	stacks := tailOf(st.Log, 1<<30)
	stacks = stacks[max(0, strings.LastIndex(stacks, "SIGQUIT")):]
	p.goroutines = len(regexp.MustCompile(`(?m)^goroutine \d+ `).FindAllString(stacks, -1))
	return p
}

// table is the report.
func (r *soakRun) table(before, after footprint, log string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	total := 0
	for _, op := range slices.Sorted(maps.Keys(r.calls)) {
		fmt.Fprintf(w, "%s\t%d\tslowest %v\n", op, r.calls[op], r.slowest[op].Round(time.Millisecond))
		total += r.calls[op]
	}
	fmt.Fprintf(w, "operations\t%d\n", total)
	for _, errno := range slices.Sorted(maps.Keys(r.told)) {
		fmt.Fprintf(w, "told %s\t%d\n", errno, r.told[errno])
	}
	fmt.Fprintf(w, "bytes checked\t%d\n", r.checked)
	fmt.Fprintf(w, "bytes lost\t%d\n", r.lost)
	fmt.Fprintf(w, "warnings in the log\t%d\n", strings.Count(log, "level=WARN"))
	fmt.Fprintf(w, "goroutines\t%d\tbefore %d\n", after.goroutines, before.goroutines)
	fmt.Fprintf(w, "descriptors\t%d\tbefore %d\n", after.descriptors, before.descriptors)
	fmt.Fprintf(w, "resident MiB\t%d\tbefore %d, with the race detector\n", after.resident>>10, before.resident>>10)
	w.Flush()
	return b.String()
}

// judge fails the test for what the numbers must not be.
func (r *soakRun) judge(before, after footprint, log string) {
	r.t.Helper()
	equal(r.t, "bytes lost", r.lost, 0)
	if after.goroutines > before.goroutines+20 || after.descriptors > before.descriptors+20 {
		r.t.Errorf("it grew: %+v, before %+v", after, before)
	}
	for line := range strings.Lines(log) {
		if alarming.MatchString(line) && !strings.Contains(line, "level=WARN") && !strings.HasPrefix(line, "goroutine ") {
			r.t.Errorf("in the log: %s", strings.TrimSpace(line))
		}
	}
}
