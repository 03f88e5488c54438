package cache

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// rootID is the node of the server's root directory.
const rootID = 1

// node is a name on the server that the journal has something about, or a
// directory above one. A node that was removed keeps its last parent and name.
type node struct {
	id       uint64
	parent   *node // nil for the root
	name     string
	children map[string]*node
	version  *Sealed // what must reach the server, nil: nothing
	temp     bool    // a temporary file of ours, perhaps
	dirty    int     // dirty marks
}

func (n *node) path() string {
	if n.parent == nil {
		return "/"
	}
	var names []string
	for ; n.parent != nil; n = n.parent {
		names = append(names, n.name)
	}
	slices.Reverse(names)
	return "/" + strings.Join(names, "/")
}

// used reports whether n is worth keeping by itself.
func (n *node) used() bool { return n.version != nil || n.temp || n.dirty > 0 || n.parent == nil }

// walk calls fn for n and all below it, children first.
func (n *node) walk(fn func(*node)) {
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		n.children[name].walk(fn)
	}
	fn(n)
}

// components yields the names in a clean absolute path.
func components(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range strings.SplitSeq(path, "/") {
			if name != "" && !yield(name) {
				return
			}
		}
	}
}

// isUnder reports whether the clean absolute path p is dir or below it.
func isUnder(p, dir string) bool {
	if dir == "/" || p == dir {
		return true
	}
	return strings.HasPrefix(p, dir) && p[len(dir)] == '/'
}
