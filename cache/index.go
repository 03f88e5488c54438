package cache

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"ftpfs/conn"
)

// mark says that a file has, or will have, changes of a node that are not sealed.
type mark struct {
	node    *node
	missing []Range // when it was made: what is missing can only be less
	quiet   bool    // there are none as long as the file has the modification time quiet
}

// index is what the records of a journal add up to. It has no locks.
type index struct {
	nodes    map[uint64]*node
	versions map[uint64]*Sealed // pending ones, and shadows (Sealed.shadow)
	marks    map[uint64]mark    // by file
	keeps    map[uint64]keep    // clean copies, by file
	uses     uint64             // counts uses of keeps
	next     uint64             // no id from here on is used
}

func newIndex() *index {
	root := &node{id: rootID}
	return &index{
		nodes:    map[uint64]*node{rootID: root},
		versions: make(map[uint64]*Sealed),
		marks:    make(map[uint64]mark),
		keeps:    make(map[uint64]keep),
		next:     rootID + 1,
	}
}

// newID returns an id that was never used.
func (x *index) newID() uint64 {
	x.next++
	return x.next - 1
}

// lookup returns the node of a clean absolute path, nil if there is none.
func (x *index) lookup(path string) *node {
	n := x.nodes[rootID]
	for name := range components(path) {
		if n = n.children[name]; n == nil {
			return nil
		}
	}
	return n
}

// reach returns the id of the node of path and the records that make it, and
// the directories above it, as far as they are not there.
func (x *index) reach(path string) (id uint64, recs []record) {
	n := x.nodes[rootID]
	id = rootID
	for name := range components(path) {
		if n != nil {
			if n = n.children[name]; n != nil {
				id = n.id
				continue
			}
		}
		r := record{Op: "node", ID: x.newID(), Parent: id}
		r.setName(name)
		recs = append(recs, r)
		id = r.ID
	}
	return id, recs
}

// pending returns the versions that must reach the server or stay here, oldest first.
func (x *index) pending() []*Sealed {
	var out []*Sealed
	for _, v := range x.versions {
		if v.node.version == v {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b *Sealed) int { return cmp.Compare(a.id, b.id) })
	return out
}

// waiting counts the versions that must reach the server.
func (x *index) waiting() (n int) {
	for _, v := range x.pending() {
		if !v.attrs.Local {
			n++
		}
	}
	return n
}

// temps returns the paths of the temporary files that may be on the server.
func (x *index) temps() []string {
	var out []string
	for _, n := range x.nodes {
		if n.temp {
			out = append(out, n.path())
		}
	}
	slices.Sort(out)
	return out
}

// empty reports whether nothing is left to do.
func (x *index) empty() bool {
	return len(x.versions) == 0 && len(x.marks) == 0 && len(x.temps()) == 0
}

// apply changes the index as r says and returns the versions that r ends:
// nothing of them needs to be kept. An error, which leaves the index as it
// was, says that r does not fit the records before it.
func (x *index) apply(r record) (ended []*Sealed, err error) {
	for _, id := range []uint64{r.ID, r.Node, r.File, r.Parent} {
		x.next = max(x.next, id+1)
	}
	switch r.Op {
	case "node", "move", "gone", "temp", "notemp":
		return x.applyNode(r)
	case "dirty", "clean":
		return nil, x.applyMark(r)
	case "keep":
		x.applyKeep(r)
		return nil, nil
	case "drop":
		delete(x.keeps, r.File)
		return nil, nil
	case "seal":
		return x.applySeal(r)
	case "sync", "base", "try", "end":
		return x.applyVersion(r)
	}
	return nil, fmt.Errorf("journal: unknown record %q", r.Op)
}

