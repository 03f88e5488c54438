package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

const maxLog = 10 << 20 // bytes of a log that is kept small; one older part is kept beside it

// ownLogFile is where a detached mount without --log-file writes its log.
func ownLogFile(cacheDir, mountpoint string) string {
	return filepath.Join(cacheDir, "log", mountName(mountpoint)+".log")
}

// openLogFile opens a log for appending, for its owner only.
func openLogFile(name string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, failf("cannot create the log's folder: %v; choose another --log-file or --cache-dir", err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, failf("cannot open the log: %v; choose another --log-file or --cache-dir", err)
	}
	return f, nil
}

// newLogger logs as text to w.
func newLogger(w io.Writer, s *settings) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: s.level()}))
}

// smallLog appends to a file and empties it when it has become too large,
// after copying it to a second one. The file stays the same, so that whoever
// else has it open for appending (the stderr of this process, where the Go
// runtime writes of a crash) goes on in the right place.
type smallLog struct {
	max   int64  // bytes
	older string // file that gets what is emptied

	mu   sync.Mutex
	file *os.File // guarded by mu; opened with O_APPEND and for reading
}

func (l *smallLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if st, err := l.file.Stat(); err == nil && st.Size() > 0 && st.Size()+int64(len(p)) > l.max {
		if err := l.rotateLocked(st.Size()); err != nil {
			return 0, err
		}
	}
	return l.file.Write(p)
}

func (l *smallLog) rotateLocked(size int64) error {
	older, err := os.OpenFile(l.older, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer older.Close()
	if _, err := io.Copy(older, io.NewSectionReader(l.file, 0, size)); err != nil {
		return err
	}
	return l.file.Truncate(0)
}
