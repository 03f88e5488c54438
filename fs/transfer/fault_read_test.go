package transfer_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// cutReads reads a file of size bytes, whose transfer is cut after n of them,
// for each n.
func cutReads(t *testing.T, size int, cuts []int) {
	t.Helper()
	virtual(t, func(t *testing.T, r *rig) {
		want := random(size)
		r.put("f", want)
		for _, n := range cuts {
			undo := r.srv.Fault(ftptest.CutData("RETR", n).Once())
			r.reads("/f", want)
			r.store.Forget("/f")
			undo()
			if t.Failed() {
				t.Fatalf("cut after %d bytes", n)
			}
		}
	})
}

func TestCutAtEveryByte(t *testing.T) {
	var cuts []int
	for n := range 4096 {
		cuts = append(cuts, n)
	}
	cutReads(t, 4096, cuts)
}

func TestCutAroundEveryBlock(t *testing.T) {
	const size, block = 1 << 20, 64 << 10
	var cuts []int
	for at := block; at < size; at += block {
		cuts = append(cuts, at-1, at, at+1)
	}
	cutReads(t, size, cuts)
}

func TestCutAnywhere(t *testing.T) {
	const size = 2<<20 + 7
	rng := rand.New(rand.NewPCG(7, 7))
	var cuts []int
	for range 200 {
		cuts = append(cuts, rng.IntN(size))
	}
	cutReads(t, size, cuts)
}

// What the server says in the middle of a transfer is an error to who reads
// on, or the rest comes by another: never a short file.
func TestRepliesInTheMiddleOfADownload(t *testing.T) {
	for code, fails := range map[int]bool{426: false, 421: false, 451: true, 550: true} {
		for _, at := range []int{0, 1, 100 << 10, 1<<20 + 1} {
			t.Run(fmt.Sprint(code, " after ", at), func(t *testing.T) {
				virtual(t, func(t *testing.T, r *rig) {
					want := random(2 << 20)
					r.put("f", want)
					defer r.srv.Fault(ftptest.CutData("RETR", at).Once())()
					defer r.srv.Fault(ftptest.ReplaceReply("RETR", 426, code, "that was it").Once())()
					h := r.open("/f", transfer.How{})
					defer h.Release()
					got, err := readAll(t.Context(), h, 64<<10)
					switch {
					case err == nil && !bytes.Equal(got, want):
						t.Errorf("%d bytes of %d without an error", len(got), len(want))
					case !bytes.HasPrefix(want, got):
						t.Error("wrong bytes")
					case err != nil && !fails:
						t.Error(err)
					}
				})
			})
		}
	}
}

// A file that has grown since it was listed is another version, not a longer
// or a cut one.
func TestMoreBytesThanTheSize(t *testing.T) {
	r := newRig(t)
	r.put("f", random(20))
	at := r.stat("f").ModTime().UTC().Format("20060102150405")
	defer r.srv.Fault(ftptest.Listing("type=file;size=10;modify=" + at + "; f\r\n"))()
	h := r.open("/f", transfer.How{})
	defer h.Release()
	got, err := readAll(t.Context(), h, 100)
	for deadline := time.Now().Add(10 * time.Second); err == nil && time.Now().Before(deadline); {
		_, err = h.ReadAt(t.Context(), make([]byte, 10), 0)
	}
	if !errors.Is(err, conn.ErrConflict) {
		t.Errorf("%d bytes, %v; want ErrConflict", len(got), err)
	}
}

// reader is a rig with a file and its content.
type reader struct {
	*rig
	want    []byte
	handles []*transfer.Handle
	undo    func() // of the cut that is armed
}

// Whatever is read, forgotten, cut and read again is what the server has.
func TestReadsModel(t *testing.T) {
	r := newRig(t)
	d := &reader{rig: r, want: random(5<<20 + 11), undo: func() {}}
	r.put("f", d.want)
	rapid.Check(t, func(t *rapid.T) {
		t.Repeat(map[string]func(*rapid.T){
			"read":  d.read,
			"again": d.read,
			"row":   d.row,
			"open": func(t *rapid.T) {
				if len(d.handles) < 3 {
					d.handles = append(d.handles, r.open("/f", transfer.How{}))
				}
			},
			"close": func(t *rapid.T) {
				if n := len(d.handles); n > 0 {
					d.handles[n-1].Release()
					d.handles = d.handles[:n-1]
				}
			},
			"evict":  func(t *rapid.T) { r.store.Evict() },
			"forget": func(t *rapid.T) { r.store.Forget("/f") },
			"cut": func(t *rapid.T) {
				d.undo()
				d.undo = r.srv.Fault(ftptest.CutData("RETR", rapid.IntRange(0, 1<<20).Draw(t, "bytes")).Once())
			},
			"drop": func(t *rapid.T) { r.srv.DropSessions() },
		})
		for _, h := range d.handles {
			h.Release()
		}
		d.handles = nil
	})
	d.undo()
}

func (d *reader) handle(t *rapid.T) *transfer.Handle {
	if len(d.handles) == 0 {
		return nil
	}
	return d.handles[rapid.IntRange(0, len(d.handles)-1).Draw(t, "handle")]
}

func (d *reader) check(t *rapid.T, h *transfer.Handle, off, n int) {
	buf := make([]byte, n)
	got, err := h.ReadAt(d.Context(), buf, int64(off))
	want := d.want[min(off, len(d.want)):min(off+n, len(d.want))]
	if err != nil || !bytes.Equal(buf[:got], want) {
		t.Fatalf("%d bytes at %d: %d bytes, right: %v, %v", n, off, got, bytes.Equal(buf[:got], want), err)
	}
}

func (d *reader) read(t *rapid.T) {
	if h := d.handle(t); h != nil {
		d.check(t, h, rapid.IntRange(0, len(d.want)+10).Draw(t, "off"), rapid.SampledFrom([]int{1, 4096, 100_000, 1 << 20}).Draw(t, "n"))
	}
}

func (d *reader) row(t *rapid.T) {
	if h := d.handle(t); h != nil {
		off, n := rapid.IntRange(0, len(d.want)).Draw(t, "off"), rapid.SampledFrom([]int{4096, 128 << 10, 1 << 20}).Draw(t, "n")
		for range rapid.IntRange(2, 8).Draw(t, "reads") {
			d.check(t, h, off, n)
			off += n
		}
	}
}
