package transfer

import (
	"context"
	"fmt"
	"time"
)

// leaveGrace is what a reader that may be gone gets for bytes to come.
const leaveGrace = time.Second

// errLeft ends the wait of a reader that is taken for gone.
var errLeft = fmt.Errorf("the file was closed: %w", context.Canceled)

// leaveLocked notes that a descriptor of the handle was closed. The kernel
// never tells that the program which waits in a buffered read has died: all
// that comes is the close(2) of its descriptors. When all handles of the file
// are being closed and the bytes do not come, who waits for them is taken for
// gone. If another program shares the descriptor and is still waiting, it asks again.
func (h *Handle) leaveLocked() {
	f := h.f
	if !h.leaving {
		h.leaving = true
		f.leaving++
	}
	if f.leaving < f.open || f.dirty || !f.awaitedLocked() {
		return
	}
	before := f.arrivedLocked()
	time.AfterFunc(leaveGrace, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.leaving < f.open || f.dirty || f.arrivedLocked() != before {
			return
		}
		close(f.left)
		f.left = make(chan struct{})
		for _, s := range f.streams {
			s.stopLocked()
		}
	})
}

// stayLocked notes that the handle is still being read, or counts no more.
func (h *Handle) stayLocked() {
	if h.leaving {
		h.leaving = false
		h.f.leaving--
	}
}

// awaitedLocked tells whether somebody waits for bytes.
func (f *File) awaitedLocked() bool {
	for _, s := range f.streams {
		if s.waits > 0 {
			return true
		}
	}
	return false
}

// arrivedLocked tells how far the streams are.
func (f *File) arrivedLocked() (n int64) {
	for _, s := range f.streams {
		n += s.pos
	}
	return n
}
