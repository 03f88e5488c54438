package transfer_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

// A close outlasts an outage that is shorter than Retry.
func TestCloseOutlastsAnOutage(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.remount(8, transfer.Options{Retry: time.Minute})
		r.save("/first", nil)
		h := r.create("/f")
		r.write(h, 0, []byte("content"))
		back := r.away()
		closed := begin(func() error { return h.Flush(t.Context()) })
		time.Sleep(50 * time.Second)
		back()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		r.has("f", []byte("content"))
		h.Release()
	})
}

// One that is longer fails the close; the file is uploaded later all the same.
func TestCloseFailsAfterRetry(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.remount(8, transfer.Options{Retry: time.Minute})
		r.save("/first", nil)
		h := r.create("/f")
		r.write(h, 0, []byte("content"))
		back := r.away()
		start := time.Now()
		if err := h.Flush(t.Context()); err == nil || errors.Is(err, conn.ErrHostDown) || conn.OutcomeOf(err) == conn.Refused {
			t.Errorf("close: %v, want an error that is EIO", err)
		}
		if took := time.Since(start); took < 50*time.Second || took > 65*time.Second {
			t.Errorf("close took %v", took)
		}
		h.Release()
		if p := r.m.Status().Pending; len(p) != 1 {
			t.Errorf("pending %v", p)
		}
		back()
		time.Sleep(2 * time.Minute)
		r.has("f", []byte("content"))
	})
}

// A refusal is told at once, however long Retry is.
func TestRefusalIsNotRetried(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.remount(8, transfer.Options{Retry: time.Minute})
		r.save("/first", nil)
		defer r.srv.Fault(ftptest.Refuse("STOR", 553, "Could not create file."))()
		h := r.create("/f")
		defer h.Release()
		r.write(h, 0, []byte("content"))
		start := time.Now()
		r.flushFails(h)
		if took := time.Since(start); took > time.Second {
			t.Errorf("close took %v", took)
		}
	})
}

// Direct uploads use no temporary names, and look at what is there first
// unless an exclusive create has just done so.
func TestDirectUploads(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.remount(8, transfer.Options{Direct: true})
		r.save("/first", nil)
		r.srv.ResetLog()
		h, _, err := r.m.Create(t.Context(), "/new", 0o644, true, false)
		if err != nil {
			t.Fatal(err)
		}
		r.write(h, 0, []byte("new"))
		r.flush(h)
		h.Release()
		r.save("/first", []byte("again"))
		for _, c := range r.srv.Log() {
			if strings.Contains(c.Arg, ".tmp") || c.Verb == "RNFR" {
				t.Errorf("%s %s", c.Verb, c.Arg)
			}
		}
		if n := r.srv.Count("SIZE"); n != 3 { // one after each STOR, one before the second
			t.Errorf("%d SIZE, want 3", n)
		}
		r.has("new", []byte("new"))
		r.has("first", []byte("again"))
	})
}

func TestDirectUploadOverwritesNobody(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.remount(8, transfer.Options{Direct: true})
		r.save("/first", nil)
		h, _, err := r.m.Create(t.Context(), "/f", 0o644, true, false)
		if err != nil {
			t.Fatal(err)
		}
		r.write(h, 0, []byte("ours"))
		time.Sleep(2 * time.Second)
		r.theirs("f", []byte("theirs"))
		r.flush(h)
		h.Release()
		r.hasBoth("f", []byte("theirs"), []byte("ours"))
	})
}

// What becomes of a file that somebody else changed while it was written here.
func TestConflictModes(t *testing.T) {
	for name, c := range map[string]struct {
		mode transfer.ConflictMode
		path string
		fail bool
	}{
		"overwrite":  {transfer.Overwrite, "f", false},
		"fail":       {transfer.Fail, "f", true},
		"database":   {transfer.Overwrite, "x.sqlite3-wal", true},
		"repository": {transfer.KeepBoth, ".git/refs/heads/main", true},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.remount(8, transfer.Options{Conflict: c.mode})
				r.put(c.path, []byte("base"))
				h := r.open("/"+c.path, transfer.How{Write: true, Truncate: true})
				r.write(h, 0, []byte("ours"))
				r.theirs(c.path, []byte("THEIRS"))
				err := h.Flush(t.Context())
				h.Release()
				if !c.fail {
					if err != nil {
						t.Error(err)
					}
					r.has(c.path, []byte("ours"))
					return
				}
				if !errors.Is(err, conn.ErrBusy) {
					t.Errorf("close: %v", err)
				}
				r.has(c.path, []byte("THEIRS"))
				r.reads("/"+c.path, []byte("THEIRS"))
				r.unmount()
				recovered(t, r, "/"+c.path, []byte("ours"))
			})
		})
	}
}

// Exclusive creates in one directory, as cp and tar make them, cost one
// listing each half second, for which none of them waits, though each upload
// changes the directory.
func TestExclusiveCreatesListTwiceASecond(t *testing.T) {
	virtualBack(t, 8, func(t *testing.T, r *rig) {
		start := time.Now()
		for i := range 200 {
			h, _, err := r.m.Create(t.Context(), fmt.Sprintf("/f%d", i), 0o644, true, false)
			if err != nil {
				t.Fatal(err)
			}
			r.write(h, 0, []byte("x"))
			r.flush(h)
			h.Release()
			time.Sleep(20 * time.Millisecond)
		}
		if n, most := r.srv.Count("MLSD"), 1+int(time.Since(start)/(time.Second/2)); n > most {
			t.Errorf("%d listings in %v, want at most %d", n, time.Since(start), most)
		}
		r.theirs("theirs", []byte("x"))
		time.Sleep(1100 * time.Millisecond)
		if _, _, err := r.m.Create(t.Context(), "/theirs", 0o644, true, false); !errors.Is(err, fs.ErrExist) {
			t.Errorf("somebody else's file: %v", err)
		}
		r.drain()
	})
}
