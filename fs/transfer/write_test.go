package transfer_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
)

func TestSaveIsOnTheServerWhenFlushReturns(t *testing.T) {
	r := newRig(t)
	want := random(1 << 20)
	r.save("/f", want)
	r.has("f", want)
	r.reads("/f", want)
	if n := r.srv.Count("RETR"); n != 0 {
		t.Errorf("%d RETR of what was just written", n)
	}
	if p := r.m.Status().Pending; len(p) != 0 {
		t.Errorf("pending %v", p)
	}
}

// The first create in a directory shows that it is writable; from then on a
// shell's "echo x > f" is one STOR: its FLUSH before the WRITE sends nothing.
func TestEchoIsOneStor(t *testing.T) {
	r := newRig(t)
	r.save("/first", nil)
	r.srv.ResetLog()
	h := r.create("/f")
	r.flush(h) // the shell closes the descriptor that it has moved to 1
	r.write(h, 0, []byte("x\n"))
	r.flush(h)
	h.Release()
	r.drain()
	if n := r.srv.Count("STOR"); n != 1 {
		t.Errorf("%d STOR, want 1", n)
	}
	r.has("f", []byte("x\n"))
}

// Children that write one descriptor in turn cost at most two uploads a second.
func TestSharedDescriptorIsUploadedOnceASecond(t *testing.T) {
	r := newRig(t)
	r.save("/first", nil)
	r.srv.ResetLog()
	h := r.create("/f")
	var want []byte
	start := time.Now()
	for i := range 100 {
		line := []byte{byte('0' + i%10), '\n'}
		r.write(h, int64(len(want)), line)
		want = append(want, line...)
		r.flush(h)
	}
	took := time.Since(start)
	h.Release()
	r.drain()
	r.has("f", want)
	if n, most := r.srv.Count("STOR"), 2+int(took/time.Second); n > most {
		t.Errorf("%d STOR in %v, want at most %d", n, took, most)
	}
}

// A close that comes while the upload of that second is under way is not the
// beginning of another.
func TestSharedDescriptorIsClosedDuringItsUpload(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.save("/first", nil)
		h := r.create("/f")
		r.write(h, 0, []byte("one "))
		r.flush(h)
		r.write(h, 4, []byte("two "))
		r.flush(h) // a second after the first
		defer r.srv.Fault(ftptest.DelayReply("STOR", 226, time.Second).Once())()
		time.Sleep(1500 * time.Millisecond)
		r.srv.ResetLog()
		r.write(h, 8, []byte("three"))
		r.flush(h)
		if n := r.srv.Count("STOR"); n != 0 {
			t.Errorf("%d STOR of a close in the second of the one before", n)
		}
		h.Release()
		r.drain()
		r.has("f", []byte("one two three"))
	})
}

func TestCreatedAndEmptiedFilesReachTheServerAtRelease(t *testing.T) {
	r := newRig(t)
	r.put("full", []byte("content"))
	r.save("/first", nil)
	h := r.create("/touched")
	r.flush(h)
	h.Release()
	h = r.open("/full", transfer.How{Write: true, Truncate: true})
	r.flush(h)
	r.has("full", []byte("content")) // a shell's O_TRUNC alone is not sent by a close
	h.Release()
	r.drain()
	r.has("touched", []byte{})
	r.has("full", []byte{})
}

// A program that makes a temporary file, closes it and opens it again to write
// it, as LibreOffice does, costs one upload, however long it takes.
func TestCreatedAndWrittenLater(t *testing.T) {
	for name, wait := range map[string]time.Duration{"at once": 0, "soon": time.Second} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, r *rig) {
				r.save("/first", nil)
				r.drain()
				r.srv.ResetLog()
				r.create("/f").Release()
				h := r.open("/f", transfer.How{Write: true})
				time.Sleep(wait)
				r.write(h, 0, []byte("content"))
				if err := h.Sync(t.Context()); err != nil {
					t.Error(err)
				}
				r.has("f", []byte("content"))
				r.flush(h)
				h.Release()
				settle()
				if n := r.srv.Count("STOR"); n != 1 {
					t.Errorf("%d STOR", n)
				}
			})
		})
	}
}

