package transfer_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/fs/transfer"
)

// What a mount has read serves the next one, as long as the server has the
// same version.
func TestCopiesSurviveARemount(t *testing.T) {
	r := newRig(t)
	want, other := random(300<<10), random(300<<10 + 1)[:300<<10]
	r.put("d/f", want)
	r.put("d/g", want)
	r.reads("/d/f", want)
	r.reads("/d/g", want)
	r.unmount()
	r.put("d/g", other) // of the same size
	r.mount(8)
	r.reads("/d/f", want)
	if n := r.srv.Count("RETR"); n != 0 {
		t.Errorf("%d RETR after a remount, want 0", n)
	}
	r.reads("/d/g", other)
	if n := r.srv.Count("RETR"); n != 1 {
		t.Errorf("%d RETR of a changed file, want 1", n)
	}
}

// A file that was changed just now can change again and look the same: its
// copy is not trusted. One that we wrote ourselves is, in the same mount.
func TestRacyCopiesAreNotTrusted(t *testing.T) {
	r := newRig(t)
	r.put("f", []byte("one"))
	now := time.Now()
	set := func(content string) {
		p := filepath.Join(r.srv.Root, "f")
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, now, now); err != nil {
			t.Fatal(err)
		}
	}
	set("two")
	r.reads("/f", []byte("two"))
	set("six")
	r.reads("/f", []byte("six"))
	r.save("/ours", []byte("written here"))
	r.srv.ResetLog()
	r.reads("/ours", []byte("written here"))
	if n := r.srv.Count("RETR"); n != 0 {
		t.Errorf("%d RETR of what we wrote, want 0", n)
	}
	r.unmount()
	r.mount(8)
	r.reads("/ours", []byte("written here"))
	if n := r.srv.Count("RETR"); n != 1 {
		t.Errorf("%d RETR after a remount of what was just written, want 1", n)
	}
}

// Who opens a file while the server is away has what was known of it a while
// ago: before more of it is fetched, the server is asked for its version.
func TestOpenDuringAnOutageIsChecked(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.opts.Stale = time.Hour
		r.remount(8, transfer.Options{})
		old, other := bytes.Repeat([]byte("old "), 1<<20), bytes.Repeat([]byte("new "), 1<<20)
		r.put("f", old)
		part := make([]byte, 4096)
		h := r.open("/f", transfer.How{})
		if _, err := h.ReadAt(t.Context(), part, 0); err != nil {
			t.Fatal(err)
		}
		h.Release()
		time.Sleep(time.Minute) // what was fetched ahead has ended
		back := r.away()
		time.Sleep(time.Minute)
		h = r.open("/f", transfer.How{})
		defer h.Release()
		r.theirs("f", other)
		back()
		time.Sleep(500 * time.Millisecond)
		if _, err := h.ReadAt(t.Context(), part, int64(len(old)-len(part))); !errors.Is(err, conn.ErrConflict) {
			t.Errorf("%q…, %v, want that the file has changed", part[:4], err)
		}
	})
}
