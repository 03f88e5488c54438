package transfer_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// pendingTemp writes /tmp while the server is away, as an editor does that
// will rename it over /target.
func pendingTemp(r *rig) (back func()) {
	r.Helper()
	r.put("target", []byte("old"))
	r.save("/first", nil)
	if _, err := r.tree.List(r.Context(), "/"); err != nil {
		r.Fatal(err)
	}
	h := r.create("/tmp")
	r.write(h, 0, []byte("new"))
	back = r.away()
	r.flushFails(h)
	h.Release()
	return back
}

func (r *rig) rename(from, to string) {
	r.Helper()
	if err := r.m.Rename(r.Context(), from, to, false, nil, nil); err != nil {
		r.Fatal(err)
	}
}

func TestPendingFileRenamedOverAnother(t *testing.T) {
	for name, between := range map[string]func(r *rig, back func()){
		"server is back before": func(r *rig, back func()) {
			back()
			r.rename("/tmp", "/target")
		},
		"server is back after": func(r *rig, back func()) {
			r.rename("/tmp", "/target")
			back()
		},
		"uploaded by the next mount": func(r *rig, back func()) {
			r.rename("/tmp", "/target")
			r.unmount()
			back()
			r.mount(8)
		},
		"renamed and uploaded by the next mount": func(r *rig, back func()) {
			r.unmount()
			back()
			r.mount(8)
			r.rename("/tmp", "/target")
		},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				between(r, pendingTemp(r))
				r.drain()
				r.has("target", []byte("new"))
				r.names("", "first", "target")
			})
		})
	}
}

func TestRenameAfterACutUpload(t *testing.T) {
	for name, f := range cuts {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.save("/first", nil)
				defer r.srv.Fault(f.Times(2))()
				h := r.create("/tmp")
				r.write(h, 0, []byte("content"))
				r.flushFails(h)
				h.Release()
				r.rename("/tmp", "/final")
				r.drain()
				r.has("final", []byte("content"))
				r.names("", "first", "final")
			})
		})
	}
}

// slowRename begins a rename that takes the server two seconds.
func slowRename(r *rig, from, to string) (done <-chan error) {
	undo1 := r.srv.Fault(ftptest.DelayReply("RNFR", 350, time.Second))
	undo2 := r.srv.Fault(ftptest.DelayReply("RNTO", 250, time.Second))
	r.Cleanup(func() { undo1(); undo2() })
	done = begin(func() error { return r.m.Rename(r.Context(), from, to, false, nil, nil) })
	settle()
	return done
}

func TestWriteBesideARename(t *testing.T) {
	writing := transfer.How{Write: true, Truncate: true}
	for name, test := range map[string]func(r *rig) *transfer.Handle{
		"opened before": func(r *rig) *transfer.Handle {
			h := r.open("/a", writing)
			slowRename(r, "/a", "/b")
			return h
		},
		"opened at RNFR": func(r *rig) *transfer.Handle {
			slowRename(r, "/a", "/b")
			return r.open("/a", writing)
		},
		"opened at RNTO": func(r *rig) *transfer.Handle {
			slowRename(r, "/a", "/b")
			time.Sleep(1500 * time.Millisecond)
			return r.open("/a", writing)
		},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.put("a", []byte("old old"))
				h := test(r)
				r.write(h, 0, []byte("NEW"))
				r.flush(h)
				h.Release()
				r.drain()
				r.has("b", []byte("NEW"))
				r.names("", "b")
			})
		})
	}
}

// A file is made in a directory that is being renamed.
func TestCreateBesideARename(t *testing.T) {
	for name, wait := range map[string]time.Duration{"at RNFR": 0, "at RNTO": 1500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.put("d/old", []byte("old"))
				r.save("/d/first", nil)
				done := slowRename(r, "/d", "/e")
				time.Sleep(wait)
				r.save("/d/new", []byte("new"))
				if err := <-done; err != nil {
					t.Error(err)
				}
				r.drain()
				r.has("e/new", []byte("new"))
				r.names("", "e")
			})
		})
	}
}

func TestReadBesideARename(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		want := random(300 << 10)
		r.put("a", want)
		h := r.open("/a", transfer.How{})
		defer h.Release()
		done := slowRename(r, "/a", "/b")
		r.handleReads(h, want)
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.handleReads(h, want)
	})
}

// A rename that waits for an upload below it holds no other one up.
func TestRenamesWaitOnlyForTheirOwnFiles(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("d/f", []byte("old"))
		r.put("a", []byte("a"))
		h := r.open("/d/f", transfer.How{Write: true, Truncate: true})
		r.write(h, 0, []byte("new"))
		undo := r.srv.Fault(ftptest.StallData("STOR", 1))
		closed := begin(func() error { return h.Flush(t.Context()) })
		settle()
		moved := begin(func() error { return r.m.Rename(t.Context(), "/d", "/e", false, nil, nil) })
		settle()
		r.rename("/a", "/b")
		r.names("", "b", "d")
		undo()
		for _, done := range []<-chan error{closed, moved} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		h.Release()
		r.drain()
		r.has("e/f", []byte("new"))
	})
}

// Somebody opens a file while another is renamed over it, or it is removed:
// what the open has learned of the old one when that ends is no use any more.
func TestOpenBesideAReplacement(t *testing.T) {
	for name, c := range map[string]struct {
		replace func(r *rig) error
		want    []byte // nil: there is no such file
	}{
		"renamed over": {func(r *rig) error { return r.m.Rename(r.Context(), "/next", "/f", false, nil, nil) }, []byte("the next")},
		"removed":      {func(r *rig) error { return r.m.Remove(r.Context(), "/f", nil) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.put("f", []byte("old"))
				r.put("next", []byte("the next"))
				if _, err := r.tree.List(t.Context(), "/"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second) // what is known is too old for an open
				defer r.srv.Fault(ftptest.DelayReply("MLSD", 226, 1500*time.Millisecond).Once())()
				var h *transfer.Handle
				opened := begin(func() (err error) { h, err = r.m.Open(t.Context(), "/f", transfer.How{}); return err })
				settle()
				if err := c.replace(r); err != nil {
					t.Fatal(err)
				}
				err := <-opened
				if c.want == nil {
					if !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("open: %v, want ErrNotExist", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer h.Release()
				r.handleReads(h, c.want)
			})
		})
	}
}

// A file that vanished on the server keeps nobody from renaming another over
// it, although who has it open has not read it all.
func TestRenameOverAnOpenFileThatVanished(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("f", random(300<<10))
		r.put("next", []byte("next"))
		h := r.open("/f", transfer.How{})
		defer h.Release()
		if err := os.Remove(filepath.Join(r.srv.Root, "f")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		r.within(5*time.Second, "the rename", func() { r.rename("/next", "/f") })
		r.has("f", []byte("next"))
	})
}
