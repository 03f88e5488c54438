package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"ftpfs/fs/tree"
)

const maxFailures = 20 // kept for Status; so many paths can owe an error, times 50

// Failure is something that went wrong and that no program may have been told.
type Failure struct {
	Time time.Time `json:"time"`
	Path string    `json:"path"`
	Err  string    `json:"error"`
}

// Status is the state of a Manager.
type Status struct {
	Pending  []string  `json:"pending"`  // server paths of files whose last version is not on the server
	Failures []Failure `json:"failures"` // the last ones, newest first
	Copies   int       `json:"copies"`   // local copies
	Bytes    int64     `json:"bytes"`    // of them on disk
	Ahead    Ahead     `json:"ahead"`
}

// Status returns the state of m.
func (m *Manager) Status() Status {
	s := Status{Pending: []string{}, Failures: []Failure{}}
	for _, f := range m.pending() {
		s.Pending = append(s.Pending, f.currentPath())
	}
	slices.Sort(s.Pending)
	s.Copies, s.Bytes = m.store.Usage()
	m.ahead.mu.Lock()
	s.Ahead = m.ahead.stats
	m.ahead.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Failures = append(s.Failures, m.failures...)
	return s
}

// pending returns the files that have something to upload, or of which an upload is
// under way, so that its outcome is not noted yet; oldest first, and not those
// that somebody is still writing.
func (m *Manager) pending() (files []*File) {
	sealed := make(map[*File]time.Time)
	m.mu.Lock()
	for _, f := range m.files {
		f.mu.Lock()
		if f.pendingLocked() || f.job != nil {
			files = append(files, f)
			sealed[f] = f.sealedAt
		}
		f.mu.Unlock()
	}
	m.mu.Unlock()
	slices.SortFunc(files, func(a, b *File) int { return sealed[a].Compare(sealed[b]) })
	return files
}

// drainRetry is how often Drain tries again what has failed: somebody waits.
const drainRetry = 5 * time.Second

// Drain uploads what is pending, and tries at once what waits for its next
// try. It returns when nothing is left, or when ctx ends. progress, which may be nil, is called with the
// number of files that are left whenever that may have changed.
func (m *Manager) Drain(ctx context.Context, progress func(pending int)) error {
	again := time.NewTicker(drainRetry)
	defer again.Stop()
	for now := true; ; {
		m.askMaps()
		m.mu.Lock()
		settled, tidying := m.settled, m.tidying.Load() > 0
		m.mu.Unlock()
		files := m.pending()
		if progress != nil {
			progress(len(files))
		}
		if len(files) == 0 && !tidying {
			m.sweepTemps(ctx, "/")
			return nil
		}
		for _, f := range files {
			f.mu.Lock()
			if f.pendingLocked() && (now || f.failed == 0) {
				f.queueLocked()
			}
			f.mu.Unlock()
		}
		select {
		case <-settled:
			now = false
		case <-again.C:
			now = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Flush is Drain for somebody who wants to know whether all that was written
// is on the server: what was refused without a program's being told, since the
// last Flush, is an error that names it.
func (m *Manager) Flush(ctx context.Context, progress func(pending int)) error {
	if err := m.Drain(ctx, progress); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, p := range slices.Sorted(maps.Keys(m.refusals)) {
		errs = append(errs, fmt.Errorf("%s was refused, and is in the recovery folder: %w", p, m.refusals[p]))
	}
	clear(m.refusals)
	return errors.Join(errs...)
}

// noteRefusal notes for Flush that what was to reach p is in the recovery folder.
func (m *Manager) noteRefusal(p string, cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.refusals) < 50*maxFailures {
		m.refusals[p] = cause
	}
}

// announce tells Drain that an upload ended.
func (m *Manager) announce() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.settled)
	m.settled = make(chan struct{})
}

// fail notes a failed upload; untold: no close or fsync returned it.
func (m *Manager) fail(p string, err error, untold bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failures = slices.Insert(m.failures, 0, Failure{time.Now().UTC(), p, err.Error()})
	m.failures = m.failures[:min(len(m.failures), maxFailures)]
	if untold && len(m.owed) < 50*maxFailures {
		m.owed[p] = err
	}
}

// warnOfRetry logs that the upload of p failed: as a warning the first of an
// outage, which stands for all that fail with it.
func (m *Manager) warnOfRetry(p string, err error) {
	m.mu.Lock()
	level := slog.LevelWarn
	if m.troubled {
		level = slog.LevelInfo
	}
	m.troubled = true
	m.mu.Unlock()
	m.log.Log(m.life, level, "an upload failed and will be tried again", "path", p, "error", err)
}

// cameTrue notes that an upload to p succeeded, also if it had failed before.
func (m *Manager) cameTrue(p string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.troubled = false
	delete(m.owed, p)
	delete(m.refusals, p)
}

// ErrUntold says that an error is that of an upload before, which no close could
// report. It is returned once.
var ErrUntold = errors.New("an upload failed before")

// takeOwed returns, once, the failure at p that no close could report.
func (m *Manager) takeOwed(p string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.owed[p]
	if err == nil {
		return nil
	}
	delete(m.owed, p)
	return fmt.Errorf("%w: %w", ErrUntold, err)
}

// repathOwedLocked tells at to what is owed at from.
func (m *Manager) repathOwedLocked(from, to string) {
	for p, err := range m.owed {
		if tree.IsBelow(p, from) {
			delete(m.owed, p)
			m.owed[to+strings.TrimPrefix(p, from)] = err
		}
	}
}
