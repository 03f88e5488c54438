package cache

import (
	"iter"
	"slices"
	"strings"
	"time"

	"ftpfs/conn"
)

// Entries are the entries of a directory at one moment. They never change.
//
// An entry takes 40 bytes and its name, not the 144 of a conn.Entry: what most
// entries of a directory have in common is there once.
type Entries struct{ list []packed }

// packed is a conn.Entry.
type packed struct {
	name string
	size int64
	time int64 // nanoseconds since 1970, as rest.timed tells
	rest *rest // shared, and never changed
}

// rest is what many entries have in common.
type rest struct {
	conn.Entry // without name, size and time
	timed      bool
}

func (p packed) entry() conn.Entry {
	e := p.rest.Entry
	e.Name, e.Size = p.name, p.size
	if p.rest.timed {
		e.Time = time.Unix(0, p.time).UTC()
	}
	return e
}

// maxRests bounds what a packer remembers: each link has its own target.
const maxRests = 256

// packer packs the entries of one directory.
type packer struct {
	last  *rest
	known map[rest]*rest
}

func (p *packer) pack(e conn.Entry) packed {
	q := packed{name: e.Name, size: e.Size}
	r := rest{Entry: e, timed: !e.Time.IsZero()}
	if r.timed {
		q.time = e.Time.UnixNano()
	}
	r.Name, r.Size, r.Time = "", 0, time.Time{}
	if p.last == nil || *p.last != r {
		p.last = p.shared(r)
	}
	q.rest = p.last
	return q
}

func (p *packer) shared(r rest) *rest {
	if s, ok := p.known[r]; ok {
		return s
	}
	if p.known == nil {
		p.known = make(map[rest]*rest)
	}
	if len(p.known) < maxRests {
		p.known[r] = &r
	}
	return &r
}

// appendTo appends entries to list.
func (p *packer) appendTo(list []packed, entries []conn.Entry) []packed {
	list = slices.Grow(list, len(entries))
	for _, e := range entries {
		list = append(list, p.pack(e))
	}
	return list
}

// Len returns the number of entries.
func (e Entries) Len() int { return len(e.list) }

// At returns the i-th entry.
func (e Entries) At(i int) conn.Entry { return e.list[i].entry() }

// From yields the entries from the i-th on.
func (e Entries) From(i int) iter.Seq[conn.Entry] {
	return func(yield func(conn.Entry) bool) {
		for _, p := range e.list[i:] {
			if !yield(p.entry()) {
				return
			}
		}
	}
}

// Contain tells whether there is an entry whose name is one.
func (e Entries) Contain(is func(name string) bool) bool {
	return slices.ContainsFunc(e.list, func(p packed) bool { return is(p.name) })
}

// Named returns the entry called name, of entries sorted by name.
func (e Entries) Named(name string) (conn.Entry, bool) {
	i, ok := e.Find(name)
	if !ok {
		return conn.Entry{}, false
	}
	return e.At(i), true
}

// Find returns the index of the entry called name, or where it would be, of
// entries sorted by name.
func (e Entries) Find(name string) (int, bool) {
	return slices.BinarySearchFunc(e.list, name, func(p packed, name string) int { return strings.Compare(p.name, name) })
}

// With returns e, which is sorted by name, with others in place of those of the
// same names, and without those that drop wants away.
func (e Entries) With(others iter.Seq[conn.Entry], drop func(name string) bool) Entries {
	var p packer
	var more []packed
	for o := range others {
		more = append(more, p.pack(o))
	}
	return Entries{merge(e.list, more, drop)}
}

// Plus returns e, in its order, and then those of others whose names are not in it.
func (e Entries) Plus(others Entries) Entries {
	known := make(map[string]struct{}, len(e.list))
	for _, p := range e.list {
		known[p.name] = struct{}{}
	}
	list := slices.Clip(e.list)
	for _, p := range others.list {
		if _, ok := known[p.name]; !ok {
			list = append(list, p)
		}
	}
	return Entries{list}
}

// merge returns what is in sorted and in more, sorted. Of two of one name, that
// in more counts; drop tells what is left out of sorted.
func merge(sorted, more []packed, drop func(name string) bool) []packed {
	slices.SortFunc(more, byName)
	merged := make([]packed, 0, len(sorted)+len(more))
	for _, p := range sorted {
		for len(more) > 0 && more[0].name < p.name {
			merged = append(merged, more[0])
			more = more[1:]
		}
		if !drop(p.name) && (len(more) == 0 || more[0].name != p.name) {
			merged = append(merged, p)
		}
	}
	return append(merged, more...)
}

func byName(a, b packed) int { return strings.Compare(a.name, b.name) }
