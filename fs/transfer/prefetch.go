package transfer

import (
	"context"
	"errors"
	"path"
	"slices"
	"sync"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
)

const (
	aheadEach  = wholeAtMost     // larger files are not fetched ahead
	aheadBrief = 16 << 10        // smaller ones are there a round trip after they are asked for
	aheadAfter = 3               // files opened in the order of the listing
	aheadSkips = 4               // small files that may be left out between two of them
	aheadLeast = 8               // files fetched ahead at first,
	aheadMost  = 64              // and at most, if they are tiny
	aheadPause = 2 * time.Second // a walk that opens no file for so long has stopped
	maxWalks   = 4               // directories walked at the same time
)

// prefetcher fetches the small files of a directory that a program will open
// next, if it opens them in the order of the listing, as cat * and cp -r do.
// It takes sessions only that nobody waits for.
type prefetcher struct {
	m      *Manager
	budget int64 // bytes that may be here without having been opened, of each walk

	mu    sync.Mutex
	walks []*walk // the one used last at the end; guarded by mu
	stats Ahead   // guarded by mu
}

// Ahead counts the files that were fetched before anybody opened them.
type Ahead struct {
	Files int64 `json:"files"` // that were fetched
	Bytes int64 `json:"bytes"` // of them
	Read  int64 `json:"read"`  // files of them that were opened
}

// walk is a program that opens the files of a directory one after the other.
type walk struct {
	dir   string
	at    string              // the name that was opened last
	run   int                 // names that were opened in order
	ahead map[string]int64    // names fetched and not yet opened, with their sizes
	bytes int64               // the sum
	under map[string]bool     // names that are being fetched; true: they were opened since
	tried map[string]struct{} // names that were fetched ahead, or could not be

	life    context.Context // nil: it has not begun, or has stopped
	end     context.CancelFunc
	pause   *time.Timer // ends life
	workers int
}

// opened notes that a program opens the file at p, which is e, and fetches
// what it will open next.
func (a *prefetcher) opened(p string, e conn.Entry) {
	if a.budget <= 0 || e.Size > aheadEach || a.m.pool.Status().Limit < 2 {
		return
	}
	dir, name := path.Dir(p), path.Base(p)
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.walkLocked(dir)
	if n, ok := w.ahead[name]; ok {
		delete(w.ahead, name)
		w.bytes -= n
		if _, under := w.under[name]; under {
			w.under[name] = true
		} else {
			a.stats.Read++
		}
	}
	if name == w.at {
		return
	}
	if w.at != "" && a.follows(w, name) {
		w.run++
	} else {
		w.run = 1
		a.stopLocked(w)
	}
	w.at = name
	if w.run < aheadAfter {
		return
	}
	if w.life == nil {
		w.life, w.end = context.WithCancel(a.m.life)
		life := w.life
		w.pause = time.AfterFunc(aheadPause, func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			if w.life == life {
				a.stopLocked(w)
			}
		})
	}
	w.pause.Reset(aheadPause)
	a.hireLocked(w)
}

// walkLocked returns the walk in dir, a new one if there is none.
func (a *prefetcher) walkLocked(dir string) *walk {
	i := slices.IndexFunc(a.walks, func(w *walk) bool { return w.dir == dir })
	w := &walk{dir: dir, ahead: make(map[string]int64), under: make(map[string]bool), tried: make(map[string]struct{})}
	if i >= 0 {
		w = a.walks[i]
		a.walks = slices.Delete(a.walks, i, i+1)
	} else if len(a.walks) == maxWalks {
		a.stopLocked(a.walks[0])
		a.walks = slices.Delete(a.walks, 0, 1)
	}
	a.walks = append(a.walks, w)
	return w
}

// stopLocked ends what is done for w. What was fetched and not opened stays in
// the cache as any other copy.
func (a *prefetcher) stopLocked(w *walk) {
	if w.life != nil {
		w.end()
		w.pause.Stop()
		w.life = nil
	}
	clear(w.ahead)
	clear(w.tried)
	w.bytes = 0
}

