package transfer

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/fs/tree"
)

// removeTemp removes the temporary file at temp, which the journal of s knows
// and nobody needs any more. If that fails, it is tried again after a while,
// after the next upload that succeeds, before its directory is removed and
// before the mount ends; else the journal has the name for the next mount.
func (m *Manager) removeTemp(ctx context.Context, s *cache.Store, temp string) {
	m.mu.Lock()
	m.temps[temp] = s
	m.mu.Unlock()
	m.tryTemp(ctx, temp)
}

// tryTemp removes the temporary file at temp, which is in Manager.temps. A
// rename of a directory above it may give it another path meanwhile: then it
// stays for the next try.
func (m *Manager) tryTemp(ctx context.Context, temp string) (reached bool) {
	err := m.deleteTemp(ctx, temp)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.Info("a temporary file of an upload stays for now", "path", temp, "error", err)
		if conn.OutcomeOf(err) == conn.Refused {
			return true
		}
		m.sweepLater()
		return false
	}
	m.mu.Lock()
	s, still := m.temps[temp]
	delete(m.temps, temp)
	m.mu.Unlock()
	if still {
		m.tempGone(s, temp)
	}
	return true
}

func (m *Manager) deleteTemp(ctx context.Context, temp string) error {
	return m.pool.Run(ctx, conn.Metadata, conn.Repeatable, func(ctx context.Context, sess conn.Session) error {
		return sess.Remove(ctx, temp, conn.KindFile)
	})
}

// cutLate: a server has executed what it got of a session that was cut within.
const cutLate = time.Second

// dropTemp removes the temporary file of an upload that failed with err. A
// server whose session was cut can still be about to make it: one that is not
// there is looked for again when that is over.
func (f *File) dropTemp(temp string, err error) {
	m := f.m
	if conn.OutcomeOf(err) != conn.Unknown {
		m.removeTemp(m.life, f.store, temp)
		return
	}
	if m.deleteTemp(m.life, temp) == nil {
		m.tempGone(f.store, temp)
		return
	}
	m.mu.Lock()
	m.temps[temp] = f.store
	m.mu.Unlock()
	m.tidy(func() {
		select {
		case <-time.After(cutLate):
			m.sweepTemps(m.life, "/")
		case <-m.life.Done(): // the journal has the name
		}
	})
}

// tidy runs fn, which cleans up on the server, beside everything else; Drain
// waits for it.
func (m *Manager) tidy(fn func()) {
	m.tidying.Add(1)
	if !m.spawn(func() { defer m.tidied(); fn() }) {
		m.tidying.Add(-1)
	}
}

func (m *Manager) tidied() {
	m.tidying.Add(-1)
	m.announce()
}

// sweepTemps removes the temporary files below dir that could not be removed
// before, as far as the server can be reached.
func (m *Manager) sweepTemps(ctx context.Context, dir string) {
	m.mu.Lock()
	var left []string
	for temp := range m.temps {
		if tree.IsBelow(temp, strings.TrimSuffix(dir, "/")) {
			left = append(left, temp)
		}
	}
	m.mu.Unlock()
	for _, temp := range left {
		if !m.tryTemp(ctx, temp) {
			return
		}
	}
}

// sweepLater sweeps when the server may be back.
func (m *Manager) sweepLater() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sweeper == nil {
		m.sweeper = time.AfterFunc(lastRetry, func() {
			m.mu.Lock()
			m.sweeper = nil
			m.mu.Unlock()
			m.spawn(func() { m.sweepTemps(m.life, "/") })
		})
	}
}

// repathTempsLocked gives the temporary files below from their new paths.
func (m *Manager) repathTempsLocked(from, to string) {
	for temp, s := range m.temps {
		if tree.IsBelow(temp, from) {
			delete(m.temps, temp)
			m.temps[to+strings.TrimPrefix(temp, from)] = s
		}
	}
	for f := range m.asides {
		f.mu.Lock()
		if tree.IsBelow(f.path, from) {
			f.path = to + strings.TrimPrefix(f.path, from)
		}
		f.mu.Unlock()
	}
}

// tempGone notes that there is no temporary file at temp.
func (m *Manager) tempGone(s *cache.Store, temp string) {
	if err := s.TempGone(temp); err != nil {
		m.log.Warn("the journal cannot be written", "error", err)
	}
}
