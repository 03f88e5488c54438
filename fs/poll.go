package fs

import (
	"context"
	"sync"
	"time"
)

// maxPolled is how many directories are polled.
const maxPolled = 16

// watch counts who uses which directories: has them open, or files in them.
type watch struct {
	mu   sync.Mutex
	uses map[*node]int // guarded by mu
}

func (w *watch) begin(n *node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.uses == nil {
		w.uses = make(map[*node]int)
	}
	w.uses[n]++
}

func (w *watch) end(n *node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.uses[n]--; w.uses[n] <= 0 {
		delete(w.uses, n)
	}
}

// some returns up to maxPolled directories that are in use.
func (w *watch) some() (nodes []*node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range w.uses {
		if len(nodes) < maxPolled {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// poll lists the directories in use again and again until ctx ends, so that
// programs see soon what others change in them: the notifier tells the kernel.
func (m *Mount) poll(ctx context.Context) {
	tick := time.NewTicker(m.o.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, n := range m.watch.some() {
			if n.isGone() {
				continue
			}
			if err := m.tree.Poll(ctx, n.path()); err != nil {
				m.log.Debug("a directory could not be polled", "error", err)
			}
		}
	}
}

// directory returns the directory of a file.
func (n *node) directory() *node {
	n.m.names.RLock()
	defer n.m.names.RUnlock()
	return n.parent
}
