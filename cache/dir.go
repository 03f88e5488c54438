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
// The entries are one sorted slice of packed ones, so that a large directory
// costs little. A change goes to a small overlay, which is merged into a fresh
// slice when somebody wants all entries, or when it has grown to a quarter of
// the slice.
type Dir struct {
	complete bool
	filled   time.Time

	mu      sync.RWMutex
	base    []packed               // guarded by mu; sorted by name, its elements never change
	overlay map[string]*conn.Entry // guarded by mu; what differs from base, nil: deleted
	n       int                    // guarded by mu; number of entries
	changed bool                   // guarded by mu; since the listing arrived
}

// minOverlay is the number of changes that are never merged early.
const minOverlay = 64

// newDir returns the directory of a listing, of which early are the entries
// that were handed out before.
func newDir(l conn.Listing, early Entries) *Dir {
	base := make([]packed, 0, l.Len())
	if l.Early > 0 {
		base = append(base, early.list...)
	}
	var p packer
	base = p.appendTo(base, l.Entries)
	if !slices.IsSortedFunc(base, byName) {
		slices.SortStableFunc(base, byName)
	}
	base = slices.CompactFunc(base, func(a, b packed) bool { return a.name == b.name })
	return &Dir{complete: l.Complete, filled: time.Now(), base: base, n: len(base)}
}

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
	return Entries{d.base}.Named(name)
}

// OtherCase returns the name of an entry that differs from name in case only,
// and has as many bytes, as nearly all do that servers take for the same. ok is
// false if there is none, or one that is called name.
func (d *Dir) OtherCase(name string) (other string, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if _, same := d.lookupLocked(name); same {
		return "", false
	}
	for n, e := range d.overlay {
		if e != nil && len(n) == len(name) && strings.EqualFold(n, name) {
			return n, true
		}
	}
	for i := range d.base {
		n := d.base[i].name
		if len(n) != len(name) || !strings.EqualFold(n, name) {
			continue
		}
		if e, changed := d.overlay[n]; !changed || e != nil {
			return n, true
		}
	}
	return "", false
}

// Entries returns all entries, sorted by name in byte order. Later changes do
// not show in them.
func (d *Dir) Entries() Entries {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mergeLocked()
	return Entries{d.base}
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

// Changed tells whether entries were set or deleted since the listing arrived.
func (d *Dir) Changed() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.changed
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
	d.changed = true
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
	var p packer
	var added []packed
	for _, e := range d.overlay {
		if e != nil {
			added = append(added, p.pack(*e))
		}
	}
	d.base = merge(d.base, added, func(name string) bool { _, changed := d.overlay[name]; return changed })
	d.overlay = nil
}
