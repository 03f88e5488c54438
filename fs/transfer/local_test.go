package transfer_test

import (
	"testing"
	"time"

	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

func localRig(t *testing.T, test func(t *testing.T, r *rig)) {
	virtual(t, func(t *testing.T, r *rig) {
		r.remount(8, transfer.Options{Local: []string{".*.sw?", "4913"}})
		r.put("f.txt", []byte("text"))
		r.put("d/.server.swp", []byte("theirs"))
		if _, err := r.tree.List(t.Context(), "/"); err != nil {
			t.Fatal(err)
		}
		r.srv.ResetLog()
		test(t, r)
	})
}

// Local-only files live in the mount, over remounts too, and never travel.
func TestLocalOnly(t *testing.T) {
	localRig(t, func(t *testing.T, r *rig) {
		h := r.create("/.f.txt.swp")
		r.write(h, 0, []byte("keys"))
		if err := h.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		r.write(h, 4, []byte("more"))
		r.flush(h)
		h.Release()
		r.save("/4913", nil)
		if err := r.m.Remove(t.Context(), "/4913", nil); err != nil {
			t.Error(err)
		}
		if log := r.srv.Log(); len(log) > 0 {
			t.Errorf("sent to the server: %v", log)
		}
		for range 2 {
			if p := r.m.Status().Pending; len(p) > 0 {
				t.Errorf("pending: %v", p)
			}
			r.drain()
			r.unmount()
			r.mount(8)
			r.reads("/.f.txt.swp", []byte("keysmore"))
			r.names("", "d", "f.txt")
		}
		if err := r.m.Remove(t.Context(), "/.f.txt.swp", nil); err != nil {
			t.Error(err)
		}
		r.unmount()
		r.mount(8)
		if _, err := r.tree.Lookup(t.Context(), "/.f.txt.swp"); err == nil {
			t.Error("it is back")
		}
	})
}

// A rename to an ordinary name uploads, one of an ordinary file to such a name
// does not make it local, and files of the server with such names are ordinary.
func TestLocalOnlyRenames(t *testing.T) {
	localRig(t, func(t *testing.T, r *rig) {
		r.save("/.new.swx", []byte("new version"))
		for _, names := range [][2]string{{"/.new.swx", "/.again.swx"}, {"/.again.swx", "/f.txt"}, {"/f.txt", "/.x.swp"}} {
			if err := r.m.Rename(t.Context(), names[0], names[1], false, nil, nil); err != nil {
				t.Error(err)
			}
			r.drain()
		}
		r.has(".x.swp", []byte("new version"))
		r.save("/d/.server.swp", []byte("changed"))
		r.drain()
		r.has("d/.server.swp", []byte("changed"))
		r.names("", "d", ".x.swp")
	})
}

// What a mount that ended has left under such a name, or has never sent, says
// nothing about the server's file of that name.
func TestWhatNeverTravelledIsOnlyHere(t *testing.T) {
	for name, do := range map[string]func(r *rig) error{
		"removed": func(r *rig) error { return r.m.Remove(r.Context(), "/.a.swp", nil) },
		"renamed": func(r *rig) error { return r.m.Rename(r.Context(), "/.a.swp", "/.b.swp", false, nil, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			localRig(t, func(t *testing.T, r *rig) {
				r.save("/.a.swp", []byte("keys"))
				r.unmount()
				r.put(".a.swp", []byte("theirs"))
				r.mount(8)
				if err := do(r); err != nil {
					t.Error(err)
				}
				r.has(".a.swp", []byte("theirs"))
				r.names("", ".a.swp", "d", "f.txt")
			})
		})
	}
	for name, delay := range map[string]time.Duration{"not sent": 0, "being sent": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.remount(4, transfer.Options{Write: transfer.WriteBack})
				r.save("/other", []byte("x"))
				r.drain()
				back := r.away()
				r.save("/f", []byte("ours"))
				settle()
				r.unmount()
				back()
				r.put("f", []byte("theirs"))
				r.srv.Fault(ftptest.DelayReply("STOR", 150, delay))
				r.mount(4)
				time.Sleep(delay / 10) // the upload has seen theirs by then
				if err := r.m.Remove(t.Context(), "/f", nil); err != nil {
					t.Error(err)
				}
				r.has("f", []byte("theirs"))
			})
		})
	}
}
