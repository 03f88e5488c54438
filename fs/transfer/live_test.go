package transfer_test

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

const liveSize = 6<<20 + 7 // enough to be sent while it is written

// writeOn writes want from off on in pieces.
func (r *rig) writeOn(h *transfer.Handle, want []byte, off int) {
	r.Helper()
	for at := off; at < len(want); at += 1 << 20 {
		r.write(h, int64(at), want[at:min(len(want), at+1<<20)])
	}
}

// virtualLive runs test with a file that is being written and of which 5 MiB
// are on the server.
func virtualLive(t *testing.T, test func(t *testing.T, r *rig, h *transfer.Handle, want []byte)) {
	t.Helper()
	for name, old := range map[string][]byte{"new": nil, "replaced": []byte("old content")} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.save("/first", nil)
				r.put("replaced", []byte("x"))
				h := r.open("/replaced", transfer.How{Write: true, Truncate: true})
				r.write(h, 0, []byte("it is known by now whose files are ours"))
				r.flush(h)
				h.Release()
				if old != nil {
					r.put("f", old)
				}
				r.srv.ResetLog()
				want := random(liveSize)
				h = r.create("/f")
				r.writeOn(h, want[:5<<20], 0)
				settle()
				if n := r.srv.Count("STOR"); n != 1 {
					t.Errorf("%d STOR before the close, want 1", n)
				}
				test(t, r, h, want)
			})
		})
	}
}

// A file that is written in order is sent meanwhile: close has to wait for
// the rest only.
func TestLiveUpload(t *testing.T) {
	virtualLive(t, func(t *testing.T, r *rig, h *transfer.Handle, want []byte) {
		r.writeOn(h, want, 5<<20)
		r.flush(h)
		h.Release()
		r.has("f", want)
		r.drain()
		if n := r.srv.Count("STOR"); n != 1 {
			t.Errorf("%d STOR", n)
		}
		r.names("", "f", "first", "replaced")
		r.reads("/f", want)
		if n := r.srv.Count("RETR"); n != 0 {
			t.Errorf("%d RETR", n)
		}
	})
}

// Whatever else happens to the file, it is whole on the server after close.
func TestLiveUploadIsGivenUp(t *testing.T) {
	for name, spoil := range map[string]func(r *rig, h *transfer.Handle, want []byte){
		"seek back": func(r *rig, h *transfer.Handle, want []byte) {
			r.write(h, 100, []byte("other"))
			copy(want[100:], "other")
		},
		"truncate": func(r *rig, h *transfer.Handle, want []byte) {
			if err := h.Truncate(1000); err != nil {
				r.Error(err)
			}
			r.writeOn(h, want[:5<<20], 1000)
		},
		"pause": func(*rig, *transfer.Handle, []byte) { time.Sleep(10 * time.Second) },
		"cut":   func(r *rig, _ *transfer.Handle, _ []byte) { r.srv.DropSessions(); settle() },
		"rename": func(r *rig, _ *transfer.Handle, _ []byte) {
			for _, names := range [][2]string{{"/f", "/g"}, {"/g", "/f"}} {
				if err := r.m.Rename(r.Context(), names[0], names[1], false, nil, nil); err != nil && !errors.Is(err, fs.ErrNotExist) {
					r.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			virtualLive(t, func(t *testing.T, r *rig, h *transfer.Handle, want []byte) {
				spoil(r, h, want)
				r.writeOn(h, want, 5<<20)
				r.flush(h)
				h.Release()
				r.drain()
				r.has("f", want)
				r.names("", "f", "first", "replaced")
				if temps := r.store.Temps(); len(temps) > 0 {
					t.Errorf("the journal keeps %q", temps)
				}
			})
		})
	}
}

// A file that is unlinked while it is sent leaves nothing.
func TestLiveUploadOfAnUnlinkedFile(t *testing.T) {
	virtualLive(t, func(t *testing.T, r *rig, h *transfer.Handle, want []byte) {
		if err := r.m.Remove(t.Context(), "/f", nil); err != nil {
			t.Error(err)
		}
		r.writeOn(h, want, 5<<20)
		r.flush(h)
		r.handleReads(h, want)
		h.Release()
		r.drain()
		r.names("", "first", "replaced")
	})
}

// Somebody else's change meanwhile is not overwritten.
func TestLiveUploadOverwritesNobody(t *testing.T) {
	virtualLive(t, func(t *testing.T, r *rig, h *transfer.Handle, want []byte) {
		r.theirs("f", []byte("THEIRS"))
		r.writeOn(h, want, 5<<20)
		r.flush(h)
		h.Release()
		r.drain()
		r.hasBoth("f", []byte("THEIRS"), want)
	})
}

// With one session, a file that somebody is slow to write does not keep others
// from it.
func TestLiveUploadYieldsItsSession(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.remount(1, transfer.Options{})
		r.save("/first", nil)
		r.put("other", []byte("x"))
		want := random(liveSize)
		h := r.create("/f")
		r.writeOn(h, want[:5<<20], 0)
		settle()
		start := time.Now()
		r.reads("/other", []byte("x"))
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("another read took %v", took)
		}
		r.writeOn(h, want, 5<<20)
		r.flush(h)
		h.Release()
		r.drain()
		r.has("f", want)
		r.names("", "f", "first", "other")
	})
}

// A mount that ends while a file is being written leaves its temporary name
// to the next, and nothing under the file's own.
func TestLiveUploadOfAMountThatEnds(t *testing.T) {
	virtualLive(t, func(t *testing.T, r *rig, _ *transfer.Handle, want []byte) {
		before := []byte("old content")
		if t.Name()[len(t.Name())-3:] == "new" {
			before = nil
		}
		r.unmount()
		r.has("f", before)
		r.mount(8)
		settle()
		r.drain()
		r.has("f", before)
		r.unmount()
		recovered(t, r, "/f", want[:5<<20])
	})
}

// While the close waits for the rest somebody writes on: that is another
// version.
func TestLiveUploadOfAFileThatIsWrittenOn(t *testing.T) {
	virtualLive(t, func(t *testing.T, r *rig, h *transfer.Handle, want []byte) {
		next := r.open("/f", transfer.How{Write: true})
		undo := r.srv.Fault(ftptest.DelayReply("STOR", 226, time.Second))
		r.writeOn(h, want, 5<<20)
		closed := begin(func() error { return h.Flush(t.Context()) })
		settle()
		r.write(next, 10, []byte("later"))
		if err := <-closed; err != nil {
			t.Error(err)
		}
		undo()
		r.has("f", want)
		r.flush(next)
		copy(want[10:], "later")
		r.has("f", want)
		next.Release()
		h.Release()
	})
}
