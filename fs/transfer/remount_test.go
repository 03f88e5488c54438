package transfer_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// A mount died with an upload pending, and somebody else wrote until the next.
func TestNextMountOverwritesNobody(t *testing.T) {
	for name, f := range cuts {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.cutUpload(f)
				r.unmount()
				r.mount(8)
				r.drain()
				r.hasBoth("f", []byte("THEIRS"), []byte("our version"))
			})
		})
	}
}

// The same where uploads go over the file itself.
func TestNextMountInPlaceOverwritesNobody(t *testing.T) {
	for name, f := range cuts {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.uploadInPlace()
				r.cutUpload(f)
				r.unmount()
				r.mount(8)
				r.drain()
				r.hasBoth("f", []byte("THEIRS"), []byte("our version"))
			})
		})
	}
}

// Two mounts died, each with a version of the file: the newer one wins, and
// the older one is kept.
func TestTwoMountsLeaveOneFile(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("f", []byte("base"))
		one, pool := r.m, r.pool
		h1 := r.open("/f", transfer.How{Write: true, Truncate: true})
		r.mount(8)
		h2 := r.open("/f", transfer.How{Write: true, Truncate: true})
		undo := r.srv.Fault(ftptest.DropBefore("STOR"))
		r.write(h2, 0, []byte("older"))
		r.flushFails(h2)
		time.Sleep(2 * time.Second)
		r.write(h1, 0, []byte("newer"))
		r.flushFails(h1)
		if err := one.Close(); err != nil {
			t.Error(err)
		}
		pool.Close()
		r.unmount()
		undo()
		r.mount(8)
		r.drain()
		r.has("f", []byte("newer"))
		r.names("", "f")
		r.unmount()
		recovered(t, r, "/f", []byte("older"))
	})
}

// What cannot be read of a mount that died keeps nobody from mounting.
func TestMountBesideABrokenJournal(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(journal string) error
		stays bool // for somebody to look at
	}{
		"which is none":     {func(journal string) error { return os.WriteFile(journal, []byte("x\n"), 0o600) }, false},
		"which is a folder": {func(journal string) error { return os.Mkdir(journal, 0o700) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.unmount()
			homes, err := filepath.Glob(filepath.Join(r.dir, "*", "mounts"))
			if err != nil || len(homes) != 1 {
				t.Fatal(homes, err)
			}
			dead := filepath.Join(homes[0], "00000000")
			if err := os.MkdirAll(filepath.Join(dead, "copies"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dead, "lock"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(filepath.Join(dead, "journal")); err != nil {
				t.Fatal(err)
			}
			r.mount(8)
			r.save("/f", []byte("x"))
			r.has("f", []byte("x"))
			if _, err := os.Stat(dead); c.stays && err != nil {
				t.Errorf("what cannot be read was removed: %v", err)
			}
		})
	}
}

// An upload that the next mount finishes replaces a file as any other does.
func TestNextMountKeepsMode(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("f", []byte("base"))
		if err := os.Chmod(filepath.Join(r.srv.Root, "f"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.tree.ForgetAll()
		h := r.open("/f", transfer.How{Write: true, Truncate: true})
		r.write(h, 0, []byte("mine"))
		back := r.away()
		r.flushFails(h)
		h.Release()
		r.unmount()
		back()
		r.mount(8)
		r.drain()
		r.has("f", []byte("mine"))
		if mode := r.stat("f").Mode().Perm(); mode != 0o600 {
			t.Errorf("mode %v, want 0600", mode)
		}
	})
}

// What a mount left pending is here, and can be read and written, before the
// server can be reached.
func TestPendingFilesWithoutAServer(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("d/e/f", []byte("base"))
		h := r.open("/d/e/f", transfer.How{Write: true, Truncate: true})
		r.write(h, 0, []byte("ours"))
		r.away()
		r.flushFails(h)
		h.Release()
		r.unmount()
		r.srv.Stop()
		r.opts.Delay = true
		r.mount(8)
		for _, p := range []string{"/d", "/d/e"} {
			if e, err := r.tree.Lookup(t.Context(), p); err != nil || e.Kind != conn.KindDir {
				t.Errorf("%s: %+v, %v", p, e, err)
			}
		}
		if _, err := r.tree.Lookup(t.Context(), "/d/other"); !errors.Is(err, conn.ErrHostDown) {
			t.Errorf("a file that nobody knows: %v", err)
		}
		r.reads("/d/e/f", []byte("ours"))
		h = r.open("/d/e/f", transfer.How{Write: true})
		r.write(h, 4, []byte(" and more"))
		r.flushFails(h)
		h.Release()
	})
}
