package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// virtualBack is virtual with --write=back and so many sessions, in a
// directory that is known to be writable.
func virtualBack(t *testing.T, sessions int, test func(t *testing.T, r *rig)) {
	t.Helper()
	virtual(t, func(t *testing.T, r *rig) {
		r.remount(sessions, transfer.Options{Write: transfer.WriteBack})
		r.save("/first", nil)
		r.drain()
		r.srv.ResetLog()
		test(t, r)
	})
}

// Close does not wait for the server, and what it called safe reaches the
// server with the next mount, too.
func TestBackCloseNeedsNoServer(t *testing.T) {
	virtualBack(t, 8, func(t *testing.T, r *rig) {
		r.put("old", []byte("old"))
		r.reads("/old", []byte("old"))
		back := r.away()
		r.save("/new", []byte("new"))
		r.save("/touched", nil)
		if p := r.m.Status().Pending; len(p) != 2 {
			t.Errorf("pending %v", p)
		}
		r.reads("/new", []byte("new"))
		r.unmount()
		back()
		r.mount(8)
		r.reads("/new", []byte("new"))
		r.drain()
		r.has("new", []byte("new"))
		r.has("touched", []byte{})
		r.names("", "first", "old", "new", "touched")
	})
}

// fsync waits for the server, and tells what it says.
func TestBackFsyncWaits(t *testing.T) {
	virtualBack(t, 8, func(t *testing.T, r *rig) {
		h := r.create("/f")
		defer h.Release()
		r.write(h, 0, []byte("one"))
		if err := h.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		r.has("f", []byte("one"))
		r.write(h, 0, []byte("two"))
		defer r.srv.Fault(ftptest.Refuse("STOR", 550, "/f: Permission denied"))()
		if err := h.Sync(t.Context()); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("fsync: %v", err)
		}
	})
}

// Uploads use all sessions but the one for metadata, oldest first.
func TestBackUploadsInParallelOldestFirst(t *testing.T) {
	virtualBack(t, 4, func(t *testing.T, r *rig) {
		undo := r.srv.Fault(ftptest.StallData("STOR", 0))
		const files = 10
		for i := range files {
			r.save(fmt.Sprintf("/f%d", i), []byte("x"))
			synctest.Wait()
		}
		settle()
		if n := r.srv.Count("STOR"); n != 3 {
			t.Errorf("%d STOR at a time, want 3", n)
		}
		undo()
		r.drain()
		var order []string
		for _, c := range r.srv.Log() {
			if c.Verb == "RNTO" {
				order = append(order, path.Base(c.Arg))
			}
		}
		for i := range files {
			name := fmt.Sprintf("f%d", i)
			r.has(name, []byte("x"))
			if at := slices.Index(order, name); at < i-3 || at > i+3 {
				t.Errorf("%s was upload %d: %v", name, at, order)
			}
		}
	})
}

