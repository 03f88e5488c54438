//go:build linux

package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

const (
	loadWorkers   = 4
	loadFiles     = 5       // names of one worker
	loadSize      = 150_000 // bytes of one write at most, but for one file in
	loadLarge     = 25      // which has
	loadLargeSize = 6 << 20 // bytes: it is sent while it is written, and appended to
)

// step is one operation of the load. Workers have folders of their own and do
// one step after the other, so that a log of the steps tells what each
// folder may hold.
type step struct {
	worker, n int
	op        string // overwrite, append, patch, rename or remove
	name, to  string // to: of rename
	off       int    // of patch
	seed      uint64 // of the bytes that are written
	size      int
	sync      bool // fsync before close
	dup       bool // a second descriptor is closed after the first half
}

// String is the step's line in the log; parseStep reads it.
func (s step) String() string {
	return fmt.Sprintf("%d %d %s %s %s %d %d %d %t %t", s.worker, s.n, s.op, s.name, s.to, s.off, s.seed, s.size, s.sync, s.dup)
}

func parseStep(text string) (s step, err error) {
	_, err = fmt.Sscanf(text, "%d %d %s %s %s %d %d %d %t %t", &s.worker, &s.n, &s.op, &s.name, &s.to, &s.off, &s.seed, &s.size, &s.sync, &s.dup)
	return s, err
}

// folder is what a worker's folder holds.
type folder map[string]string

// apply returns the folder after the step.
func (s step) apply(f folder) folder {
	after := folder{}
	for name, content := range f {
		after[name] = content
	}
	data := string(randomBytes(s.seed, s.size))
	switch s.op {
	case "overwrite":
		after[s.name] = data
	case "append":
		after[s.name] += data
	case "patch":
		old := after[s.name]
		after[s.name] = old[:s.off] + data + old[min(len(old), s.off+len(data)):]
	case "rename":
		after[s.to] = after[s.name]
		delete(after, s.name)
	case "remove":
		delete(after, s.name)
	}
	return after
}

// allowed returns what the folder may hold if the step was interrupted: all
// or nothing of it; a name that is being made may also be there and empty,
// and the close of a second descriptor makes a version of its own.
func (s step) allowed(before folder) []folder {
	states := []folder{before, s.apply(before)}
	if s.op == "rename" || s.op == "remove" {
		return states
	}
	if _, ok := before[s.name]; !ok {
		states = append(states, s.cut(0).apply(before))
	}
	if s.dup {
		states = append(states, s.cut(s.size/2).apply(before))
	}
	return states
}

// cut returns the step that writes only the first n bytes.
func (s step) cut(n int) step {
	s.size = n
	return s
}

// choose draws the next step of a worker whose folder holds f.
func choose(r *rand.Rand, worker, n int, f folder) step {
	s := step{worker: worker, n: n, op: "overwrite", to: "-", seed: r.Uint64(), size: 1 + r.IntN(loadSize), sync: r.IntN(4) == 0, dup: r.IntN(4) == 0}
	s.name = fmt.Sprint("f", r.IntN(loadFiles))
	content, exists := f[s.name]
	large := r.IntN(loadLarge) == 0
	switch k := r.IntN(10); {
	case large:
		s.size = loadLargeSize + r.IntN(loadSize)
	case k < 3 && len(content) < 4*loadSize, k < 6 && len(content) > loadLargeSize:
		s.op, s.size = "append", 1+r.IntN(2000)
	case k < 5 && len(content) > 0:
		s.op, s.off, s.size, s.dup = "patch", r.IntN(len(content)), 1+r.IntN(2000), false
	case k < 7 && exists:
		s.op, s.to = "rename", fmt.Sprint("f", r.IntN(loadFiles))
		if s.to == s.name {
			s.op, s.to = "remove", "-"
		}
	}
	return s
}

// do runs the step in the worker's folder. safe is called as soon as the
// step can be relied on, which is at a successful fsync or close.
func (s step) do(dir string, safe func()) error {
	path, data := filepath.Join(dir, s.name), randomBytes(s.seed, s.size)
	var flags int
	switch s.op {
	case "rename":
		return whenOK(os.Rename(path, filepath.Join(dir, s.to)), safe)
	case "remove":
		return whenOK(os.Remove(path), safe)
	case "overwrite":
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	case "append":
		flags = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	case "patch":
		flags = os.O_RDWR
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return err
	}
	if s.op == "patch" {
		_, err = f.WriteAt(data, int64(s.off))
	} else {
		err = s.write(f, data)
	}
	if err == nil && s.sync {
		err = whenOK(f.Sync(), safe)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return whenOK(f.Close(), safe)
}

// write writes the data in two halves.
func (s step) write(f *os.File, data []byte) error {
	half := s.size / 2
	if _, err := f.Write(data[:half]); err != nil {
		return err
	}
	if s.dup {
		fd, err := syscall.Dup(int(f.Fd()))
		if err == nil {
			err = syscall.Close(fd)
		}
		if err != nil {
			return err
		}
	}
	return errOf(f.Write(data[half:]))
}

func whenOK(err error, safe func()) error {
	if err == nil {
		safe()
	}
	return err
}

// crashLoad is the role that writes into a mount until it fails: args are the
// folder, the log, a seed and the number of steps at most. Each line of the log is one write(2): "begin"
// and the step, "safe" or "fail" and its worker and number.
func crashLoad(args []string) int {
	seed, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return complain(err)
	}
	steps, err := strconv.Atoi(args[3])
	if err != nil {
		return complain(err)
	}
	log, err := os.OpenFile(args[1], os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return complain(err)
	}
	defer log.Close()
	say := func(format string, a ...any) { fmt.Fprintf(log, format+"\n", a...) }
	var wg sync.WaitGroup
	for worker := range loadWorkers {
		wg.Go(func() {
			dir, f := filepath.Join(args[0], fmt.Sprint("w", worker)), folder{}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				say("fail %d 0 %s", worker, oneLine(err))
				return
			}
			r := rand.New(rand.NewPCG(seed, uint64(worker)))
			for n := 1; n <= steps; n++ {
				s := choose(r, worker, n, f)
				say("begin %s", s)
				if err := s.do(dir, func() { say("safe %d %d", worker, n) }); err != nil {
					say("fail %d %d %s", worker, n, oneLine(err))
					return
				}
				f = s.apply(f)
			}
		})
	}
	wg.Wait()
	return 0
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
