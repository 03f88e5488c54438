package transfer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/fs/transfer"
)

// pendingFile leaves /f, changed here while the server was away, in the
// journal of a mount that ended.
func pendingFile(t *testing.T) *rig {
	r := newRig(t)
	r.put("f", []byte("base"))
	h := r.open("/f", transfer.How{Write: true, Truncate: true})
	r.srv.Stop()
	r.write(h, 0, []byte("mine"))
	if err := h.Flush(t.Context()); err == nil {
		t.Fatal("close succeeded without a server")
	}
	h.Release()
	r.unmount()
	r.srv.Restart()
	return r
}

func TestNextMountFinishesWhatWasPending(t *testing.T) {
	r := pendingFile(t)
	r.mount(8)
	if a, ok := r.m.Local("/f"); ok && a.Size != 4 {
		t.Errorf("%+v", a)
	}
	r.reads("/f", []byte("mine"))
	r.drain()
	r.has("f", []byte("mine"))
	r.unmount()
	r.mount(8)
	if p := r.m.Status().Pending; len(p) != 0 {
		t.Errorf("pending again: %v", p)
	}
}

// Somebody changed the file since: neither version is lost.
func TestNextMountKeepsBothVersions(t *testing.T) {
	r := pendingFile(t)
	if err := os.WriteFile(filepath.Join(r.srv.Root, "f"), []byte("somebody else's"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.mount(8)
	r.drain()
	r.has("f", []byte("somebody else's"))
	all, err := os.ReadDir(r.srv.Root)
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, e := range all {
		if strings.HasPrefix(e.Name(), "f.conflict-") {
			r.has(e.Name(), []byte("mine"))
			return
		}
	}
	t.Errorf("no conflict copy among %v", all)
}

// What was never closed is not uploaded by the next mount.
func TestUnsealedBytesGoToTheRecoveryFolder(t *testing.T) {
	r := newRig(t)
	r.put("f", []byte("base"))
	h := r.open("/f", transfer.How{Write: true, Truncate: true})
	r.write(h, 0, []byte("half wri"))
	r.unmount()
	r.mount(8)
	r.drain()
	r.has("f", []byte("base"))
	r.unmount()
	recovered(t, r, "/f", []byte("half wri"))
}
