package transfer_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/conn/ftptest/server"
	"ftpfs/fs/transfer"
)

// appendRig is a server with the file /log, of which nothing is here, large
// enough to be appended to.
func appendRig(t *testing.T, overwrites bool, test func(t *testing.T, r *rig, log []byte)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ftptest.WithNetwork(ftptest.NewNetwork(time.Millisecond)),
			ftptest.WithConfig(func(c *server.Config) { c.AppendOverwrites = overwrites }))
		log := random(4<<20 + 3)
		r.put("log", log)
		r.srv.ResetLog()
		test(t, r, log)
	})
}

// appendTo writes more at the end of /log, as a shell's >> does.
func (r *rig) appendTo(more []byte) error {
	r.Helper()
	h := r.open("/log", transfer.How{Write: true})
	defer h.Release()
	if _, err := h.Append(more); err != nil {
		r.Fatal(err)
	}
	return h.Flush(r.Context())
}

func (r *rig) count(verb string, want int) {
	r.Helper()
	if n := r.srv.Count(verb); n != want {
		r.Errorf("%d %s, want %d", n, verb, want)
	}
}

// Only the tail travels, once the server has shown that it appends.
func TestAppendSendsTheTail(t *testing.T) {
	appendRig(t, false, func(t *testing.T, r *rig, log []byte) {
		for _, line := range []string{"one\n", "two\n"} {
			log = append(log, line...)
			if err := r.appendTo([]byte(line)); err != nil {
				t.Error(err)
			}
			r.has("log", log)
		}
		r.count("APPE", 3) // one to try it out
		r.reads("/log", log)
		r.names("", "log")
		r.remount(8, transfer.Options{})
		if err := r.appendTo([]byte("three\n")); err != nil {
			t.Error(err)
		}
		r.has("log", append(log, "three\n"...))
	})
}

// A server whose APPE overwrites gets the whole file.
func TestAppendToAServerThatOverwrites(t *testing.T) {
	appendRig(t, true, func(t *testing.T, r *rig, log []byte) {
		if err := r.appendTo([]byte("one\n")); err != nil {
			t.Error(err)
		}
		r.has("log", append(log, "one\n"...))
		r.count("APPE", 1)
		r.names("", "log")
	})
}

// An append that is cut anywhere is finished, nothing twice.
func TestCutAppend(t *testing.T) {
	more := random(100 << 10)
	for name, f := range map[string]ftptest.Fault{
		"before APPE":   ftptest.DropBefore("APPE"),
		"in the middle": ftptest.CutData("APPE", 40<<10),
		"before 226":    ftptest.DropAfter("APPE"),
		"at MFMT":       ftptest.DropBefore("MFMT"),
	} {
		t.Run(name, func(t *testing.T) {
			appendRig(t, false, func(t *testing.T, r *rig, log []byte) {
				if err := r.appendTo([]byte("known\n")); err != nil {
					t.Error(err)
				}
				defer r.srv.Fault(f.Once())()
				if err := r.appendTo(more); err != nil {
					t.Logf("close told: %v", err)
				}
				r.drain()
				r.has("log", append(append(log, "known\n"...), more...))
				r.names("", "log")
			})
		})
	}
}

// The same when the mount dies: the next one sends what is missing.
func TestCutAppendIsFinishedByTheNextMount(t *testing.T) {
	more := random(100 << 10)
	appendRig(t, false, func(t *testing.T, r *rig, log []byte) {
		if err := r.appendTo([]byte("known\n")); err != nil {
			t.Error(err)
		}
		undo := r.srv.Fault(ftptest.CutData("APPE", 40<<10))
		if err := r.appendTo(more); err == nil {
			t.Error("close succeeded")
		}
		r.unmount()
		undo()
		r.mount(8)
		r.drain()
		r.has("log", append(append(log, "known\n"...), more...))
		if n := r.srv.Count("RETR"); n > 1 { // of the part of the tail
			t.Errorf("%d RETR", n)
		}
	})
}

// Somebody else's version is not appended to; the tail is kept.
func TestAppendToAnotherVersion(t *testing.T) {
	appendRig(t, false, func(t *testing.T, r *rig, log []byte) {
		h := r.open("/log", transfer.How{Write: true})
		if _, err := h.Append([]byte("ours\n")); err != nil {
			t.Fatal(err)
		}
		r.theirs("log", []byte("THEIRS"))
		if err := h.Flush(t.Context()); !errors.Is(err, conn.ErrBusy) {
			t.Errorf("close: %v", err)
		}
		h.Release()
		r.has("log", []byte("THEIRS"))
		r.reads("/log", []byte("THEIRS"))
		r.unmount()
		recovered(t, r, "/log", append(make([]byte, len(log)), "ours\n"...))
	})
}

// Other changes need the whole file, and those that come later do not spoil
// what is appended.
func TestAppendAndOtherChanges(t *testing.T) {
	appendRig(t, false, func(t *testing.T, r *rig, log []byte) {
		h := r.open("/log", transfer.How{Write: true})
		r.write(h, 10, []byte("patched"))
		copy(log[10:], "patched")
		if _, err := h.Append([]byte("one\n")); err != nil {
			t.Fatal(err)
		}
		log = append(log, "one\n"...)
		r.flush(h)
		r.has("log", log)
		h.Release()
		h = r.open("/log", transfer.How{Write: true})
		undo := r.srv.Fault(ftptest.DelayReply("APPE", 226, time.Second))
		if _, err := h.Append([]byte("two\n")); err != nil {
			t.Fatal(err)
		}
		closed := begin(func() error { return h.Flush(t.Context()) })
		settle()
		if _, err := h.Append([]byte("three\n")); err != nil { // while the tail is under way
			t.Fatal(err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		undo()
		r.has("log", append(bytes.Clone(log), "two\n"...))
		h.Release()
		r.drain()
		r.has("log", append(bytes.Clone(log), "two\nthree\n"...))
		r.reads("/log", append(log, "two\nthree\n"...))
	})
}
