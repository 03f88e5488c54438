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

// cuts are the moments at which an upload can break off.
var cuts = map[string]ftptest.Fault{
	"before STOR": ftptest.DropBefore("STOR"),
	"inside":      ftptest.CutData("STOR", 4),
	"before 226":  ftptest.DropAfter("STOR"),
}

// Between an upload that failed and the next try somebody else wrote.
func TestRetryOverwritesNobody(t *testing.T) {
	for name, f := range cuts {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.cutUpload(f)
				r.drain()
				r.hasBoth("f", []byte("THEIRS"), []byte("our version"))
			})
		})
	}
}

// The same where uploads go over the file itself.
func TestRetryInPlaceOverwritesNobody(t *testing.T) {
	for name, f := range cuts {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.uploadInPlace()
				r.cutUpload(f)
				r.drain()
				r.hasBoth("f", []byte("THEIRS"), []byte("our version"))
			})
		})
	}
}

// uploadInPlace makes uploads go over their files, from the next one on that
// replaces something: the server does not rename.
func (r *rig) uploadInPlace() {
	r.Helper()
	r.srv.Fault(ftptest.Refuse("RNFR", 550, "Rename permission denied"))
	r.save("/first", []byte("tells how to upload"))
}

// cutUpload leaves a new version of /f pending, and THEIRS on the server.
func (r *rig) cutUpload(f ftptest.Fault) {
	r.Helper()
	r.put("f", []byte("base"))
	h := r.open("/f", transfer.How{Write: true, Truncate: true})
	undo := r.srv.Fault(f)
	r.write(h, 0, []byte("our version"))
	r.flushFails(h)
	h.Release()
	r.theirs("f", []byte("THEIRS"))
	undo()
}

// meetTheirs writes /f and closes it although somebody else has changed it
// since; the upload of the conflict copy meets f.
func (r *rig) meetTheirs(f ftptest.Fault) (end func()) {
	r.Helper()
	r.put("f", []byte("base"))
	h := r.open("/f", transfer.How{Write: true, Truncate: true})
	r.write(h, 0, []byte("our version"))
	r.theirs("f", []byte("THEIRS"))
	undo := r.srv.Fault(ftptest.DelayReply("RNFR", 350, time.Second))
	done := begin(func() error { return h.Flush(r.Context()) })
	settle() // it is checked what would be replaced
	end = r.srv.Fault(f)
	undo()
	if err := <-done; err == nil {
		r.Error("close succeeded")
	}
	h.Release()
	return end
}

func TestCutUploadOfAConflictCopyIsRepeated(t *testing.T) {
	for name, f := range cuts {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.meetTheirs(f)()
				r.drain()
				r.hasBoth("f", []byte("THEIRS"), []byte("our version"))
			})
		})
	}
}

func TestCutUploadOfAConflictCopyIsFinishedByTheNextMount(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		end := r.meetTheirs(ftptest.DropBefore("STOR"))
		r.unmount()
		end()
		r.mount(8)
		r.drain()
		r.hasBoth("f", []byte("THEIRS"), []byte("our version"))
	})
}

// While the conflict copy is uploaded somebody here writes on.
func TestConflictCopyGetsWhatIsWrittenMeanwhile(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("f", []byte("base"))
		h := r.open("/f", transfer.How{Write: true, Truncate: true})
		next := r.open("/f", transfer.How{Write: true})
		r.write(h, 0, []byte("ours"))
		r.theirs("f", []byte("THEIRS"))
		defer r.srv.Fault(ftptest.DelayReply("STOR", 226, time.Second))()
		done := begin(func() error { return h.Flush(t.Context()) })
		settle()
		r.write(next, 4, []byte(" and more"))
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.flush(next)
		h.Release()
		next.Release()
		r.drain()
		r.hasBoth("f", []byte("THEIRS"), []byte("ours and more"))
	})
}

// Bytes of the old version are needed to make the new one whole, and the
// server does not have them any more: close says so, and the mount goes on.
func TestPartialWriteOfAFileThatChanged(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("f", random(300<<10))
		h := r.open("/f", transfer.How{Write: true})
		r.write(h, 1000, []byte("patch"))
		theirs := random(200 << 10)
		r.theirs("f", theirs)
		time.Sleep(2 * time.Second) // what open learned is old
		if err := h.Flush(t.Context()); !errors.Is(err, conn.ErrConflict) {
			t.Errorf("close: %v", err)
		}
		h.Release()
		r.drain()
		r.has("f", theirs)
		r.reads("/f", theirs)
		if f := r.m.Status().Failures; len(f) != 1 {
			t.Errorf("failures %+v", f)
		}
	})
}

