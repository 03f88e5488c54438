package transfer_test

import (
	"errors"
	"testing"
	"time"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// The clone of what the kernel writes can take long: whoever wants something
// of the file does not wait for it, and close does.
func TestNobodyWaitsForAClone(t *testing.T) {
	r := newRig(t)
	r.put("f", []byte("the first version"))
	r.reads("/f", []byte("the first version"))
	h, kernel := r.bound("/f")
	r.overwrite(kernel, "THE", 0)
	slow := r.slowClone(h)
	closed := begin(func() error { return h.Flush(t.Context()) })
	for len(r.m.Status().Pending) == 0 {
		time.Sleep(time.Millisecond)
	}
	if a, ok := r.m.Local("/f"); !ok || a.Size != 17 {
		t.Errorf("stat: %+v, %v", a, ok)
	}
	second := r.open("/f", transfer.How{Write: true})
	r.write(second, 4, []byte("FIRST"))
	r.handleReads(second, []byte("THE FIRST version"))
	renamed := begin(func() error { return r.m.Rename(t.Context(), "/f", "/g", false, nil, nil) }) // waits for the upload
	select {
	case err := <-closed:
		t.Errorf("close has not waited: %v", err)
	default:
	}
	if err := slow.Drop(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(<-closed, <-renamed); err != nil {
		t.Error(err)
	}
	kernel.Close()
	h.Release()
	r.flush(second)
	second.Release()
	r.drain()
	r.has("g", []byte("THE FIRST version"))
	r.has("f", nil)
}

// slowClone makes a clone for whose end others have to wait.
func (r *rig) slowClone(h *transfer.Handle) *cache.Clone {
	r.Helper()
	h.Attr() // looks: what is cloned does not show any more
	k, err := r.store.Clone(h.Copy())
	if err != nil {
		r.Fatal(err)
	}
	return k
}

// A removal does not wait for a clone, and nothing of it reaches the server.
func TestRemovalDuringAClone(t *testing.T) {
	r := newRig(t)
	r.put("f", []byte("the first version"))
	r.reads("/f", []byte("the first version"))
	h, kernel := r.bound("/f")
	r.overwrite(kernel, "THE", 0)
	slow := r.slowClone(h)
	closed := begin(func() error { return h.Flush(t.Context()) })
	for len(r.m.Status().Pending) == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := r.m.Remove(t.Context(), "/f", nil); err != nil {
		t.Error(err)
	}
	if err := slow.Drop(); err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	kernel.Close()
	h.Release()
	r.drain()
	r.has("f", nil)
	if list, err := r.store.Recovery(); err != nil || len(list) > 0 {
		t.Errorf("in the recovery folder: %v, %v", list, err)
	}
}

// close tells what became of a file also when the kernel has made it larger
// than those are that it may begin to write.
func TestCloseOfAFileThatHasGrown(t *testing.T) {
	r := newRig(t)
	r.put("f", []byte("the first version"))
	r.reads("/f", []byte("the first version"))
	h, kernel := r.bound("/f")
	r.overwrite(kernel, "END", cache.MaxExposed)
	undo := r.srv.Fault(ftptest.Refuse("STOR", 552, "Disk quota exceeded"))
	if err := h.Flush(t.Context()); !errors.Is(err, conn.ErrQuota) && !errors.Is(err, conn.ErrNoSpace) {
		t.Errorf("close: %v", err)
	}
	undo()
	kernel.Close()
	h.Release()
	r.drain()
	r.has("f", []byte("the first version"))
}

// A copy that is taken back while somebody can still write it is looked at
// again, and its handle stays open.
func TestUnbackBesideAWriter(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("f", []byte("the first version"))
		time.Sleep(time.Minute)
		r.reads("/f", []byte("the first version"))
		h, kernel := r.bound("/f")
		h.Unback()
		time.Sleep(time.Minute)
		kernel.Close()
		time.Sleep(time.Minute)
		r.write(h, 0, []byte("THE"))
		r.flush(h)
		r.has("f", []byte("THE first version"))
		h.Release()
		r.drain()
		h = r.open("/f", transfer.How{Write: true})
		r.write(h, 4, []byte("FIRST"))
		r.flush(h)
		h.Release()
		r.has("f", []byte("THE FIRST version"))
	})
}
