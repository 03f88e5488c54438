package transfer_test

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// What was refused is in the recovery folder; a program that writes on would
// put the rest over the server's version.
func TestWritesFailAfterARefusalUntilReopened(t *testing.T) {
	for name, c := range map[string]struct {
		open func(r *rig) *transfer.Handle
		old  []byte // on the server
	}{
		"existing file": {func(r *rig) *transfer.Handle { return r.open("/f", transfer.How{Write: true}) }, []byte("AAAAAAAA")},
		"new file":      {func(r *rig) *transfer.Handle { return r.create("/f") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.save("/first", nil)
				if c.old != nil {
					r.put("f", c.old)
				}
				h := c.open(r)
				undo := r.srv.Fault(ftptest.Refuse("STOR", 552, "Quota exceeded"))
				r.write(h, 0, []byte("BB"))
				if err := h.Sync(t.Context()); !errors.Is(err, conn.ErrQuota) {
					t.Errorf("fsync: %v", err)
				}
				undo()
				if _, err := h.WriteAt([]byte("CC"), 4); !errors.Is(err, conn.ErrQuota) {
					t.Errorf("write: %v", err)
				}
				if err := h.Truncate(1); !errors.Is(err, conn.ErrQuota) {
					t.Errorf("truncate: %v", err)
				}
				if err := h.Flush(t.Context()); !errors.Is(err, conn.ErrQuota) {
					t.Errorf("close: %v", err)
				}
				h.Release()
				r.drain()
				r.has("f", c.old)
				again := c.open(r)
				r.write(again, 0, []byte("BB"))
				r.flush(again)
				again.Release()
				r.has("f", append([]byte("BB"), c.old[min(2, len(c.old)):]...))
			})
		})
	}
}

// A refusal that no close could return is told once by the next open.
func TestRefusalInTheBackgroundIsToldOnce(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.save("/first", nil)
		undo := r.srv.Fault(ftptest.Refuse("STOR", 550, "/f: Permission denied"))
		h := r.create("/f")
		r.flush(h)
		h.Release()
		settle()
		undo()
		if _, _, err := r.m.Create(t.Context(), "/f", 0o644, false, true); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("the next create: %v", err)
		}
		r.save("/f", []byte("x"))
		r.has("f", []byte("x"))
	})
}

// It is told to who opens the file by the name that it has then.
func TestRefusalGoesWithARename(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("d/f", []byte("old"))
		undo := r.srv.Fault(ftptest.Refuse("STOR", 550, "/f: Permission denied"))
		h := r.open("/d/f", transfer.How{Write: true, Truncate: true})
		r.flush(h)
		h.Release()
		settle()
		undo()
		if err := r.m.Rename(t.Context(), "/d", "/e", false, nil, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := r.m.Open(t.Context(), "/e/f", transfer.How{}); !errors.Is(err, fs.ErrPermission) || !errors.Is(err, transfer.ErrUntold) {
			t.Errorf("the next open: %v", err)
		}
		r.reads("/e/f", []byte("old"))
	})
}

// A lost connection, then a refusal: what is written afterwards is uploaded.
func TestDrainAfterALateRefusal(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("f", []byte("old"))
		h := r.open("/f", transfer.How{Write: true})
		defer r.srv.Fault(ftptest.DropBefore("STOR").Times(2))()
		undo := r.srv.Fault(ftptest.Refuse("STOR", 552, "Quota exceeded"))
		r.write(h, 0, []byte("new"))
		if err := h.Sync(t.Context()); err == nil {
			t.Error("fsync succeeded")
		}
		time.Sleep(time.Minute) // the next try is refused
		undo()
		h.Release()
		r.save("/f", []byte("again"))
		r.drain()
		r.has("f", []byte("again"))
	})
}