// What happens to the name of a file in the queue happens in order: it is
// uploaded once, to the last one.
func TestBackNamesInTheQueue(t *testing.T) {
	virtualBack(t, 2, func(t *testing.T, r *rig) {
		r.put("target", []byte("old"))
		r.reads("/target", []byte("old"))
		back := r.away()
		r.save("/tmp1", []byte("renamed"))
		r.save("/tmp2", []byte("replaces"))
		r.save("/gone", []byte("never"))
		back()
		for _, err := range []error{
			r.m.Rename(t.Context(), "/tmp1", "/a", false, nil, nil),
			r.m.Rename(t.Context(), "/a", "/b", false, nil, nil),
			r.m.Rename(t.Context(), "/tmp2", "/target", false, nil, nil),
			r.m.Remove(t.Context(), "/gone", nil),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		if _, err := r.tree.Mkdir(t.Context(), "/d"); err != nil {
			t.Error(err)
		}
		r.save("/d/f", []byte("below"))
		if err := r.m.Rename(t.Context(), "/d", "/e", false, nil, nil); err != nil {
			t.Error(err)
		}
		r.drain()
		settle() // the temporary file of an upload that a removal stopped
		r.has("b", []byte("renamed"))
		r.has("target", []byte("replaces"))
		r.has("e/f", []byte("below"))
		r.names("", "first", "b", "target", "e")
		// One to learn whose files are ours, and one of the file that is removed, if that had begun.
		if n := r.srv.Count("STOR"); n > 5 {
			t.Errorf("%d STOR for 3 files", n)
		}
	})
}

// What is being uploaded is not sealed once more by who waits for it, nor by the
// RELEASE that comes meanwhile.
func TestBackSyncOfWhatIsBeingUploaded(t *testing.T) {
	virtualBack(t, 8, func(t *testing.T, r *rig) {
		h := r.create("/f") // its mode is set by the first upload, and not again
		r.write(h, 0, []byte("the first version"))
		r.flush(h)
		r.drain()
		r.srv.ResetLog()
		time.Sleep(2 * time.Second) // one handle is uploaded once a second
		if err := h.Truncate(0); err != nil {
			t.Error(err)
		}
		r.write(h, 0, []byte("saved"))
		r.flush(h)
		synctest.Wait() // the upload is under way
		h.Release()
		reader := r.open("/f", transfer.How{})
		defer reader.Release()
		if err := reader.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		r.has("f", []byte("saved"))
		if p := r.m.Status().Pending; len(p) > 0 {
			t.Errorf("after fsync there is still to come: %v", p)
		}
		r.drain()
		if n := r.srv.Count("STOR"); n != 1 {
			t.Errorf("%d STOR", n)
		}
	})
}

// A file that is written again while it is uploaded is uploaded again.
func TestBackWrittenWhileItIsUploaded(t *testing.T) {
	virtualBack(t, 8, func(t *testing.T, r *rig) {
		one, two := random(300<<10), random(300<<10+1)
		r.save("/f", one)
		for r.srv.Count("STOR") == 0 {
			time.Sleep(time.Millisecond)
		}
		h := r.open("/f", transfer.How{Write: true})
		r.write(h, 0, two)
		settle()
		r.has("f", one) // nothing of what is not closed
		r.flush(h)
		h.Release()
		r.drain()
		r.has("f", two)
		r.names("", "first", "f")
	})
}

// Close does not wait for the upload of an earlier version either, however
// that ends: the newer one is safe, and is on the server in the end.
func TestBackCloseBesideAnUpload(t *testing.T) {
	slow := func(verb string, code int, d time.Duration) []ftptest.Fault {
		return []ftptest.Fault{ftptest.DelayReply(verb, code, d)}
	}
	for name, tc := range map[string]struct {
		faults  []ftptest.Fault
		oneSize bool // of both versions, which are of one second, too
		ends    bool // the mount, in the middle of it
	}{
		"that succeeds":               {faults: slow("STOR", 226, time.Second)},
		"that is refused":             {faults: append(slow("STOR", 150, time.Second), ftptest.ReplaceReply("STOR", 226, 552, "Disk quota exceeded").Once())},
		"that is cut":                 {faults: []ftptest.Fault{ftptest.StallData("STOR", 100<<10).Once()}},
		"whose confirmation is lost":  {faults: []ftptest.Fault{ftptest.DropAfter("RNTO").Once()}},
		"whose rename is late":        {faults: slow("RNTO", 250, time.Second)},
		"of one size":                 {faults: slow("RNTO", 250, time.Second), oneSize: true},
		"of a mount that ends":        {faults: slow("STOR", 226, time.Hour), ends: true},
		"of one that ends later":      {faults: slow("RNTO", 250, time.Hour), ends: true},
		"of one size, and ends later": {faults: slow("RNTO", 250, time.Hour), oneSize: true, ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			virtualBack(t, 8, func(t *testing.T, r *rig) {
				one, two := random(300<<10), random(300<<10+1)
				if tc.oneSize {
					two = two[:len(one)]
				}
				var undo []func()
				for _, f := range tc.faults {
					undo = append(undo, r.srv.Fault(f))
				}
				r.save("/f", one)
				for r.srv.Count("STOR") == 0 {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(20 * time.Millisecond) // into the fault
				began := time.Now()
				h := r.open("/f", transfer.How{Write: true})
				r.write(h, 0, two)
				r.flush(h)
				if took := time.Since(began); took > 100*time.Millisecond {
					t.Errorf("close took %v", took)
				}
				h.Release()
				if tc.ends {
					r.unmount()
				} else {
					r.drain()
				}
				for _, undo := range undo {
					undo()
				}
				if tc.ends {
					r.mount(8)
				}
				r.reads("/f", two)
				r.drain()
				r.has("f", two)
				time.Sleep(2 * time.Second) // the temporary file of a cut upload is looked for again
				r.drain()
				r.names("", "first", "f")
			})
		})
	}
}

// A refusal after close is told once by the next open, and the bytes are kept.
func TestBackRefusal(t *testing.T) {
	virtualBack(t, 8, func(t *testing.T, r *rig) {
		r.put("f", []byte("theirs"))
		r.reads("/f", []byte("theirs"))
		undo := r.srv.Fault(ftptest.Refuse("STOR", 552, "Disk quota exceeded"))
		h := r.open("/f", transfer.How{Write: true, Truncate: true})
		r.write(h, 0, []byte("ours"))
		r.flush(h)
		h.Release()
		if err := r.m.Flush(t.Context(), nil); !errors.Is(err, conn.ErrQuota) || !strings.Contains(err.Error(), "/f ") {
			t.Errorf("ftpfs flush: %v", err)
		}
		if err := r.m.Flush(t.Context(), nil); err != nil {
			t.Errorf("ftpfs flush tells twice: %v", err)
		}
		undo()
		if _, err := r.m.Open(t.Context(), "/f", transfer.How{}); err == nil {
			t.Error("the next open was not told")
		}
		r.reads("/f", []byte("theirs"))
		r.has("f", []byte("theirs"))
		r.unmount()
		recovered(t, r, "/f", []byte("ours"))
	})
}

// A partial change of what is not here needs the server's bytes before close
// can call it safe.
func TestBackPartialChangeIsComplete(t *testing.T) {
	virtualBack(t, 8, func(t *testing.T, r *rig) {
		want := random(1 << 20)
		r.put("f", want)
		h := r.open("/f", transfer.How{Write: true})
		copy(want[1000:], "change")
		r.write(h, 1000, []byte("change"))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := h.Flush(ctx); err != nil {
			t.Error(err)
		}
		h.Release()
		r.has("f", want)
	})
}
