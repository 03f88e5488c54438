package transfer_test

import (
	"io/fs"
	"testing"
	"time"

	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// since is a time that no file has by itself.
var since = time.Date(2002, 3, 4, 5, 6, 7, 0, time.UTC)

func (r *rig) setTime(p string, at time.Time) {
	r.Helper()
	if err := r.m.SetTime(r.Context(), p, at); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) chmod(p string, mode fs.FileMode) {
	r.Helper()
	if err := r.m.Chmod(r.Context(), p, mode); err != nil {
		r.Fatal(err)
	}
}

// hasAttr fails unless the server's file has time and mode.
func (r *rig) hasAttr(name string, at time.Time, mode fs.FileMode) {
	r.Helper()
	if st := r.stat(name); !st.ModTime().Equal(at) || st.Mode().Perm() != mode {
		r.Errorf("%s has %v %v, want %v %v", name, st.ModTime().UTC(), st.Mode(), at, mode)
	}
}

// The times that we set are not somebody else's change.

func TestTimeSetWhileAFileIsRead(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		want := random(300 << 10)
		r.put("f", want)
		h := r.open("/f", transfer.How{})
		defer h.Release()
		r.setTime("/f", since)
		time.Sleep(2 * time.Second) // the version is asked for again
		r.handleReads(h, want)
	})
}

func TestTimeSetBeforeAPartialWrite(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		want := random(300 << 10)
		r.put("f", want)
		h := r.open("/f", transfer.How{Write: true})
		r.setTime("/f", since)
		time.Sleep(2 * time.Second)
		r.write(h, 1000, []byte("patch"))
		copy(want[1000:], "patch")
		r.flush(h)
		h.Release()
		r.has("f", want)
		r.names("", "f")
	})
}

func TestTimeSetBetweenWrites(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.save("/f", nil)
		h := r.open("/f", transfer.How{Write: true})
		r.write(h, 0, []byte("one"))
		if err := h.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		r.setTime("/f", since)
		r.write(h, 3, []byte(" two"))
		r.flush(h)
		h.Release()
		r.drain()
		r.has("f", []byte("one two"))
		r.names("", "f")
	})
}

// uploading runs during while f is being uploaded.
func uploading(r *rig, during func()) *transfer.Handle {
	r.Helper()
	r.save("/first", nil)
	h := r.create("/f")
	r.write(h, 0, []byte("one"))
	undo := r.srv.Fault(ftptest.DelayReply("STOR", 226, time.Second))
	defer undo()
	done := begin(func() error { return h.Flush(r.Context()) })
	settle()
	during()
	if err := <-done; err != nil {
		r.Error(err)
	}
	return h
}

func TestTimeAndModeSetDuringAnUploadStick(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		h := uploading(r, func() {
			r.setTime("/f", since)
			r.chmod("/f", 0o600)
		})
		h.Release()
		r.drain()
		r.hasAttr("f", since, 0o600)
	})
}

func TestTimeSetDuringAnUploadIsNoConflictForTheNext(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		h := uploading(r, func() { r.setTime("/f", since) })
		r.write(h, 3, []byte(" two"))
		r.flush(h)
		h.Release()
		r.drain()
		r.has("f", []byte("one two"))
		r.names("", "f", "first")
	})
}

// An upload replaces the file, but not its mode.
func TestModeSetAfterAnUploadSticks(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.save("/f", []byte("one"))
		r.chmod("/f", 0o640)
		r.save("/f", []byte("two"))
		if mode := r.stat("f").Mode().Perm(); mode != 0o640 {
			t.Errorf("mode %v after an upload, want 0640", mode)
		}
		h := r.open("/f", transfer.How{Write: true})
		r.chmod("/f", 0o600)
		r.write(h, 0, []byte("three"))
		r.flush(h)
		h.Release()
		if mode := r.stat("f").Mode().Perm(); mode != 0o600 {
			t.Errorf("mode %v after an upload, want 0600", mode)
		}
	})
}

// A file whose upload comes after its last close has the same time before and
// after it, here and on the server.
func TestTimeDoesNotChangeAfterClose(t *testing.T) {
	for name, write := range map[string]func(r *rig, h *transfer.Handle){
		"touched": func(r *rig, h *transfer.Handle) { r.flush(h) },
		"shared descriptor": func(r *rig, h *transfer.Handle) {
			for off, line := range []string{"a", "b", "c"} {
				r.write(h, int64(off), []byte(line))
				r.flush(h)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.save("/first", nil)
				time.Sleep(300 * time.Millisecond) // the time is no whole second
				h := r.create("/f")
				write(r, h)
				undo := r.srv.Fault(ftptest.DelayReply("STOR", 226, 1500*time.Millisecond))
				h.Release()
				settle()
				before, ok := r.m.Local("/f")
				if !ok {
					t.Fatal("nothing is left to upload")
				}
				r.drain()
				undo()
				if after, err := r.tree.Lookup(t.Context(), "/f"); err != nil || !after.Time.Equal(before.Time) {
					t.Errorf("it was %v and is %v, %v", before.Time, after.Time, err)
				}
				if at := r.stat("f").ModTime(); !at.Equal(before.Time) {
					t.Errorf("it was %v, the server has %v", before.Time, at)
				}
			})
		})
	}
}
