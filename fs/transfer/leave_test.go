package transfer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// A program that is killed in a read of a stalled server is heard of only by
// the close of its descriptor: the read ends then, and the session is free.
func TestReadOfAFileThatIsClosedEnds(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("f", random(1<<20))
		defer r.srv.Fault(ftptest.StallData("RETR", 0))()
		h := r.open("/f", transfer.How{})
		read := begin(func() error {
			_, err := h.ReadAt(context.WithoutCancel(t.Context()), make([]byte, 4096), 0)
			return err
		})
		settle()
		began := time.Now()
		r.flush(h)
		if err := <-read; !errors.Is(err, context.Canceled) || time.Since(began) > 1500*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		h.Release()
		time.Sleep(3 * time.Second)
		if s := r.pool.Status(); s.Busy != 0 {
			t.Errorf("%d sessions are busy", s.Busy)
		}
	})
}

// The same with somebody else who has the file open: the read goes on.
func TestReadOfAFileThatAnotherClosesGoesOn(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		want := random(1 << 20)
		r.put("f", want)
		undo := r.srv.Fault(ftptest.StallData("RETR", 0).Once())
		h, other := r.open("/f", transfer.How{}), r.open("/f", transfer.How{})
		read := begin(func() error { _, err := h.ReadAt(t.Context(), make([]byte, 4096), 0); return err })
		settle()
		r.flush(other)
		other.Release()
		time.Sleep(1200 * time.Millisecond)
		undo()
		if err := <-read; err != nil {
			t.Error(err)
		}
		r.flush(h) // a child that has inherited the descriptor closes it
		r.handleReads(h, want)
		h.Release()
	})
}
