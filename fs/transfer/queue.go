package transfer

import (
	"sync"
)

// queue holds the files whose upload no program waits for, in the order in
// which they came. As many of them are uploaded at a time as the pool lets
// transfers have sessions; an upload that a program waits for is not held up
// by them.
type queue struct {
	mu      sync.Mutex // a leaf
	files   []*File    // oldest first; guarded by mu
	running int        // uploads that were started from here; guarded by mu
}

func (q *queue) add(f *File) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.files = append(q.files, f)
}

// next takes the oldest file and a place among the limit that run; nil if
// there is none.
func (q *queue) next(limit int) *File {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.files) == 0 || q.running >= limit {
		return nil
	}
	f := q.files[0]
	q.files[0] = nil
	q.files = q.files[1:]
	q.running++
	return f
}

// done gives a place back.
func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
}

// queueLocked has f uploaded when its turn has come, unless it is being
// uploaded or waits already.
func (f *File) queueLocked() {
	if f.job != nil || f.queued {
		return
	}
	f.queued = f.m.spawn(func() {
		f.m.queue.add(f)
		f.m.startQueued()
	})
}

// startQueued starts as many uploads from the queue as there is room for. A
// file that has been uploaded for a program meanwhile is passed over.
func (m *Manager) startQueued() {
	for {
		f := m.queue.next(max(1, m.pool.Status().Limit-1)) // one session is kept for metadata
		if f == nil {
			return
		}
		f.mu.Lock()
		f.queued = false
		queued := f.pendingLocked() && f.job == nil
		if queued {
			f.startLocked().queued = true
		}
		f.mu.Unlock()
		if !queued {
			m.queue.done()
		}
	}
}
