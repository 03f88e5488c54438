package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

func TestReadCostsOneRetrAndTheSecondTimeNone(t *testing.T) {
	r := newRig(t)
	want := random(300 << 10)
	r.put("d/f", want)
	r.reads("/d/f", want)
	r.reads("/d/f", want)
	if n := r.srv.Count("RETR"); n != 1 {
		t.Errorf("%d RETR, want 1", n)
	}
}

func TestEveryFileSizeAroundAChunkReadsRight(t *testing.T) {
	r := newRig(t)
	const chunk = 128 << 10
	for _, size := range []int{0, 1, 4095, chunk - 1, chunk, chunk + 1, 2*chunk - 1, 2 * chunk, 2*chunk + 1} {
		want := random(size)
		r.put("f", want)
		r.reads("/f", want)
	}
}

func TestReadAtAnOffsetSkipsWhatIsBefore(t *testing.T) {
	r := newRig(t)
	want := random(40 << 20)
	r.put("big", want)
	h := r.open("/big", transfer.How{})
	defer h.Release()
	buf := make([]byte, 4096)
	for _, off := range []int64{int64(len(want)) - 4096, 20 << 20, 0} {
		n, err := h.ReadAt(t.Context(), buf, off)
		if err != nil || !bytes.Equal(buf[:n], want[off:off+int64(n)]) || n != len(buf) {
			t.Errorf("at %d: %d bytes, %v", off, n, err)
		}
	}
	if n := r.srv.Count("REST"); n < 2 {
		t.Errorf("%d REST, want one for each jump", n)
	}
}

// A transfer that is cut anywhere is resumed, and the bytes are right.
func TestCutDownloadsAreResumed(t *testing.T) {
	r := newRig(t)
	want := random(600 << 10)
	rng := rand.New(rand.NewPCG(1, 2))
	for i, at := range []int{0, 1, 4096, 128<<10 - 1, 128 << 10, 128<<10 + 1, rng.IntN(len(want)), rng.IntN(len(want)), len(want) - 1} {
		for _, f := range []ftptest.Fault{ftptest.CutData("RETR", at), ftptest.CutData("RETR", at).ByReset()} {
			r.put("f", append(want, byte(i)))
			undo := r.srv.Fault(f.Once())
			r.reads("/f", append(want, byte(i)))
			undo()
		}
	}
}

// A server that says 226 to a download that it cut short, and does so again,
// gives an error and no short file. It is not told as another version.
func TestShortDownloadIsNeverTakenForWhole(t *testing.T) {
	r := newRig(t)
	r.put("f", random(100<<10))
	defer r.srv.Fault(ftptest.CutData("RETR", 0))()
	defer r.srv.Fault(ftptest.ReplaceReply("RETR", 426, 226, "Transfer complete"))()
	h := r.open("/f", transfer.How{})
	defer h.Release()
	if got, err := readAll(t.Context(), h, 1<<20); !errors.Is(err, conn.ErrProtocol) {
		t.Errorf("read %d of %d bytes, %v; want ErrProtocol", len(got), 100<<10, err)
	}
}

// A server that dies between the last byte and its 226 does not take the bytes
// from who reads them; they are not kept for the next.
func TestLostEndOfADownloadIsNoChange(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		want := random(300 << 10)
		r.put("f", want)
		defer r.srv.Fault(ftptest.DropAfter("RETR").Once())()
		h := r.open("/f", transfer.How{})
		back := r.srv.Fault(ftptest.Refuse(ftptest.Greeting, 421, "Service not available"))
		look := r.srv.Fault(ftptest.DropBefore("SIZE")) // on other sessions
		r.handleReads(h, want)
		time.Sleep(time.Minute) // longer than anybody tries to reach the server
		r.handleReads(h, want)
		back()
		look()
		r.handleReads(h, want)
		h.Release()
		r.srv.ResetLog()
		r.reads("/f", want)
		if n := r.srv.Count("RETR"); n != 1 {
			t.Errorf("%d RETR of a file whose end was not confirmed, want 1", n)
		}
	})
}

// One that is back at once has the version still: that is as good as its 226.
func TestLostEndOfADownloadIsMadeGood(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		want := random(300 << 10)
		r.put("f", want)
		defer r.srv.Fault(ftptest.DropAfter("RETR").Once())()
		h := r.open("/f", transfer.How{})
		r.handleReads(h, want)
		settle()
		h.Release()
		r.reads("/f", want)
		if n := r.srv.Count("RETR"); n != 1 {
			t.Errorf("%d RETR, want 1", n)
		}
	})
}

