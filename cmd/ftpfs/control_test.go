package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeMount stands in for a mount behind a control socket.
type fakeMount struct {
	pending   int           // that flush and umount count down
	block     chan struct{} // flush and umount wait for it, if not nil
	note      string
	err       error
	refreshed chan struct{}
	cancelled chan struct{} // closed when a waiting command's context ends
}

func (f *fakeMount) status() mountStatus {
	return mountStatus{PID: 42, URL: "ftp://me@h/", Mountpoint: "/mnt/x", Mounted: true}
}

func (f *fakeMount) refresh(string) { close(f.refreshed) }

func (f *fakeMount) flush(ctx context.Context, progress func(int)) error {
	for n := f.pending; n >= 0; n-- {
		progress(n)
	}
	if f.block != nil {
		select {
		case <-f.block:
		case <-ctx.Done():
			close(f.cancelled)
			return ctx.Err()
		}
	}
	return f.err
}

func (f *fakeMount) umount(ctx context.Context, progress func(int)) (string, error) {
	return f.note, f.flush(ctx, progress)
}

func (f *fakeMount) handOver(context.Context) error { return errors.New("it is mounted") }

// serveFake answers for f at a mountpoint until the test ends.
func serveFake(t *testing.T, f *fakeMount) (s *controlServer, dirs []string) {
	t.Helper()
	// Not t.TempDir: the path of a socket must be short.
	dir, err := os.MkdirTemp("", "ftpfs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	dirs = []string{filepath.Join(dir, "missing", "folder"), filepath.Join(dir, "run")}
	s, err = listenControl(dirs, os.Getuid(), "/mnt/x", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.serve(f)
	return s, dirs
}

// ask sends one command and returns the pending counts and the last response.
func ask(t *testing.T, dirs []string, command string) (pending []int, last response, err error) {
	t.Helper()
	c, err := dialMount(t.Context(), dirs, "/mnt/x")
	if err != nil {
		t.Fatal(err)
	}
	last, err = c.do(t.Context(), command, func(r response) {
		if r.Pending != nil {
			pending = append(pending, *r.Pending)
		}
	})
	return pending, last, err
}

func TestControlCommands(t *testing.T) {
	f := &fakeMount{pending: 2, note: "still open", refreshed: make(chan struct{})}
	s, dirs := serveFake(t, f)
	if st, err := os.Stat(s.path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v", st.Mode(), err)
	}
	if _, r, err := ask(t, dirs, cmdStatus); err != nil || r.Status == nil || !cmp.Equal(*r.Status, f.status()) {
		t.Errorf("status: %+v, %v", r.Status, err)
	}
	if pending, _, err := ask(t, dirs, cmdFlush); err != nil || !cmp.Equal(pending, []int{2, 1, 0}) {
		t.Errorf("flush: %v, %v", pending, err)
	}
	if pending, r, err := ask(t, dirs, cmdUmount); err != nil || len(pending) != 3 || r.Note != "still open" {
		t.Errorf("umount: %v, %+v, %v", pending, r, err)
	}
	if _, _, err := ask(t, dirs, cmdRefresh); err != nil {
		t.Errorf("refresh: %v", err)
	}
	<-f.refreshed
	for command, says := range map[string]string{cmdHandOver: "it is mounted", "format": `unknown command "format"`} {
		if _, _, err := ask(t, dirs, command); err == nil || err.Error() != says {
			t.Errorf("%s: %v", command, err)
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, err := dialMount(t.Context(), dirs, "/mnt/x"); !errors.Is(err, errNoControl) {
		t.Errorf("after close: %v", err)
	}
}

func TestControlFailure(t *testing.T) {
	s, dirs := serveFake(t, &fakeMount{err: errors.New("two\nlines")})
	defer s.close()
	if _, _, err := ask(t, dirs, cmdFlush); err == nil || err.Error() != "two lines" {
		t.Errorf("%v", err)
	}
}

func TestControlClientGoesAway(t *testing.T) {
	f := &fakeMount{block: make(chan struct{}), cancelled: make(chan struct{})}
	s, dirs := serveFake(t, f)
	defer s.close()
	c, err := dialMount(t.Context(), dirs, "/mnt/x")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.do(ctx, cmdFlush, func(response) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	<-f.cancelled
}

// TestControlCloseEndsAll checks that close leaves neither requests that wait
// nor clients that say nothing.
func TestControlCloseEndsAll(t *testing.T) {
	f := &fakeMount{block: make(chan struct{}), cancelled: make(chan struct{})}
	s, dirs := serveFake(t, f)
	silent, err := net.Dial("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c, err := dialMount(t.Context(), dirs, "/mnt/x")
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	_, err = c.do(t.Context(), cmdFlush, func(response) {
		go func() { failed <- s.close() }()
	})
	if err == nil {
		t.Error("a flush that was cut off succeeds")
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
	<-f.cancelled
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the silent client: %v", err)
	}
}

func TestControlBadRequests(t *testing.T) {
	s, dirs := serveFake(t, &fakeMount{})
	for _, text := range []string{"\n", "no JSON\n", `{"command":"status"`, strings.Repeat("x", maxRequest+1) + "\n"} {
		c, err := net.Dial("unix", s.path)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte(text)) // fails when the server has heard enough
		c.(*net.UnixConn).CloseWrite()
		if answer, _ := io.ReadAll(c); len(answer) != 0 {
			t.Errorf("%.20q is answered: %s", text, answer)
		}
		c.Close()
	}
	if _, _, err := ask(t, dirs, cmdStatus); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestControlTakesOverDeadSocket(t *testing.T) {
	s, dirs := serveFake(t, &fakeMount{})
	if err := s.listener.Close(); err != nil { // as a kill does: the file stays
		t.Fatal(err)
	}
	next, err := listenControl(dirs, os.Getuid(), "/mnt/x", s.log)
	if err != nil {
		t.Fatal(err)
	}
	next.serve(&fakeMount{})
	if _, _, err := ask(t, dirs, cmdStatus); err != nil {
		t.Error(err)
	}
	if err := next.close(); err != nil {
		t.Error(err)
	}
}

// TestControlRemovesDead checks that what a killed process left is removed by
// the next mount, and that a living one's socket stays.
func TestControlRemovesDead(t *testing.T) {
	s, dirs := serveFake(t, &fakeMount{})
	s.draining()
	dead := filepath.Join(filepath.Dir(s.path), drainPrefix+"1"+socketExt)
	l, err := listenUnix(dead)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	next, err := listenControl(dirs, os.Getuid(), "/mnt/y", s.log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead socket: %v", err)
	}
	if _, _, err := ask(t, dirs, cmdStatus); err != nil {
		t.Errorf("the living one: %v", err)
	}
	if err := errors.Join(s.close(), next.close()); err != nil {
		t.Error(err)
	}
}

// TestControlDraining checks that a process whose mount is gone frees the
// socket's name and can still be found.
func TestControlDraining(t *testing.T) {
	s, dirs := serveFake(t, &fakeMount{})
	s.draining()
	if _, _, err := ask(t, dirs, cmdStatus); err != nil {
		t.Errorf("the draining process: %v", err)
	}
	next, err := listenControl(dirs, os.Getuid(), "/mnt/x", s.log)
	if err != nil {
		t.Fatal(err)
	}
	next.serve(&fakeMount{note: "the next one"})
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if _, r, err := ask(t, dirs, cmdUmount); err != nil || r.Note != "the next one" {
		t.Errorf("the next mount: %+v, %v", r, err)
	}
	if err := next.close(); err != nil {
		t.Error(err)
	}
}

func TestRuntimeDir(t *testing.T) {
	none := func(string) string { return "" }
	if diff := cmp.Diff([]string{"/tmp/ftpfs-1000"}, runtimeDirs(none, 1000)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/run/ftpfs", "/tmp/ftpfs-0"}, runtimeDirs(none, 0)); diff != "" {
		t.Error(diff)
	}
	xdg := func(string) string { return "/run/user/1000" }
	if diff := cmp.Diff([]string{"/run/user/1000/ftpfs", "/tmp/ftpfs-1000"}, runtimeDirs(xdg, 1000)); diff != "" {
		t.Error(diff)
	}
	dir := filepath.Join(t.TempDir(), "d")
	for range 2 {
		if err := makeRuntimeDir(dir, os.Getuid()); err != nil {
			t.Fatal(err)
		}
	}
	if err := makeRuntimeDir(dir, os.Getuid()+1); err == nil {
		t.Error("the folder of another user is used")
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := makeRuntimeDir(dir, os.Getuid()); err == nil {
		t.Error("a folder that others can enter is used")
	}
	link := dir + "-link"
	if err := errors.Join(os.Chmod(dir, 0o700), os.Symlink(dir, link)); err != nil {
		t.Fatal(err)
	}
	if err := makeRuntimeDir(link, os.Getuid()); err == nil {
		t.Error("a symbolic link is followed")
	}
}

func TestStatusForPeople(t *testing.T) {
	st := mountStatus{PID: 42, URL: "ftp://me@h/", Mountpoint: "/mnt/x", Mounted: true, Since: time.Now(), CacheDir: "/c", Log: "/l"}
	st.Transfer.Bytes, st.Transfer.Copies = 3<<19, 2
	for range manyFiles + 3 {
		st.Transfer.Pending = append(st.Transfer.Pending, "/dir/a\nb")
	}
	var b strings.Builder
	if err := st.print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ftp://me@h/", "42", "2 files, 1.5 MiB in /c", "23 files", "/dir/a b\n", "and 3 more"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 5 << 40: "5.0 TiB", 5 << 50: "5120.0 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
}
