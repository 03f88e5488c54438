package transfer_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
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