// A server that has sent all bytes and then says that something went wrong has
// sent nothing that can be relied on.
func TestRefusedEndOfADownloadIsAnErrorToWhoReadsOn(t *testing.T) {
	r := newRig(t)
	r.put("f", random(300<<10))
	defer r.srv.Fault(ftptest.ReplaceReply("RETR", 226, 451, "Failure reading local file").Once())()
	h := r.open("/f", transfer.How{})
	defer h.Release()
	_, err := readAll(t.Context(), h, 64<<10)
	for deadline := time.Now().Add(10 * time.Second); err == nil && time.Now().Before(deadline); { // the bytes are there before the reply
		_, err = h.ReadAt(t.Context(), make([]byte, 10), 0)
	}
	if err == nil || errors.Is(err, conn.ErrConflict) {
		t.Errorf("got %v, want an error that is not one of another version", err)
	}
	r.reads("/f", random(300<<10))
}

func TestFileThatChangedWhileItWasReadIsNotMixed(t *testing.T) {
	r := newRig(t)
	want := random(1 << 20)
	r.put("f", want)
	h := r.open("/f", transfer.How{})
	defer h.Release()
	undo := r.srv.Fault(ftptest.StallData("RETR", 300<<10).Once())
	defer undo()
	if _, err := h.ReadAt(t.Context(), make([]byte, 4096), 0); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(100*time.Millisecond, r.srv.DropSessions).Stop()
	if err := os.WriteFile(filepath.Join(r.srv.Root, "f"), random(1<<20+7), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := readAll(t.Context(), h, 64<<10)
	if !errors.Is(err, conn.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
}

// With one session, ls is answered although a big file is half read.
func TestPausedReadYieldsItsSession(t *testing.T) {
	r := newRig(t)
	r.unmount()
	r.mount(1)
	want := random(80 << 20)
	r.put("big", want)
	r.put("d/f", []byte("x"))
	h := r.open("/big", transfer.How{})
	defer h.Release()
	if _, err := h.ReadAt(t.Context(), make([]byte, 4096), 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := r.tree.List(ctx, "/d"); err != nil {
		t.Errorf("list beside a paused read: %v", err)
	}
	r.handleReads(h, want)
}

func TestReadOfAServerThatStallsEnds(t *testing.T) {
	r := newRig(t)
	r.put("f", random(1<<20))
	defer r.srv.Fault(ftptest.StallData("RETR", 0))()
	h := r.open("/f", transfer.How{})
	defer h.Release()
	// The caller's signal ends the wait.
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := h.ReadAt(ctx, make([]byte, 4096), 900<<10); !errors.Is(err, context.Canceled) {
		t.Errorf("after a signal: %v", err)
	}
	// And without a signal the deadline (2 s here) does.
	start := time.Now()
	if _, err := h.ReadAt(t.Context(), make([]byte, 4096), 500<<10); !errors.Is(err, conn.ErrTimeout) {
		t.Errorf("after the deadline: %v", err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestOpenErrors(t *testing.T) {
	r := newRig(t)
	r.put("d/f", nil)
	for p, want := range map[string]error{"/absent": fs.ErrNotExist, "/d": conn.ErrIsDir, "/d/f/x": conn.ErrNotDir} {
		if _, err := r.m.Open(t.Context(), p, transfer.How{}); !errors.Is(err, want) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want %v", p, err, want)
		}
	}
}

// Two readers of one range make one transfer.
func TestReadersShareATransfer(t *testing.T) {
	r := newRig(t)
	want := random(2 << 20)
	r.put("f", want)
	errs := make(chan error)
	for range 4 {
		go func() {
			h, err := r.m.Open(t.Context(), "/f", transfer.How{})
			if err != nil {
				errs <- err
				return
			}
			defer h.Release()
			got, err := readAll(t.Context(), h, 100<<10)
			if err == nil && !bytes.Equal(got, want) {
				err = fmt.Errorf("%d wrong bytes", len(got))
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := r.srv.Count("RETR"); n != 1 {
		t.Errorf("%d RETR, want 1", n)
	}
}
