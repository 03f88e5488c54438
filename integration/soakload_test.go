//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// soakWriter does the steps of the crash load in a folder of its own.
type soakWriter struct {
	name   string
	random *rand.Rand
	n      int
	holds  folder // what the folder must hold
}

func (w *soakWriter) step(r *soakRun) {
	w.n++
	s := choose(w.random, 0, w.n, w.holds)
	s.dup = false // so that the error tells how far it came
	dir := filepath.Join(r.dir, w.name)
	err := r.call(s.op, func() error { return s.do(dir, func() {}) })
	if err == nil {
		w.holds = s.apply(w.holds)
	} else {
		w.settle(r, s, err)
	}
	if err != nil || w.n%20 == 0 {
		w.compare(r, r.dir)
	}
}

// settle finds out what a step that failed has done, as a user would: it
// looks. A version whose close failed for the outage is kept.
func (w *soakWriter) settle(r *soakRun, s step, err error) {
	states := []folder{w.holds, s.apply(w.holds)}
	var told *fs.PathError
	switch {
	case errors.As(err, &told) && (told.Op == "close" || told.Op == "sync"):
		states = states[1:]
	case s.op != "rename" && s.op != "remove" && !has(w.holds, s.name):
		states = append(states, s.cut(0).apply(w.holds)) // the open made it, or did not
	}
	got := w.read(r, r.dir)
	for _, state := range states {
		if state.String() == got.String() {
			w.holds = state
			return
		}
	}
	r.t.Errorf("%s: after %v (%v) it holds\n%v, which is none of\n%v", w.name, s, err, got, states)
	w.holds = got
}

func has(f folder, name string) bool {
	_, ok := f[name]
	return ok
}

// read reads the folder until that succeeds.
func (w *soakWriter) read(r *soakRun, root string) (got folder) {
	r.insist("read folder", 0, func() (err error) {
		got, err = readFolder(filepath.Join(root, w.name))
		return err
	})
	return got
}

func (w *soakWriter) compare(r *soakRun, root string) {
	got := w.read(r, root)
	for name, want := range w.holds {
		r.same(filepath.Join(root, w.name, name), []byte(got[name]), []byte(want))
	}
	for name := range got {
		if !has(w.holds, name) {
			r.t.Errorf("%s/%s/%s is there", root, w.name, name)
		}
	}
}

// soakCorpus are files that nobody changes.
type soakCorpus struct{ files map[string][]byte }

// soakReader reads one of them, whole or a part.
type soakReader struct {
	corpus *soakCorpus
	random *rand.Rand
}

func (w *soakReader) step(r *soakRun) {
	name := fmt.Sprintf("read/f%d", w.random.IntN(len(w.corpus.files)))
	want := w.corpus.files[name]
	from, to := 0, len(want)
	op := "read"
	if w.random.IntN(2) == 0 {
		op, from = "read part", w.random.IntN(len(want))
		to = from + w.random.IntN(len(want)-from)
	}
	got := make([]byte, to-from)
	err := r.call(op, func() error {
		f, err := os.Open(filepath.Join(r.dir, name))
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.ReadFull(io.NewSectionReader(f, int64(from), int64(to-from)), got)
		return err
	})
	if err == nil {
		r.same(name, got, want[from:to])
	}
}

func (w *soakReader) compare(r *soakRun, root string) {
	for name, want := range w.corpus.files {
		var got []byte
		r.insist("read", 0, func() (err error) {
			got, err = os.ReadFile(filepath.Join(root, name))
			return err
		})
		r.same(filepath.Join(root, name), got, want)
	}
}

// soakLister lists the corpus and looks at each file, and forgets what the
// mount knows so that the server is asked.
type soakLister struct{ corpus *soakCorpus }

func (w *soakLister) step(r *soakRun) {
	if o := ftpfs(r.t, nil, "refresh", r.dir); o.Code != 0 {
		r.t.Errorf("ftpfs refresh ended with %d: %s", o.Code, o.Stderr)
	}
	var names []string
	err := r.call("list", func() error {
		entries, err := os.ReadDir(filepath.Join(r.dir, "read"))
		for _, e := range entries {
			names = append(names, "read/"+e.Name())
		}
		return err
	})
	if err == nil && len(names) != len(w.corpus.files) {
		r.t.Errorf("%d names instead of %d: %q", len(names), len(w.corpus.files), names)
	}
	for _, name := range names {
		r.call("stat", func() error {
			info, err := os.Stat(filepath.Join(r.dir, name))
			if err == nil && info.Size() != int64(len(w.corpus.files[name])) {
				err = fmt.Errorf("%s has %d bytes", name, info.Size())
			}
			return err
		})
	}
	time.Sleep(20 * time.Millisecond) // it is one of several, and refresh costs the others
}

func (w *soakLister) compare(r *soakRun, root string) {
	var top []string
	r.insist("list", 0, func() error {
		entries, err := os.ReadDir(root)
		top = nil
		for _, e := range entries {
			top = append(top, e.Name())
		}
		return err
	})
	if want := []string{"names", "read", "written0", "written1", "written2"}; !slices.Equal(top, want) {
		r.t.Errorf("%s holds %q", root, top)
	}
}

// soakNamer makes, renames and removes a folder with a file, each until it
// succeeds, whatever replies are lost.
type soakNamer struct{ n int }

func (w *soakNamer) step(r *soakRun) {
	w.n++
	a, b := fmt.Sprintf("%s/names/a%d", r.dir, w.n), fmt.Sprintf("%s/names/b%d", r.dir, w.n)
	content, got := randomBytes(uint64(w.n), 5000), []byte(nil)
	r.insist("mkdir", syscall.EEXIST, func() error { return os.Mkdir(a, 0o755) })
	r.insist("create", 0, func() error { return os.WriteFile(a+"/f", content, 0o644) })
	r.insist("rename folder", syscall.ENOENT, func() error { return os.Rename(a, b) })
	r.insist("read", 0, func() (err error) {
		got, err = os.ReadFile(b + "/f")
		return err
	})
	r.same(b+"/f", got, content)
	r.insist("remove", syscall.ENOENT, func() error { return os.Remove(b + "/f") })
	r.insist("rmdir", syscall.ENOENT, func() error { return os.Remove(b) })
}

func (w *soakNamer) compare(r *soakRun, root string) {
	var left []os.DirEntry
	r.insist("list", 0, func() (err error) {
		left, err = os.ReadDir(filepath.Join(root, "names"))
		return err
	})
	if len(left) > 0 {
		r.t.Errorf("left in %s/names: %v", root, left)
	}
}