// A reader holds the file of that name that was there before.
func TestCreateOverAFileThatVanished(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		old := random(1000)
		r.put("log", old)
		reader := r.open("/log", transfer.How{})
		defer reader.Release()
		r.handleReads(reader, old)
		if err := os.Remove(filepath.Join(r.srv.Root, "log")); err != nil {
			t.Fatal(err)
		}
		r.tree.ForgetAll()
		r.save("/log", []byte("x\n"))
		r.drain()
		r.has("log", []byte("x\n"))
	})
}

// The server has carried out an upload, and is gone before it could say so. The
// program writes again. What is on the server is ours then: no conflict.
func TestLostConfirmationOfASupersededVersion(t *testing.T) {
	for name, c := range map[string]struct{ replaces, remount, same bool }{
		"new file":                             {false, false, false},
		"new file, remounted":                  {false, true, false},
		"replaced file":                        {true, false, false},
		"replaced file, remounted":             {true, true, false},
		"of the same size, in the same second": {false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.unmount()
				r.mount(1)
				if c.replaces {
					r.put("f", []byte("base"))
				}
				r.save("/first", nil) // the directory can be written to
				h := r.create("/f")
				r.write(h, 0, []byte("version 1"))
				defer r.srv.Fault(ftptest.DropAfter("RNTO").Once())()
				back := r.srv.Fault(ftptest.Refuse(ftptest.Greeting, 450, "Service not available"))
				r.flushFails(h)
				r.has("f", []byte("version 1"))
				second := []byte("version 2")
				if !c.same {
					time.Sleep(time.Second) // the next version has another time
					second = []byte("version 2!")
				}
				r.write(h, 0, second)
				r.flushFails(h)
				h.Release()
				if c.remount {
					r.unmount()
				}
				back()
				if c.remount {
					r.mount(8)
				}
				r.drain()
				r.has("f", second)
				r.names("", "f", "first")
			})
		})
	}
}

// Where the server sets no times, the content tells that a version is ours.
func TestLostConfirmationWithoutTimes(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		defer r.srv.Fault(ftptest.Refuse("MFMT", 500, "MFMT not understood"))()
		r.put("f", []byte("base"))
		h := r.open("/f", transfer.How{Write: true, Truncate: true})
		r.write(h, 0, []byte("ours"))
		time.Sleep(time.Minute)
		defer r.srv.Fault(ftptest.DropAfter("RNTO").Once())()
		r.flush(h)
		h.Release()
		settle()
		r.has("f", []byte("ours"))
		r.names("", "f")
	})
}

// While nobody can be asked whose the version on the server is, it is nobody's.
func TestConflictIsNoneUntilTheServerWasAsked(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.unmount()
		r.mount(1) // session 2
		r.put("f", []byte("base"))
		h := r.open("/f", transfer.How{Write: true, Truncate: true})
		r.write(h, 0, []byte("ours"))
		defer r.srv.Fault(ftptest.DropAfter("RNTO").Times(2))() // the upload, and its repetition when it finds itself
		for _, session := range []int{4, 5} {                   // for the look at it, and to remove what is left
			defer r.srv.Fault(ftptest.Refuse(ftptest.Greeting, 450, "Service not available").OnSession(session))()
		}
		r.flushFails(h)
		h.Release()
		r.drain()
		settle() // what attempts have left is removed after
		r.has("f", []byte("ours"))
		r.names("", "f")
	})
}

// The temporary file that shows whose files we make is removed also when it
// was not seen how it was made.
func TestCutProbeLeavesNothing(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.put("f", []byte("base"))
		h := r.open("/f", transfer.How{Write: true, Truncate: true})
		r.write(h, 0, []byte("ours"))
		defer r.srv.Fault(ftptest.DropBefore("MDTM").Once())()
		r.flush(h)
		h.Release()
		settle()
		r.has("f", []byte("ours"))
		r.names("", "f")
	})
}
