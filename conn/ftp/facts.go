package ftp

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// factsLife is how long what was found out about a server is believed.
const factsLife = 30 * 24 * time.Hour

// fact is something that a server does or does not, which no reply of it tells.
type fact string

const (
	appends   fact = "APPE appends"      // to the file; else it overwrites, or is refused
	listsAll  fact = "LIST -a lists all" // that LIST lists, and dotfiles; else -a is taken for a name
	mdtmTimes fact = "MDTM sets times"   // with a time before the path
)

// facts are what was found out about a server by trying. They are kept in a
// file, so that not every mount tries again.
type facts struct {
	file string // "": not kept
	log  *slog.Logger

	mu    sync.Mutex
	known struct { // guarded by mu
		Server string // its answer to FEAT: another one is another server's
		Facts  map[fact]finding
	}
}

// finding is the outcome of a try.
type finding struct {
	Yes   bool
	Tried time.Time
}

// verdict is the result of trying something out.
type verdict uint8

const (
	untried verdict = iota
	works
	fails
)

// loadFacts reads what was found out before. A file that cannot be read is as
// good as none.
func loadFacts(file string, log *slog.Logger) *facts {
	f := &facts{file: file, log: log}
	if file == "" {
		return f
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &f.known)
	}
	if err != nil && !os.IsNotExist(err) {
		log.Info("what was found out about the server is not known any more", "file", file, "error", err)
	}
	return f
}

// meet forgets what was found out if it was about a server that answered FEAT
// otherwise: it may be another program now.
func (f *facts) meet(server string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known.Server != server {
		f.known.Server, f.known.Facts = server, nil
	}
}

// of returns what was found out about x.
func (f *facts) of(x fact) verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, ok := f.known.Facts[x]
	switch age := time.Since(found.Tried); {
	case !ok || age > factsLife || age < 0:
		return untried
	case found.Yes:
		return works
	}
	return fails
}

// learn notes what was found out about x.
func (f *facts) learn(x fact, yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known.Facts == nil {
		f.known.Facts = make(map[fact]finding)
	}
	f.known.Facts[x] = finding{yes, time.Now()}
	if f.file == "" {
		return
	}
	if err := f.saveLocked(); err != nil {
		f.log.Info("what was found out about the server cannot be kept", "file", f.file, "error", err)
	}
}

// saveLocked replaces the file.
func (f *facts) saveLocked() error {
	b, err := json.Marshal(f.known)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(f.file), 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(f.file), filepath.Base(f.file)+".*")
	if err != nil {
		return err
	}
	_, err = temp.Write(b)
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temp.Name(), f.file)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}
