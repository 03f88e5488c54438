package tree

import (
	"maps"
	"path"

	"ftpfs/cache"
	"ftpfs/conn"
)

// Show lays e over the listing until Hide: it is a file of ours whose last
// version has not reached the server.
func (t *Tree) Show(p string, e conn.Entry) {
	dir, name := path.Dir(p), path.Base(p)
	e.Name = name
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shown[dir] == nil {
		t.shown[dir] = make(map[string]conn.Entry)
	}
	t.shown[dir][name] = e
}

// Hide ends Show: the server's listing counts again.
func (t *Tree) Hide(p string) {
	dir, name := path.Dir(p), path.Base(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.shown[dir], name)
	if len(t.shown[dir]) == 0 {
		delete(t.shown, dir)
	}
}

// MoveShown makes what Show laid at from lie at to, if there is such a thing.
func (t *Tree) MoveShown(from, to string) {
	if e, ok := t.shownAt(from); ok {
		t.Hide(from)
		t.Show(to, e)
	}
}

func (t *Tree) shownAt(p string) (conn.Entry, bool) { return t.shownOf(path.Dir(p), path.Base(p)) }

// shownOf is shownAt of name in dir.
func (t *Tree) shownOf(dir, name string) (conn.Entry, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.shown[dir][name]
	return e, ok
}

// isAboveShown tells whether something is shown below p.
func (t *Tree) isAboveShown(p string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for dir := range t.shown {
		if _, below := moved(dir, p, ""); below {
			return true
		}
	}
	return false
}

// shownIn returns a copy of what is shown in dir.
func (t *Tree) shownIn(dir string) map[string]conn.Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.shown[dir]) == 0 {
		return map[string]conn.Entry{}
	}
	return maps.Clone(t.shown[dir])
}

// overlaid returns entries, sorted, with what is shown of dir laid over them.
// Names that were shown before are added if they are missing. any tells whether
// there are such.
func (t *Tree) overlaid(dir string, entries cache.Entries, before map[string]conn.Entry) (all cache.Entries, any bool) {
	shown := t.shownIn(dir)
	for name, e := range before {
		_, now := shown[name]
		if _, listed := entries.Find(name); !now && !listed {
			shown[name] = e
		}
	}
	if len(shown) == 0 && !entries.Contain(IsTemporary) {
		return entries, false
	}
	return entries.With(maps.Values(shown), IsTemporary), len(shown) > 0
}