func (x *index) applyNode(r record) (ended []*Sealed, err error) {
	n, parent := x.nodes[r.ID], x.nodes[r.Parent]
	makes := r.Op == "node"
	names := makes || r.Op == "move"
	if (n == nil) != makes || (parent == nil) == names || r.ID == rootID {
		return nil, fmt.Errorf("journal: %s of node %d in %d does not fit", r.Op, r.ID, r.Parent)
	}
	switch r.Op {
	case "node":
		n = &node{id: r.ID, parent: parent, name: r.name()}
		x.nodes[r.ID] = n
		ended = x.link(n)
	case "move":
		for p := parent; p != nil; p = p.parent {
			if p == n {
				return nil, fmt.Errorf("journal: node %d moves below itself", r.ID)
			}
		}
		from := n.parent
		delete(from.children, n.name)
		n.parent, n.name = parent, r.name()
		ended = x.link(n)
		x.prune(from)
	case "gone":
		ended = x.removeTree(n)
	case "temp":
		n.temp = true
	case "notemp":
		n.temp = false
		x.prune(n)
	}
	return ended, nil
}

// link enters n at its parent. What was there is replaced: its version is
// superseded by that of n, if n has one, and ends otherwise.
func (x *index) link(n *node) (ended []*Sealed) {
	if n.parent.children == nil {
		n.parent.children = make(map[string]*node)
	}
	t := n.parent.children[n.name]
	n.parent.children[n.name] = n
	if t == nil {
		return nil
	}
	if v := t.version; v != nil && n.version != nil {
		t.version = nil
		ended = x.supersede(v, n.version)
	}
	return append(ended, x.removeTree(t)...)
}

// maxEarlier bounds what a version remembers of those that it superseded
// (Sealed.Earlier): the server can have only one, hardly ever an old one.
const maxEarlier = 32

// supersede ends old or, as long as v is not durable and old or its shadow
// is, makes that one the shadow of v.
func (x *index) supersede(old, v *Sealed) (ended []*Sealed) {
	v.tried = v.tried || old.tried
	v.earlier = append(v.earlier, old.earlier...)
	if old.sent {
		v.earlier = append(v.earlier, conn.Version{State: conn.Present, Size: old.size, Time: old.attrs.Time.UTC(), Precision: time.Second})
	}
	v.earlier = v.earlier[max(0, len(v.earlier)-maxEarlier):]
	keep := old.shadow
	old.shadow = nil
	if old.synced {
		keep, old = old, keep
	}
	ended = x.end(old)
	if keep == nil || v.synced || v.shadow != nil {
		return append(ended, x.end(keep)...)
	}
	v.shadow, keep.node = keep, v.node
	return ended
}

// end takes v and its shadow out of the index.
func (x *index) end(v *Sealed) []*Sealed {
	if v == nil {
		return nil
	}
	delete(x.versions, v.id)
	ended := append(x.end(v.shadow), v)
	v.shadow = nil
	if v.node.version == v {
		v.node.version = nil
		x.prune(v.node)
	}
	return ended
}

// removeTree takes n and all below it out of the index.
func (x *index) removeTree(n *node) (ended []*Sealed) {
	gone := make(map[*node]bool)
	n.walk(func(n *node) {
		gone[n] = true
		n.temp = false
		ended = append(ended, x.end(n.version)...)
	})
	for file, m := range x.marks {
		if gone[m.node] {
			m.node.dirty--
			delete(x.marks, file)
		}
	}
	for g := range gone {
		delete(x.nodes, g.id)
	}
	if n.parent.children[n.name] == n {
		delete(n.parent.children, n.name)
	}
	x.prune(n.parent)
	return ended
}

// prune drops n and the directories above it as far as nothing needs them.
func (x *index) prune(n *node) {
	for n.parent != nil && !n.used() && len(n.children) == 0 {
		delete(x.nodes, n.id)
		if n.parent.children[n.name] == n {
			delete(n.parent.children, n.name)
		}
		n = n.parent
	}
}

func (x *index) applyMark(r record) error {
	if r.Op == "clean" {
		x.unmark(r.File)
		return nil
	}
	n := x.nodes[r.Node]
	if n == nil {
		return fmt.Errorf("journal: dirty mark of unknown node %d", r.Node)
	}
	n.dirty++ // before unmark, which prunes
	delete(x.keeps, r.File)
	x.unmark(r.File)
	x.unmark(r.Old)
	x.marks[r.File] = mark{n, r.Missing, r.Quiet}
	return nil
}

