package transfer_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

const (
	big  = 96 << 20 // bytes of /big: more than a stream runs ahead
	tail = 4096     // at the end of a file: what tells its versions apart
)

// version puts a version of the big file on the server, zeros but for its
// tail, as a program does that writes a new file and renames it: a transfer
// under way goes on with the old one.
func (r *rig) version(tailByte byte) {
	r.Helper()
	r.zeros("big.new", big)
	p := filepath.Join(r.srv.Root, "big")
	f, err := os.OpenFile(p+".new", os.O_WRONLY, 0)
	if err != nil {
		r.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{tailByte}, tail), big-tail); err != nil {
		r.Fatal(err)
	}
	at := time.Now().Add(-time.Hour + time.Duration(r.puts)*time.Second)
	if err := errors.Join(os.Chtimes(p+".new", at, at), os.Rename(p+".new", p)); err != nil {
		r.Fatal(err)
	}
}

// A reader that has begun with one version of a file gets no bytes of another.
func TestHandleReadsOneVersion(t *testing.T) {
	for name, between := range map[string]func(r *rig, h *transfer.Handle){
		"jumps at once":                func(*rig, *transfer.Handle) {},
		"jumps after a while":          func(*rig, *transfer.Handle) { time.Sleep(2 * time.Second) },
		"jumps from a running stream":  readOn,
		"jumps after another has read": func(r *rig, _ *transfer.Handle) { time.Sleep(2 * time.Second); r.tailReads('2') },
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.version('1')
				h := r.open("/big", transfer.How{})
				defer h.Release()
				if n, err := h.ReadAt(t.Context(), make([]byte, tail), 0); n != tail || err != nil {
					t.Fatal(n, err)
				}
				r.version('2')
				between(r, h)
				got := make([]byte, tail)
				n, err := h.ReadAt(t.Context(), got, big-tail)
				if !errors.Is(err, conn.ErrConflict) && (err != nil || n != tail || got[0] != '1') {
					t.Errorf("%d bytes, %q…, %v: want those of the version that was opened, or ErrConflict", n, got[:1], err)
				}
			})
		})
	}
}

// readOn reads so that the stream behind the reader goes on all the time.
func readOn(r *rig, h *transfer.Handle) {
	r.Helper()
	for off := int64(tail); off < 40<<20; off += 1 << 20 {
		if _, err := h.ReadAt(r.Context(), make([]byte, tail), off); err != nil {
			r.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// tailReads opens the big file and fails unless its last byte is want.
func (r *rig) tailReads(want byte) {
	r.Helper()
	h := r.open("/big", transfer.How{})
	defer h.Release()
	got := make([]byte, 1)
	if n, err := h.ReadAt(r.Context(), got, big-1); n != 1 || err != nil || got[0] != want {
		r.Errorf("%d bytes, %q, %v; want %q", n, got, err, want)
	}
}

// Where LIST tells minutes, a file that is changed twice in one, with the same
// size, is told apart by its MDTM.
func TestChangeWithinAMinuteIsSeen(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.unmount()
		r.srv.Fault(ftptest.NoMLSD())
		r.mount(8)
		for _, content := range []string{"version 1", "version 2"} {
			r.theirs("f", []byte(content))
			at := time.Now().Truncate(time.Second)
			if err := os.Chtimes(filepath.Join(r.srv.Root, "f"), at, at); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			r.reads("/f", []byte(content))
		}
	})
}