// follows tells whether name comes soon after the one that was opened last.
func (a *prefetcher) follows(w *walk, name string) bool {
	entries, _ := a.m.tree.Peek(w.dir)
	skipped := 0
	for e := range entries.From(after(entries, w.at)) {
		if e.Name == name {
			return true
		}
		if isSmall(e) {
			skipped++
		}
		if skipped > aheadSkips {
			return false
		}
	}
	return false
}

// after returns the index of the first entry behind name.
func after(entries cache.Entries, name string) int {
	i, found := entries.Find(name)
	if found {
		i++
	}
	return i
}

func isSmall(e conn.Entry) bool {
	return e.Kind == conn.KindFile && e.Size >= 0 && e.Size <= aheadEach
}

// nextLocked returns the entry to be fetched next, and when the server told of it.
func (a *prefetcher) nextLocked(w *walk) (conn.Entry, time.Time, bool) {
	if w.life == nil || len(w.ahead) >= min(aheadMost, aheadLeast+4*(w.run-aheadAfter)) {
		return conn.Entry{}, time.Time{}, false
	}
	entries, told := a.m.tree.Peek(w.dir)
	for e := range entries.From(after(entries, w.at)) {
		if _, tried := w.tried[e.Name]; tried || !isSmall(e) {
			continue
		}
		return e, told, w.bytes+e.Size <= a.budget
	}
	return conn.Entry{}, time.Time{}, false
}

// hireLocked starts workers while there is something to fetch.
func (a *prefetcher) hireLocked(w *walk) {
	for w.workers < a.m.pool.Status().Limit {
		if _, _, ok := a.nextLocked(w); !ok || w.workers >= aheadMost {
			return
		}
		life := w.life
		if !a.m.spawn(func() { a.work(life, w) }) {
			return
		}
		w.workers++
		if w.workers > len(w.ahead)+1 {
			return // the others are hired as the first ones take their files
		}
	}
}

// work fetches one file after the other, until there is none to fetch.
func (a *prefetcher) work(ctx context.Context, w *walk) {
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		w.workers--
	}()
	for {
		a.mu.Lock()
		e, told, ok := a.nextLocked(w)
		if !ok || ctx.Err() != nil {
			a.mu.Unlock()
			return
		}
		w.tried[e.Name] = struct{}{}
		w.ahead[e.Name], w.under[e.Name] = e.Size, false
		w.bytes += e.Size
		a.hireLocked(w)
		a.mu.Unlock()
		n, err := a.fetch(ctx, path.Join(w.dir, e.Name), e, told)
		a.mu.Lock()
		_, unread := w.ahead[e.Name]
		switch {
		case n > 0:
			a.stats.Files++
			a.stats.Bytes += n
			if w.under[e.Name] {
				a.stats.Read++
			}
		case unread:
			delete(w.ahead, e.Name)
			w.bytes -= e.Size
		}
		delete(w.under, e.Name)
		a.mu.Unlock()
		if err != nil && conn.OutcomeOf(err) != conn.Refused {
			return // no session, no server, or no walk
		}
	}
}

// fetch brings the file at p, which was e at the time told, into the cache. It
// returns how many bytes came; none if the file is here or in use.
func (a *prefetcher) fetch(ctx context.Context, p string, e conn.Entry, told time.Time) (int64, error) {
	o := a.m.beginOpen(p)
	defer a.m.endOpen(o)
	idle := false
	h, err := a.m.hold(o, false, func(f *File) { idle = f.foresee(e, told) })
	if err != nil {
		return 0, nil // it is being renamed
	}
	defer h.Release()
	if !idle {
		return 0, nil
	}
	class := conn.Background
	if e.Size <= aheadBrief {
		class = conn.Brief
	}
	err = h.f.needAll(ctx, 0, e.Size, class)
	if errors.Is(err, errStopped) {
		err = nil
	}
	if err != nil {
		return 0, err
	}
	return e.Size, nil
}

// foresee sets f up from a listing of the time told, if nobody uses it and its
// content is not here. f.mu is held.
func (f *File) foresee(e conn.Entry, told time.Time) bool {
	if f.handles > 1 || f.dirty || f.job != nil || f.copy != nil {
		return false
	}
	f.entry, f.onServer, f.checkedAt = e, true, told
	c, here := f.hereLocked()
	return !here || !c.Complete()
}
