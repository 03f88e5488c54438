package transfer_test

import (
	"testing"
	"time"

	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// leaveTemp has an upload of /d/f cut by an outage, so that its temporary file
// stays on the server.
func leaveTemp(r *rig) {
	r.Helper()
	r.unmount()
	r.mount(1)
	if _, err := r.tree.Mkdir(r.Context(), "/d"); err != nil {
		r.Fatal(err)
	}
	h := r.create("/d/f")
	r.write(h, 0, random(300<<10))
	undo := r.srv.Fault(ftptest.DropAfter("STOR").Once())
	back := r.srv.Fault(ftptest.Refuse(ftptest.Greeting, 450, "Service not available"))
	r.flushFails(h)
	h.Release()
	undo()
	back()
}

// What an outage left keeps nobody from removing its directory, wherever that
// is by then.
func TestDirectoryWithLeftTemporariesIsRemoved(t *testing.T) {
	for name, c := range map[string]struct {
		dir string
		do  func(r *rig)
	}{
		"where it was": {"/d", func(*rig) {}},
		"renamed":      {"/e", func(r *rig) { r.rename("/d", "/e") }},
		"renamed above": {"/top/d", func(r *rig) {
			if _, err := r.tree.Mkdir(r.Context(), "/other"); err != nil {
				r.Fatal(err)
			}
			r.rename("/d", "/other/d")
			r.rename("/other", "/top")
		}},
		"remounted": {"/e", func(r *rig) {
			r.unmount()
			defer r.srv.Fault(ftptest.Refuse("DELE", 450, "Not now"))()
			r.mount(8)
			settle()
			r.rename("/d", "/e")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				leaveTemp(r)
				c.do(r)
				if err := r.m.Remove(t.Context(), c.dir+"/f", nil); err != nil {
					t.Fatal(err)
				}
				if err := r.m.Rmdir(t.Context(), c.dir); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A mount that ends at once has removed what the ones before it left.
func TestShortMountRemovesTemporaries(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		leaveTemp(r)
		r.unmount()
		undo := r.srv.Fault(ftptest.Refuse("DELE", 450, "Not now"))
		r.mount(8)
		r.drain()
		r.unmount()
		undo()
		r.mount(8)
		r.drain()
		r.unmount()
		r.names("d", "f")
	})
}

// A big open file that has lost its name can be read on when its directory
// gets another one, and is removed at its end.
func TestDirectoryOfAFileWithoutANameIsRenamed(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		want := random(6 << 20)
		r.put("d/f", want)
		h := r.open("/d/f", transfer.How{})
		if err := r.m.Remove(t.Context(), "/d/f", nil); err != nil {
			t.Fatal(err)
		}
		r.rename("/d", "/e")
		time.Sleep(2 * time.Second)
		r.handleReads(h, want)
		h.Release()
		settle()
		r.names("e")
	})
}
