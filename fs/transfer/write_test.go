package transfer_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/cache"
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

func TestUnlinkWhileOpen(t *testing.T) {
	r := newRig(t)
	want := random(300 << 10)
	r.put("f", want)
	h := r.open("/f", transfer.How{Write: true})
	if err := r.m.Remove(t.Context(), "/f"); err != nil {
		t.Fatal(err)
	}
	r.handleReads(h, want)
	if !h.Attr().Unlinked {
		t.Error("the handle does not know that the file has no name")
	}
	r.write(h, 0, []byte("never uploaded"))
	r.flush(h)
	if err := h.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	h.Release()
	r.drain()
	r.has("f", nil)
	if n := r.srv.Count("STOR"); n != 0 {
		t.Errorf("%d STOR", n)
	}
	r.save("/f", []byte("another")) // the name is free
	r.has("f", []byte("another"))
}

func TestUnlinkOfAFileThatWasNeverUploaded(t *testing.T) {
	r := newRig(t)
	r.save("/first", nil)
	r.srv.ResetLog()
	h := r.create("/f")
	r.write(h, 0, []byte("x"))
	if err := r.m.Remove(t.Context(), "/f"); err != nil {
		t.Fatal(err)
	}
	r.flush(h)
	h.Release()
	if n := r.srv.Count("STOR") + r.srv.Count("DELE"); n != 0 {
		t.Errorf("%d commands for a file that the server never saw", n)
	}
	if _, err := r.tree.Lookup(t.Context(), "/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lookup: %v", err)
	}
}

func TestRenameOfOpenFiles(t *testing.T) {
	r := newRig(t)
	want := random(200 << 10)
	r.put("a", want)
	r.put("target", []byte("old"))
	h := r.open("/a", transfer.How{Write: true})
	old := r.open("/target", transfer.How{})
	r.write(h, 0, []byte("changed"))
	if err := r.m.Rename(t.Context(), "/a", "/target", false); err != nil {
		t.Fatal(err)
	}
	copy(want, "changed")
	r.handleReads(h, want)
	r.handleReads(old, []byte("old"))
	r.flush(h)
	h.Release()
	old.Release()
	r.has("a", nil)
	r.has("target", want)
}

func TestRenameOfAFileThatWasNeverUploaded(t *testing.T) {
	r := newRig(t)
	r.put("target", []byte("old"))
	r.save("/first", nil)
	r.srv.ResetLog()
	h := r.create("/tmp")
	r.write(h, 0, []byte("new"))
	if err := r.m.Rename(t.Context(), "/tmp", "/target", false); err != nil {
		t.Fatal(err)
	}
	r.flush(h)
	h.Release()
	for _, c := range r.srv.Log() {
		if c.Arg == "/tmp" {
			t.Errorf("%s %s: the server never heard of it", c.Verb, c.Arg)
		}
	}
	r.has("tmp", nil)
	r.has("target", []byte("new"))
}

func TestRenamedDirectoryOfOpenFiles(t *testing.T) {
	r := newRig(t)
	r.put("d/sub/f", []byte("old"))
	h := r.open("/d/sub/f", transfer.How{Write: true})
	r.write(h, 0, []byte("new"))
	if err := r.m.Rename(t.Context(), "/d", "/e", false); err != nil {
		t.Fatal(err)
	}
	r.flush(h)
	h.Release()
	r.has("e/sub/f", []byte("new"))
	r.has("d/sub/f", nil)
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

// A big file that is open and hardly read keeps its content on the server,
// under a temporary name, until the last close.
func TestUnlinkOfABigOpenFile(t *testing.T) {
	r := newRig(t)
	want := random(40 << 20)
	r.put("big", want)
	r.put("tmp", []byte("new"))
	for _, c := range []struct {
		name string
		lose func() error
	}{
		{"unlink", func() error { return r.m.Remove(t.Context(), "/big") }},
		{"rename over", func() error { return r.m.Rename(t.Context(), "/tmp", "/big", false) }},
	} {
		r.put("big", want)
		h := r.open("/big", transfer.How{})
		if _, err := h.ReadAt(t.Context(), make([]byte, 10), 39<<20); err != nil {
			t.Fatal(err)
		}
		if err := c.lose(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		r.handleReads(h, want)
		if _, err := r.tree.Lookup(t.Context(), "/big"); c.name == "unlink" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", c.name, err)
		}
		h.Release()
	}
	r.unmount()
	r.mount(8) // what the end of the first mount cut short, the next one finishes
	r.has("big", []byte("new"))
	for end := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) { // it does so in the background
		all, err := os.ReadDir(r.srv.Root)
		if err == nil && len(all) == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("left on the server: %v, %v", all, err)
		}
	}
}