func (x *index) unmark(file uint64) {
	if m, ok := x.marks[file]; ok {
		delete(x.marks, file)
		m.node.dirty--
		x.prune(m.node)
	}
}

func (x *index) applySeal(r record) (ended []*Sealed, err error) {
	n := x.nodes[r.Node]
	if n == nil || x.versions[r.ID] != nil {
		return nil, fmt.Errorf("journal: version %d of node %d does not fit", r.ID, r.Node)
	}
	v := &Sealed{id: r.ID, file: r.File, node: n, size: r.Size, gen: r.Gen, lacks: r.Missing, tried: r.Tried, sent: r.Sent || r.Tried}
	for _, b := range r.Earlier {
		v.earlier = append(v.earlier, b.version())
	}
	v.attrs = Attrs{Base: r.Base.version(), Time: r.Time.time(), Tail: r.Tail, Local: r.Local}
	if r.Mode != nil {
		v.attrs.Mode, v.attrs.SetMode = fs.FileMode(*r.Mode), true
	}
	x.versions[v.id] = v
	old := n.version
	n.version = v
	x.unmark(r.File)
	delete(x.keeps, r.File)
	if old != nil {
		ended = x.supersede(old, v)
	}
	return ended, nil
}

func (x *index) applyVersion(r record) (ended []*Sealed, err error) {
	v := x.versions[r.ID]
	if v == nil || r.Op == "try" && r.Node != 0 && x.nodes[r.Node] == nil {
		return nil, fmt.Errorf("journal: %s of version %d, node %d, does not fit", r.Op, r.ID, r.Node)
	}
	switch r.Op {
	case "sync":
		v.synced, v.lacks = true, r.Missing
		ended = x.end(v.shadow)
		v.shadow = nil
	case "base":
		v.attrs.Base, v.tried, v.sent, v.earlier = r.Base.version(), false, false, nil
	case "try":
		v.sent, v.tried = true, v.tried || r.Node == 0
		if r.Node != 0 {
			x.nodes[r.Node].temp = true
		}
	case "end":
		ended = x.end(v)
		if n := x.nodes[r.Node]; n != nil {
			n.temp = false
			x.prune(n)
		}
	}
	return ended, nil
}

// records returns a journal that adds up to x, without the header.
func (x *index) records() (recs []record) {
	var walk func(n *node)
	walk = func(n *node) {
		for _, name := range slices.Sorted(maps.Keys(n.children)) {
			c := n.children[name]
			r := record{Op: "node", ID: c.id, Parent: n.id}
			r.setName(name)
			recs = append(recs, r)
			if c.temp {
				recs = append(recs, record{Op: "temp", ID: c.id})
			}
			walk(c)
		}
	}
	walk(x.nodes[rootID])
	for _, v := range x.pending() {
		if v.shadow != nil {
			recs = append(recs, v.shadow.records()...)
		}
		recs = append(recs, v.records()...)
	}
	for _, file := range slices.Sorted(maps.Keys(x.marks)) {
		m := x.marks[file]
		recs = append(recs, record{Op: "dirty", Node: m.node.id, File: file, Missing: m.missing, Quiet: m.quiet})
	}
	return append(recs, x.keepRecords()...)
}

// records returns what makes v in a journal.
func (v *Sealed) records() []record {
	r := record{Op: "seal", ID: v.id, Node: v.node.id, File: v.file, Size: v.size, Gen: v.gen,
		Missing: v.lacks, Tried: v.tried, Sent: v.sent}
	for _, e := range v.earlier {
		r.Earlier = append(r.Earlier, toBase(e))
	}
	v.attrs.record(&r)
	if !v.synced {
		return []record{r}
	}
	return []record{r, {Op: "sync", ID: v.id, Missing: v.lacks}}
}

// record puts a into r.
func (a Attrs) record(r *record) {
	r.Base, r.Time, r.Tail, r.Local = toBase(a.Base), toInstant(a.Time), a.Tail, a.Local
	if a.SetMode {
		m := uint32(a.Mode)
		r.Mode = &m
	}
}
