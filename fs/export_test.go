package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// Raw is what the kernel asks.
func (m *Mount) Raw() fuse.RawFileSystem { return m.backings }

// HoldNode locks the node of a name in the root until release is called.
func (m *Mount) HoldNode(name string) (release func()) {
	n := m.root.GetChild(name).Operations().(*node)
	n.mu.Lock()
	return n.mu.Unlock
}
