package transfer_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

func TestUnlinkWhileOpen(t *testing.T) {
	r := newRig(t)
	want := random(300 << 10)
	r.put("f", want)
	h := r.open("/f", transfer.How{Write: true})
	if err := r.m.Remove(t.Context(), "/f", nil); err != nil {
		t.Fatal(err)
	}
	r.handleReads(h, want)
	if !h.Attr().Unlinked {
		t.Error("the handle does not know that the file has no name")
	}
	r.write(h, 0, []byte("never uploaded"))
	r.flush(h)
	if err := h.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	h.Release()
	r.drain()
	r.has("f", nil)
	if n := r.srv.Count("STOR"); n != 0 {
		t.Errorf("%d STOR", n)
	}
	r.save("/f", []byte("another")) // the name is free
	r.has("f", []byte("another"))
}

func TestUnlinkOfAFileThatWasNeverUploaded(t *testing.T) {
	r := newRig(t)
	r.save("/first", nil)
	r.srv.ResetLog()
	h := r.create("/f")
	r.write(h, 0, []byte("x"))
	if err := r.m.Remove(t.Context(), "/f", nil); err != nil {
		t.Fatal(err)
	}
	r.flush(h)
	h.Release()
	if n := r.srv.Count("STOR") + r.srv.Count("DELE"); n != 0 {
		t.Errorf("%d commands for a file that the server never saw", n)
	}
	if _, err := r.tree.Lookup(t.Context(), "/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lookup: %v", err)
	}
}

func TestRenameOfOpenFiles(t *testing.T) {
	r := newRig(t)
	want := random(200 << 10)
	r.put("a", want)
	r.put("target", []byte("old"))
	h := r.open("/a", transfer.How{Write: true})
	old := r.open("/target", transfer.How{})
	r.write(h, 0, []byte("changed"))
	if err := r.m.Rename(t.Context(), "/a", "/target", false, nil, nil); err != nil {
		t.Fatal(err)
	}
	copy(want, "changed")
	r.handleReads(h, want)
	r.handleReads(old, []byte("old"))
	r.flush(h)
	h.Release()
	old.Release()
	r.has("a", nil)
	r.has("target", want)
}

func TestRenameOfAFileThatWasNeverUploaded(t *testing.T) {
	r := newRig(t)
	r.put("target", []byte("old"))
	r.save("/first", nil)
	r.srv.ResetLog()
	h := r.create("/tmp")
	r.write(h, 0, []byte("new"))
	if err := r.m.Rename(t.Context(), "/tmp", "/target", false, nil, nil); err != nil {
		t.Fatal(err)
	}
	r.flush(h)
	h.Release()
	for _, c := range r.srv.Log() {
		if c.Arg == "/tmp" {
			t.Errorf("%s %s: the server never heard of it", c.Verb, c.Arg)
		}
	}
	r.has("tmp", nil)
	r.has("target", []byte("new"))
}

func TestRenamedDirectoryOfOpenFiles(t *testing.T) {
	r := newRig(t)
	r.put("d/sub/f", []byte("old"))
	h := r.open("/d/sub/f", transfer.How{Write: true})
	r.write(h, 0, []byte("new"))
	if err := r.m.Rename(t.Context(), "/d", "/e", false, nil, nil); err != nil {
		t.Fatal(err)
	}
	r.flush(h)
	h.Release()
	r.has("e/sub/f", []byte("new"))
	r.has("d/sub/f", nil)
}

// A big file that is open and hardly read keeps its content on the server,
// under a temporary name, until the last close.
func TestUnlinkOfABigOpenFile(t *testing.T) {
	r := newRig(t)
	want := random(40 << 20)
	r.put("big", want)
	r.put("tmp", []byte("new"))
	for _, c := range []struct {
		name string
		lose func() error
	}{
		{"unlink", func() error { return r.m.Remove(t.Context(), "/big", nil) }},
		{"rename over", func() error { return r.m.Rename(t.Context(), "/tmp", "/big", false, nil, nil) }},
	} {
		r.put("big", want)
		h := r.open("/big", transfer.How{})
		if _, err := h.ReadAt(t.Context(), make([]byte, 10), 39<<20); err != nil {
			t.Fatal(err)
		}
		if err := c.lose(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		r.handleReads(h, want)
		if _, err := r.tree.Lookup(t.Context(), "/big"); c.name == "unlink" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", c.name, err)
		}
		h.Release()
	}
	r.unmount()
	r.mount(8) // what the end of the first mount cut short, the next one finishes
	r.has("big", []byte("new"))
	for end := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) { // it does so in the background
		all, err := os.ReadDir(r.srv.Root)
		if err == nil && len(all) == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("left on the server: %v, %v", all, err)
		}
	}
}

// What is shown of a file while it is not on the server says nothing of its
// size. An upload that ends between the look and the open must not make it true.
func TestOpenBesideTheEndOfAnUpload(t *testing.T) {
	virtualBack(t, 8, func(t *testing.T, r *rig) {
		r.srv.Fault(ftptest.DelayReply("SIZE", 550, time.Second).OnArg("/f").Once())
		opened := make(chan *transfer.Handle)
		go func() { // as >> does, which has the server asked
			h, _, err := r.m.Create(t.Context(), "/f", 0o644, false, false)
			if err != nil {
				t.Error(err)
			}
			opened <- h
		}()
		synctest.Wait()
		r.save("/f", []byte("saved"))
		r.drain()
		h := <-opened
		if size := h.Attr().Size; size != 5 {
			t.Errorf("opened with %d bytes", size)
		}
		if _, err := h.Append([]byte(", and more")); err != nil {
			t.Error(err)
		}
		r.flush(h)
		h.Release()
		r.drain()
		r.has("f", []byte("saved, and more"))
		r.names("/", "f", "first")
	})
}

func TestLookBesideTheEndOfAnUpload(t *testing.T) {
	virtualBack(t, 8, func(t *testing.T, r *rig) {
		back := r.away()
		r.save("/f", []byte("saved"))
		looks := 0
		e, ours, err := r.m.Look("/f", func() (conn.Entry, error) {
			e, err := r.tree.Lookup(t.Context(), "/f")
			if looks++; looks == 1 {
				back()
				r.drain()
			}
			return e, err
		})
		if e.Size != 5 || ours || err != nil {
			t.Errorf("%d bytes, ours %v, %v", e.Size, ours, err)
		}
	})
}
