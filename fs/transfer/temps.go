package transfer

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"ftpfs/cache"
	"ftpfs/conn"
)

// removeTemp removes the temporary file at temp, which the journal of s knows
// and nobody needs any more. If that fails, it is tried again after the next
// upload that succeeds, and before its directory is removed; else the journal
// has the name for the next mount.
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
	err := m.pool.Run(ctx, conn.Metadata, conn.Repeatable, func(ctx context.Context, sess conn.Session) error {
		return sess.Remove(ctx, temp, conn.KindFile)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.Info("a temporary file of an upload stays for now", "path", temp, "error", err)
		return conn.OutcomeOf(err) == conn.Refused
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

// sweepTemps removes the temporary files below dir that could not be removed
// before, as far as the server can be reached.
func (m *Manager) sweepTemps(ctx context.Context, dir string) {
	m.mu.Lock()
	var left []string
	for temp := range m.temps {
		if isBelow(temp, strings.TrimSuffix(dir, "/")) {
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

// repathTempsLocked gives the temporary files below from their new paths.
func (m *Manager) repathTempsLocked(from, to string) {
	for temp, s := range m.temps {
		if isBelow(temp, from) {
			delete(m.temps, temp)
			m.temps[to+strings.TrimPrefix(temp, from)] = s
		}
	}
	for f := range m.asides {
		f.mu.Lock()
		if isBelow(f.path, from) {
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
