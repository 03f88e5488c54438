package transfer_test

import (
	"errors"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// copies has the server copy /src to the file of h.
func (r *rig) copies(h *transfer.Handle, src string, size int) error {
	r.Helper()
	in := r.open(src, transfer.How{})
	defer in.Release()
	return h.CopyFrom(r.Context(), in, int64(size))
}

// A whole file is copied by the server, and its bytes stay there.
func TestServerCopies(t *testing.T) {
	want := random(1 << 20)
	for what, create := range map[string]func(r *rig) *transfer.Handle{
		"the first file of the directory": func(r *rig) *transfer.Handle { return r.create("/new") },
		"a later one": func(r *rig) *transfer.Handle {
			r.save("/first", nil)
			return r.create("/new")
		},
		"one that was emptied": func(r *rig) *transfer.Handle {
			r.save("/new", []byte("old"))
			return r.open("/new", transfer.How{Write: true, Truncate: true})
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			r.put("src", want)
			h := create(r)
			r.drain()
			r.srv.ResetLog()
			if err := r.copies(h, "/src", len(want)); err != nil {
				t.Fatal(err)
			}
			r.flush(h)
			if a := h.Attr(); a.Size != int64(len(want)) {
				t.Errorf("the handle sees %+v", a)
			}
			h.Release()
			r.drain()
			if n := r.srv.Count("RETR") + r.srv.Count("STOR"); n != 0 {
				t.Errorf("%d transfers", n)
			}
			r.has("new", want)
			if p := r.m.Status().Pending; len(p) != 0 {
				t.Errorf("pending %v", p)
			}
			r.reads("/new", want)
			r.remount(8, transfer.Options{})
			r.has("new", want)
		})
	}
}

// What was copied can be written on by the same handle.
func TestServerCopyIsWrittenOn(t *testing.T) {
	r := newRig(t)
	want := random(300 << 10)
	r.put("src", want)
	h := r.create("/new")
	if err := r.copies(h, "/src", len(want)); err != nil {
		t.Fatal(err)
	}
	r.write(h, 5, []byte("other"))
	r.flush(h)
	h.Release()
	r.drain()
	copy(want[5:], "other")
	r.has("new", want)
}

// Where there is anything to lose, or the server cannot, the bytes are copied.
func TestServerDoesNotCopy(t *testing.T) {
	want := random(100 << 10)
	for what, c := range map[string]func(r *rig, h *transfer.Handle){
		"written to":            func(r *rig, h *transfer.Handle) { r.write(h, 0, []byte("x")) },
		"another size":          func(r *rig, h *transfer.Handle) { r.put("src", want[1:]) },
		"the source is written": func(r *rig, h *transfer.Handle) { r.write(r.open("/src", transfer.How{Write: true}), 0, []byte("x")) },
		"open twice":            func(r *rig, h *transfer.Handle) { r.open("/new", transfer.How{}) },
		"refused":               func(r *rig, h *transfer.Handle) { r.srv.Fault(ftptest.Refuse("SITE", 550, "/src: Permission denied")) },
		"not known":             func(r *rig, h *transfer.Handle) { r.srv.Fault(ftptest.Refuse("SITE", 500, "not understood")) },
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			r.save("/first", nil)
			r.put("src", want)
			h := r.create("/new")
			c(r, h)
			if err := r.copies(h, "/src", len(want)); !errors.Is(err, transfer.ErrNoCopy) {
				t.Errorf("the error is %v", err)
			}
			r.write(h, 0, want)
			r.flush(h)
			r.has("new", want)
			h.Release()
			r.drain()
			r.names("", "first", "new", "src")
		})
	}
}

// A copy that somebody's file stands in the way of, or whose connection is
// lost, leaves nothing behind.
func TestServerCopyFails(t *testing.T) {
	r := newRig(t)
	r.save("/first", nil)
	want := random(100 << 10)
	r.put("src", want)
	h := r.create("/new")
	r.theirs("new", []byte("theirs"))
	if err := r.copies(h, "/src", len(want)); !errors.Is(err, transfer.ErrNoCopy) {
		t.Errorf("over somebody's: %v", err)
	}
	r.has("new", []byte("theirs"))
	r.write(h, 0, want)
	r.flush(h)
	h.Release()
	r.drain()
	r.hasBoth("new", []byte("theirs"), want)

	h = r.create("/cut")
	mended := r.srv.Fault(ftptest.DropAfter("SITE"))
	if err := r.copies(h, "/src", len(want)); err == nil || errors.Is(err, transfer.ErrNoCopy) || conn.OutcomeOf(err) == conn.Refused {
		t.Errorf("cut: %v", err)
	}
	mended()
	r.write(h, 0, want)
	r.flush(h)
	h.Release()
	r.drain()
	r.has("cut", want)
}

// What happens to the file while the server copies is not lost, and leaves
// nothing in the journal.
func TestServerCopiesMeanwhile(t *testing.T) {
	want := random(100 << 10)
	for what, c := range map[string]struct {
		meanwhile func(r *rig, h *transfer.Handle)
		copied    bool
	}{
		"another descriptor is closed": {func(r *rig, h *transfer.Handle) { r.flush(h) }, true},
		"it is written to":             {func(r *rig, h *transfer.Handle) { r.write(h, 3, []byte("ours")) }, false},
		"both": {func(r *rig, h *transfer.Handle) {
			r.flush(h)
			r.write(h, 3, []byte("ours"))
		}, false},
	} {
		t.Run(what, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.save("/first", nil)
				r.put("src", want)
				h := r.create("/new")
				mended := r.srv.Fault(ftptest.DelayReply("SITE", 250, time.Second))
				done := begin(func() error { return r.copies(h, "/src", len(want)) })
				settle()
				select {
				case err := <-done:
					t.Fatal("it is over already:", err)
				default:
				}
				c.meanwhile(r, h)
				err := <-done
				mended()
				if c.copied != (err == nil) || err != nil && !errors.Is(err, transfer.ErrNoCopy) {
					t.Errorf("the error is %v", err)
				}
				content := want
				if err != nil {
					r.write(h, 0, want) // as the kernel does
				}
				r.flush(h)
				h.Release()
				r.drain()
				r.has("new", content)
				r.remount(8, transfer.Options{})
				r.drain()
				r.has("new", content)
				r.names("", "first", "new", "src")
			})
		})
	}
}
