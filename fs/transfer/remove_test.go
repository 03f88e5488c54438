package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// halfRead opens /f, reads a part of it, and has somebody else change it.
func halfRead(r *rig) *transfer.Handle {
	r.Helper()
	r.put("f", random(300<<10))
	h := r.open("/f", transfer.How{})
	if _, err := h.ReadAt(r.Context(), make([]byte, 10), 290<<10); err != nil {
		r.Fatal(err)
	}
	r.theirs("f", random(310<<10))
	time.Sleep(2 * time.Second)
	return h
}

// The part that is missing cannot be kept for the reader any more. That keeps
// nobody from taking the name away.
func TestNameOfAnOpenFileThatChanged(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *rig) error
		want   []string
	}{
		"removed":      {func(r *rig) error { return r.m.Remove(r.Context(), "/f", nil) }, []string{"other"}},
		"renamed":      {func(r *rig) error { return r.m.Rename(r.Context(), "/f", "/g", false, nil, nil) }, []string{"g", "other"}},
		"renamed over": {func(r *rig) error { return r.m.Rename(r.Context(), "/other", "/f", false, nil, nil) }, []string{"f"}},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.put("other", []byte("x"))
				h := halfRead(r)
				defer h.Release()
				if err := c.change(r); err != nil {
					t.Error(err)
				}
				r.names("", c.want...)
			})
		})
	}
}

// rm while close uploads: the file is gone, both succeed, and nothing of the
// upload stays.
func TestRemoveBesideAClose(t *testing.T) {
	for name, f := range map[string]ftptest.Fault{
		"data under way": ftptest.StallData("STOR", 100),
		"before 226":     ftptest.DelayReply("STOR", 226, time.Second),
		"before RNTO":    ftptest.DelayReply("RNFR", 350, time.Second),
		"at RNTO":        ftptest.DelayReply("RNTO", 250, time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.save("/first", nil)
				undo := r.srv.Fault(f)
				h := r.create("/f")
				r.write(h, 0, random(1<<20))
				done := begin(func() error { return h.Flush(context.Background()) })
				settle()
				if err := r.m.Remove(t.Context(), "/f", nil); err != nil {
					t.Errorf("rm: %v", err)
				}
				if err := <-done; err != nil {
					t.Errorf("close: %v", err)
				}
				h.Release()
				undo()
				r.drain()
				settle()
				r.names("", "first")
				if _, err := r.tree.Lookup(t.Context(), "/f"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("lookup: %v", err)
				}
			})
		})
	}
}

// A removal that the server refuses gave up the upload: it is begun again.
func TestUploadGoesOnAfterARefusedRemove(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		want := random(300 << 10)
		r.put("f", want)
		h := r.open("/f", transfer.How{Write: true})
		r.write(h, 10, []byte("patch"))
		copy(want[10:], "patch")
		stalled := r.srv.Fault(ftptest.StallData("RETR", 1000))
		h.Release() // what is missing is fetched first
		settle()
		refused := r.srv.Fault(ftptest.Refuse("DELE", 550, "/f: Permission denied"))
		gone := begin(func() error { return r.m.Remove(t.Context(), "/f", nil) })
		settle()
		stalled()
		if err := <-gone; !errors.Is(err, fs.ErrPermission) {
			t.Errorf("rm: %v", err)
		}
		refused()
		time.Sleep(5 * time.Second)
		r.has("f", want)
	})
}

// A directory is empty once its last file is removed, also if that file was
// being uploaded.
func TestRmdirAfterRemoveOfAnUpload(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		if _, err := r.tree.Mkdir(t.Context(), "/d"); err != nil {
			t.Fatal(err)
		}
		h := r.create("/d/f")
		undo := r.srv.Fault(ftptest.StallData("STOR", 100<<10))
		r.write(h, 0, bytes.Repeat([]byte("x"), 1<<20))
		done := begin(func() error { return h.Flush(context.Background()) })
		settle()
		if err := r.m.Remove(t.Context(), "/d/f", nil); err != nil {
			t.Errorf("rm: %v", err)
		}
		undo()
		if err := <-done; err != nil {
			t.Errorf("close: %v", err)
		}
		h.Release()
		if err := r.tree.Rmdir(t.Context(), "/d"); err != nil {
			t.Errorf("rmdir: %v", err)
		}
	})
}

