package ftp

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ftpfs/conn"
)

// factsLife is how long what was found out about a server is believed.
const factsLife = 30 * 24 * time.Hour

// facts are what was found out about a server by trying, which its replies do
// not tell. They are kept in a file, so that not every mount tries again.
type facts struct {
	file string // "": not kept
	log  *slog.Logger

	mu    sync.Mutex
	known struct { // guarded by mu
		Abilities *conn.Abilities // nil: not tried
		Tried     time.Time       // when
	}
}

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

func (f *facts) abilities() (a conn.Abilities, tried bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known.Abilities == nil || time.Since(f.known.Tried) > factsLife {
		return a, false
	}
	return *f.known.Abilities, true
}

func (f *facts) setAbilities(a conn.Abilities) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known.Abilities, f.known.Tried = &a, time.Now()
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
