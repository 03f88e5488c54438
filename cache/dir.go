package cache

import (
	"slices"
	"strings"
	"sync"
	"time"

	"ftpfs/conn"
)

// Dir is the listing of one remote directory, with the local changes since.
// It is safe for concurrent use.
//
// The entries are one sorted slice, so that a large directory costs little
// more than its conn.Entry values. A change goes to a small overlay, which is
// merged into a fresh slice when somebody wants all entries, or when it has
// grown to a quarter of the slice.
type Dir struct {
	complete bool
	filled   time.Time

	mu      sync.RWMutex
	base    []conn.Entry           // guarded by mu; sorted by name, its elements never change
	overlay map[string]*conn.Entry // guarded by mu; what differs from base, nil: deleted
	n       int                    // guarded by mu; number of entries
}

// minOverlay is the number of changes that are never merged early.
const minOverlay = 64

// newDir takes l over.
func newDir(l conn.Listing) *Dir {
	base := l.Entries
	slices.SortFunc(base, byName)
	base = slices.CompactFunc(base, func(a, b conn.Entry) bool { return a.Name == b.Name })
	return &Dir{complete: l.Complete, filled: time.Now(), base: base, n: len(base)}
}

func byName(a, b conn.Entry) int { return strings.Compare(a.Name, b.Name) }

// Lookup returns the entry called name. If there is none, Complete tells
// whether that proves its absence.
func (d *Dir) Lookup(name string) (conn.Entry, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.lookupLocked(name)
}

func (d *Dir) lookupLocked(name string) (conn.Entry, bool) {
	if e, ok := d.overlay[name]; ok {
		if e == nil {
			return conn.Entry{}, false
		}
		return *e, true
	}
	i, ok := slices.BinarySearchFunc(d.base, name, func(e conn.Entry, name string) int {
		return strings.Compare(e.Name, name)
	})
	if !ok {
		return conn.Entry{}, false
	}
	return d.base[i], true
}

// Entries returns all entries, sorted by name in byte order. The slice is
// shared and must not be modified; later changes do not show in it.
func (d *Dir) Entries() []conn.Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mergeLocked()
	return d.base
}

// Complete reports whether the server's listing was whole, so that a name
// that is not in it is absent.
func (d *Dir) Complete() bool { return d.complete }

// Len returns the number of entries.
func (d *Dir) Len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.n
}

// Filled returns when the listing arrived. Changes do not make it younger.
func (d *Dir) Filled() time.Time { return d.filled }

// Age returns the time since the listing arrived.
func (d *Dir) Age() time.Duration { return time.Since(d.filled) }

// Set adds e or replaces the entry of the same name. Changes to a cached
// directory belong inside Listings.Change, which keeps older listings from
// undoing them.
func (d *Dir) Set(e conn.Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.lookupLocked(e.Name); !ok {
		d.n++
	}
	d.changeLocked(e.Name, &e)
}

// Delete removes the entry called name, if there is one. See Set.
func (d *Dir) Delete(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.lookupLocked(name); ok {
		d.n--
		d.changeLocked(name, nil)
	}
}

func (d *Dir) changeLocked(name string, e *conn.Entry) {
	if d.overlay == nil {
		d.overlay = make(map[string]*conn.Entry)
	}
	d.overlay[name] = e
	if len(d.overlay) > max(minOverlay, len(d.base)/4) {
		d.mergeLocked()
	}
}

// mergeLocked makes a new base of the base and the overlay. Snapshots that
// were handed out keep the one they have.
func (d *Dir) mergeLocked() {
	if len(d.overlay) == 0 {
		return
	}
	added := make([]conn.Entry, 0, len(d.overlay))
	for _, e := range d.overlay {
		if e != nil {
			added = append(added, *e)
		}
	}
	slices.SortFunc(added, byName)
	merged := make([]conn.Entry, 0, d.n)
	for _, e := range d.base {
		if _, changed := d.overlay[e.Name]; changed {
			continue
		}
		for len(added) > 0 && added[0].Name < e.Name {
			merged = append(merged, added[0])
			added = added[1:]
		}
		merged = append(merged, e)
	}
	d.base = append(merged, added...)
	d.overlay = nil
}