// A file that is only created is on the server a moment after its last close,
// also if somebody has opened it again and never writes.
func TestCreatedAndNotWritten(t *testing.T) {
	virtual(t, func(t *testing.T, r *rig) {
		r.save("/first", nil)
		r.drain()
		r.create("/f").Release()
		settle()
		r.has("f", []byte{})
		r.create("/g").Release()
		h := r.open("/g", transfer.How{Write: true})
		settle()
		r.has("g", nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		r.has("g", []byte{})
		h.Release()
	})
}

func TestCreateIsRefusedAtOpen(t *testing.T) {
	r := newRig(t)
	undo := r.srv.Fault(ftptest.Refuse("STOR", 550, "/f: Permission denied"))
	if _, _, err := r.m.Create(t.Context(), "/f", 0o644, false, true); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("create: %v", err)
	}
	if _, err := r.tree.Lookup(t.Context(), "/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("afterwards: %v", err)
	}
	undo()
	r.put("f", []byte("somebody's"))
	if _, _, err := r.m.Create(t.Context(), "/f", 0o644, true, true); !errors.Is(err, fs.ErrExist) {
		t.Errorf("O_EXCL: %v", err)
	}
}

// O_EXCL asks the server when the listing is old.
func TestExclusiveCreateSeesOthersFiles(t *testing.T) {
	r := newRig(t)
	if _, err := r.tree.List(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.srv.Root, "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	<-time.After(1100 * time.Millisecond) // older than what is trusted
	if _, _, err := r.m.Create(t.Context(), "/f", 0o644, true, false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
}

func TestPartialWritesKeepTheRest(t *testing.T) {
	r := newRig(t)
	want := random(700 << 10)
	r.put("f", want)
	h := r.open("/f", transfer.How{Write: true})
	patch := random(5000)
	for _, off := range []int{100, 300 << 10, len(want) - 10} {
		r.write(h, int64(off), patch)
		want = append(want[:off:off], append(bytes.Clone(patch), want[min(len(want), off+len(patch)):]...)...)
	}
	r.handleReads(h, want)
	r.flush(h)
	h.Release()
	r.has("f", want)
}

func TestTruncate(t *testing.T) {
	r := newRig(t)
	content := random(300 << 10)
	for _, c := range []struct{ down, up int }{{0, 100}, {1000, 5000}, {299 << 10, 400 << 10}} {
		r.put("f", content)
		h := r.open("/f", transfer.How{Write: true})
		for _, n := range []int{c.down, c.up} {
			if err := h.Truncate(int64(n)); err != nil {
				t.Fatal(err)
			}
		}
		r.flush(h)
		h.Release()
		r.has("f", append(bytes.Clone(content[:c.down]), make([]byte, c.up-c.down)...))
	}
}

// cp -p sets mode and time before it closes: both go with the upload.
func TestTimeAndModeGoWithTheUpload(t *testing.T) {
	r := newRig(t)
	h, _, err := r.m.Create(t.Context(), "/f", 0o600, false, true)
	if err != nil {
		t.Fatal(err)
	}
	r.write(h, 0, []byte("x"))
	at := time.Date(2002, 3, 4, 5, 6, 7, 0, time.UTC)
	if err := r.m.SetTime(t.Context(), "/f", at); err != nil {
		t.Fatal(err)
	}
	if err := r.m.Chmod(t.Context(), "/f", 0o640); err != nil {
		t.Fatal(err)
	}
	r.flush(h)
	h.Release()
	st, err := os.Stat(filepath.Join(r.srv.Root, "f"))
	if err != nil || !st.ModTime().Equal(at) || st.Mode().Perm() != 0o640 {
		t.Errorf("%v %v, %v", st.ModTime(), st.Mode(), err)
	}
	if e, err := r.tree.Lookup(t.Context(), "/f"); err != nil || !e.Time.Equal(at) {
		t.Errorf("the tree shows %v, %v", e.Time, err)
	}
}

// What a close called safe is what the server gets, although the next program
// is already writing.
func TestDeferredUploadSendsWhatWasSealed(t *testing.T) {
	r := newRig(t)
	r.save("/first", []byte("1"))
	h := r.create("/f")
	r.write(h, 0, []byte("one\n"))
	r.flush(h)
	r.write(h, 4, []byte("two\n"))
	r.flush(h) // within a second: the journal has it
	next := r.open("/f", transfer.How{Write: true, Truncate: true})
	r.write(next, 0, []byte("half"))
	h.Release()
	r.drain()
	r.has("f", []byte("one\ntwo\n"))
	r.write(next, 4, []byte(" and half"))
	r.flush(next)
	next.Release()
	r.has("f", []byte("half and half"))
}

// A close of one descriptor does not upload what another is in the middle of.
func TestReleaseLeavesAnotherWriterAlone(t *testing.T) {
	r := newRig(t)
	r.put("f", []byte("whole"))
	h := r.open("/f", transfer.How{Write: true, Truncate: true})
	r.write(h, 0, []byte("half"))
	other := r.open("/f", transfer.How{Write: true})
	r.flush(other)
	other.Release()
	r.drain()
	r.has("f", []byte("whole"))
	r.flush(h)
	h.Release()
	r.has("f", []byte("half"))
}

// Somebody else's change is not overwritten, and who has the file open goes on
// with ours.
func TestLostUpdateIsKept(t *testing.T) {
	r := newRig(t)
	r.put("f.txt", []byte("base"))
	h := r.open("/f.txt", transfer.How{Write: true})
	r.write(h, 0, []byte("ours"))
	r.put("f.txt", []byte("theirs"))
	r.flush(h)
	r.has("f.txt", []byte("theirs"))
	all, err := filepath.Glob(filepath.Join(r.srv.Root, "f.conflict-*.txt"))
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	r.handleReads(h, []byte("ours"))
	r.write(h, 4, []byte("!"))
	r.flush(h)
	h.Release()
	r.drain()
	r.has(filepath.Base(all[0]), []byte("ours!"))
	r.has("f.txt", []byte("theirs"))
}

// No temporary name is left, neither by an upload nor by one that failed, and
// none is ever shown.
func TestTemporaryNames(t *testing.T) {
	r := newRig(t)
	r.put("d/old", []byte("old"))
	r.put("d/.ftpfs-00000000-aaaa.tmp", []byte("of another mount"))
	r.save("/d/f", []byte("new"))
	r.save("/d/old", []byte("replaced"))
	undo := r.srv.Fault(ftptest.Refuse("RNTO", 550, "Rename permission denied"))
	r.save("/d/old", []byte("in place"))
	undo()
	r.has("d/old", []byte("in place"))
	defer r.srv.Fault(ftptest.Refuse("STOR", 552, "Disk quota exceeded"))()
	h := r.open("/d/old", transfer.How{Write: true, Truncate: true})
	r.write(h, 0, []byte("too much"))
	if err := h.Flush(t.Context()); !errors.Is(err, conn.ErrQuota) {
		t.Errorf("close: %v", err)
	}
	h.Release()
	r.has("d/old", []byte("in place")) // a full server costs nobody the old version
	on, err := os.ReadDir(filepath.Join(r.srv.Root, "d"))
	if err != nil || len(on) != 3 {
		t.Errorf("on the server: %v, %v", on, err)
	}
	if l, err := r.tree.List(t.Context(), "/d"); err != nil || len(l) != 2 {
		t.Errorf("shown: %v, %v", l, err)
	}
}
