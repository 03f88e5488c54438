package transfer_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// What the server refuses for good fails the close; the bytes are in the
// recovery folder and the mount shows the server's version.
func TestRefusedUpload(t *testing.T) {
	for _, c := range []struct {
		code int
		text string
		want error
	}{
		{550, "/f: Permission denied", fs.ErrPermission},
		{552, "/f: Disk quota exceeded", conn.ErrQuota},
		{452, "/f: No space left on device", conn.ErrNoSpace},
		{553, "Prohibited file name: /f", conn.ErrInvalidName},
	} {
		r := newRig(t)
		r.put("f", []byte("the server's"))
		undo := r.srv.Fault(ftptest.Refuse("STOR", c.code, c.text))
		h := r.open("/f", transfer.How{Write: true, Truncate: true})
		r.write(h, 0, []byte("mine"))
		if err := h.Flush(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%d %s: %v", c.code, c.text, err)
		}
		h.Release()
		r.drain()
		undo()
		r.has("f", []byte("the server's"))
		r.reads("/f", []byte("the server's"))
		r.unmount()
		recovered(t, r, "/f", []byte("mine"))
		if f := r.m.Status().Failures; len(f) != 1 || f[0].Path != "/f" {
			t.Errorf("failures %+v", f)
		}
	}
}

func recovered(t *testing.T, r *rig, p string, want []byte) {
	t.Helper()
	s, err := cache.Open(r.dir, identity, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := s.Recovery()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if got, err := os.ReadFile(e.File); e.Path == p && err == nil && bytes.Equal(got, want) {
			return
		}
	}
	t.Errorf("%s is not in the recovery folder: %+v", p, list)
}

// An upload that is cut anywhere, or whose reply is lost, is done again; close
// succeeds only with the whole file on the server.
func TestCutUploadsAreRepeated(t *testing.T) {
	want := random(500 << 10)
	for name, f := range map[string]ftptest.Fault{
		"before STOR":   ftptest.DropBefore("STOR"),
		"at once":       ftptest.CutData("STOR", 0),
		"in the middle": ftptest.CutData("STOR", 200<<10),
		"by reset":      ftptest.CutData("STOR", 200<<10).ByReset(),
		"before 226":    ftptest.DropAfter("STOR"),
		"at SIZE":       ftptest.DropBefore("SIZE"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.save("/first", nil)
			defer r.srv.Fault(f.Once())()
			h := r.create("/f")
			r.write(h, 0, want)
			if err := h.Flush(t.Context()); err != nil {
				t.Logf("close told: %v", err)
				r.drain()
			}
			r.has("f", want)
			h.Release()
		})
	}
}

// A 226 for an upload that was cut is found out by SIZE.
func TestCutUploadIsNeverTakenForWhole(t *testing.T) {
	r := newRig(t)
	r.save("/first", nil)
	undo := r.srv.Fault(ftptest.CutData("STOR", 100<<10))
	undo2 := r.srv.Fault(ftptest.ReplaceReply("STOR", 426, 226, "Transfer complete"))
	want := random(300 << 10)
	h := r.create("/f")
	r.write(h, 0, want)
	if err := h.Flush(t.Context()); err == nil {
		t.Error("close succeeded")
	}
	h.Release()
	if p := r.m.Status().Pending; len(p) != 1 {
		t.Errorf("pending %v", p)
	}
	undo()
	undo2()
	r.drain()
	r.has("f", want)
}

// The server goes away: close fails, the mount shows what was written, and it
// is uploaded when the server is back.
func TestServerGoesAwayAndComesBack(t *testing.T) {
	r := newRig(t)
	r.save("/f", []byte("old"))
	r.srv.Stop()
	h := r.open("/f", transfer.How{Write: true, Truncate: true})
	r.write(h, 0, []byte("new"))
	if err := h.Flush(t.Context()); !errors.Is(err, conn.ErrHostDown) {
		t.Errorf("close: %v", err)
	}
	h.Release()
	if a, ok := r.m.Local("/f"); !ok || a.Size != 3 {
		t.Errorf("local %+v, %v", a, ok)
	}
	r.srv.Restart()
	r.drain()
	r.has("f", []byte("new"))
}