// The upload of a file that is removed is given up, and the server carries out
// its last command all the same, after the removal. What is created under that name next replaces it.
func TestUploadThatComesAboutAfterTheRemoval(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.remount(2, transfer.Options{Write: transfer.WriteBack})
		r.save("/other", []byte("x"))
		r.drain()
		undo := r.srv.Fault(ftptest.Refuse("STOR", 450, "Busy"))
		h := r.create("/f")
		r.write(h, 0, []byte("the first"))
		r.flush(h)
		at := h.Attr().Time
		h.Release()
		if err := r.m.Remove(t.Context(), "/f", nil); err != nil {
			t.Error(err)
		}
		r.save("/f", []byte("the second, longer"))
		r.theirs("f", []byte("the first"))
		if err := os.Chtimes(filepath.Join(r.srv.Root, "f"), at, at); err != nil {
			t.Error(err)
		}
		undo()
		r.drain()
		r.names("", "f", "other")
		r.has("f", []byte("the second, longer"))
	})
}

// unconfirmed begins a mount in which /f is on the server, beside /other, and
// the server does not say so until undo is called.
func (r *rig) unconfirmed() (undo func()) {
	r.Helper()
	r.remount(4, transfer.Options{Write: transfer.WriteBack})
	r.save("/other", []byte("x"))
	r.drain()
	undo = r.srv.Fault(ftptest.DelayReply("RNTO", 250, time.Minute))
	r.save("/f", []byte("the first"))
	settle()
	r.names("", "f", "other")
	return undo
}

// A file is removed while the server is about to confirm its first upload, and a
// second version waits: the first one, which is there, goes too.
func TestRemoveOfAVersionThatWaitsBehindAnUpload(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		undo := r.unconfirmed()
		r.save("/f", []byte("the second, longer"))
		if err := r.m.Remove(t.Context(), "/f", nil); err != nil {
			t.Error(err)
		}
		undo()
		r.drain()
		r.names("", "other")
	})
}

// A mount dies while the server is about to confirm the upload of a new file, and
// the file is removed before the next mount has looked: it is gone from the server, too.
func TestRemoveOfWhatADeadMountHasSent(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		undo := r.unconfirmed()
		r.unmount()
		undo()
		r.mount(4)
		if err := r.m.Remove(t.Context(), "/f", nil); err != nil {
			t.Error(err)
		}
		r.drain()
		r.names("", "other")
	})
}

// A mount that dies during a removal of a file with a version to come: the next one
// finds the file gone, which is its own doing, and makes no conflict of it.
func TestDeathDuringARemoval(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("f", []byte("the first version"))
		r.remount(2, transfer.Options{Write: transfer.WriteBack})
		r.reads("/f", []byte("the first version"))
		undo := r.srv.Fault(ftptest.Refuse("STOR", 450, "Busy"))
		h := r.open("/f", transfer.How{Write: true})
		r.write(h, 0, []byte("THE"))
		r.flush(h)
		h.Release()
		settle()
		defer r.srv.Fault(ftptest.DelayReply("DELE", 250, time.Minute))()
		ctx, cancel := context.WithCancel(t.Context())
		removed := begin(func() error { return r.m.Remove(ctx, "/f", nil) })
		settle()
		r.names("")
		cancel()
		<-removed
		undo()
		r.remount(2, transfer.Options{})
		r.drain()
		r.names("", "f")
		r.has("f", []byte("THE first version"))
	})
}

// Who has a file open closes it while its content is fetched for him, and the
// server refuses the removal: the content is let go of.
func TestRefusedRemovalOfAFileThatWasClosed(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		content := random(1 << 20)
		r.put("f", content)
		h := r.open("/f", transfer.How{})
		undo := r.srv.Fault(ftptest.StallData("RETR", 100))
		r.srv.Fault(ftptest.Refuse("DELE", 550, "No."))
		done := begin(func() error { return r.m.Remove(t.Context(), "/f", nil) })
		settle()
		h.Release()
		undo()
		if err := <-done; !errors.Is(err, fs.ErrPermission) {
			t.Errorf("rm: %v", err)
		}
		settle()
		r.store.Evict()
		if n, _ := r.store.Usage(); n != 0 {
			t.Errorf("%d copies that nobody uses are left", n)
		}
		r.reads("/f", content)
	})
}
