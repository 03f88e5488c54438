package transfer_test

import (
	"testing"
	"time"

	"ftpfs/fs/transfer"
)

const far = 80 << 20 // behind what a stream runs ahead of its readers

// pausedStream opens a big file and reads its first bytes: the stream behind
// it soon waits for its readers.
func pausedStream(r *rig) *transfer.Handle {
	r.Helper()
	r.zeros("big", far)
	h := r.open("/big", transfer.How{})
	if n, err := h.ReadAt(r.Context(), make([]byte, 4096), 0); n != 4096 || err != nil {
		r.Fatal(n, err)
	}
	settle()
	return h
}

// within fails if fn takes longer.
func (r *rig) within(d time.Duration, what string, fn func()) {
	r.Helper()
	start := time.Now()
	fn()
	if took := time.Since(start); took > d {
		r.Errorf("%s took %v, want at most %v", what, took, d)
	}
}

// With two sessions, one of which is for metadata, an upload needs that of a
// stream that nobody waits for.
func TestUploadTakesOverAPausedStream(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.unmount()
		r.mount(2)
		h := pausedStream(r)
		defer h.Release()
		r.within(2*time.Second, "an upload beside a paused stream", func() { r.save("/small", []byte("x")) })
		r.has("small", []byte("x"))
	})
}

func TestDownloadTakesOverAPausedStream(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.unmount()
		r.mount(2)
		want := random(1000)
		r.put("small", want)
		h := pausedStream(r)
		defer h.Release()
		r.within(2*time.Second, "a download beside a paused stream", func() { r.reads("/small", want) })
	})
}

// A player reads slowly, but always finds what it wants in the copy.
func TestUploadTakesOverTheStreamOfASlowReader(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.unmount()
		r.mount(2)
		h := pausedStream(r)
		stop := make(chan struct{})
		ended := begin(func() error {
			buf := make([]byte, 64<<10)
			for off := int64(0); ; off += int64(len(buf)) {
				select {
				case <-stop:
					return nil
				case <-time.After(100 * time.Millisecond):
				}
				if _, err := h.ReadAt(t.Context(), buf, off); err != nil {
					return err
				}
			}
		})
		settle()
		r.within(3*time.Second, "an upload beside a slow reader", func() { r.save("/small", []byte("x")) })
		close(stop)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		h.Release()
	})
}

func TestCloseDoesNotWaitForAPausedStream(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		pausedStream(r)
		r.within(time.Second, "Close", r.unmount)
	})
}
