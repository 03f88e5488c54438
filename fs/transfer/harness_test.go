package transfer_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/conn/ftp"
	"ftpfs/conn/ftptest"
	"ftpfs/fs/transfer"
	"ftpfs/fs/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a server and what stands on it.
type rig struct {
	*testing.T
	srv       *ftptest.Server
	dir       string // of the cache
	pool      *conn.Pool
	tree      *tree.Tree
	store     *cache.Store
	m         *transfer.Manager
	opts      tree.Options
	how       transfer.Options // of the next mount
	cacheSize int64            // of the next mount
	puts      int              // files put on the server, each with a time of its own
}

const identity = "u@test"

func newRig(t *testing.T, opts ...ftptest.Option) *rig {
	r := &rig{T: t, srv: ftptest.Start(t, opts...), dir: t.TempDir(), cacheSize: 1 << 30}
	r.mount(8)
	return r
}

// virtual runs test on a rig in virtual time, on a network in memory. What
// takes a second there takes none here. The files of the server get the times
// of the real clock.
func virtual(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, newRig(t, ftptest.WithNetwork(ftptest.NewNetwork(time.Millisecond))))
	})
}

// mount starts a pool, a tree and a Manager, as a mount does; they end with
// the test or at unmount.
func (r *rig) mount(sessions int) {
	r.Helper()
	cfg, err := conn.ParseURL(r.srv.URL())
	if err != nil {
		r.Fatal(err)
	}
	cfg.Timeout, cfg.Dial, cfg.FactsFile = 2*time.Second, r.srv.Dial, filepath.Join(r.dir, "facts")
	cfg.TLS.Mode = conn.TLSOff // round trips are counted without the question for it
	pool := conn.NewPool(ftp.Dialer(cfg), conn.PoolOptions{Max: sessions})
	tr, err := tree.New(r.Context(), pool, "", r.opts)
	if err != nil {
		r.Fatal(err)
	}
	store, err := cache.Open(r.dir, identity, cache.Options{CacheSize: r.cacheSize})
	if err != nil {
		r.Fatal(err)
	}
	m, err := transfer.New(pool, tr, store, r.how)
	if err != nil {
		r.Fatal(err)
	}
	r.pool, r.tree, r.store, r.m = pool, tr, store, m
	r.Cleanup(func() { m.Close(); pool.Close() })
	r.srv.ResetLog()
}

// unmount ends what mount started, without a drain.
func (r *rig) unmount() {
	r.Helper()
	if err := r.m.Close(); err != nil {
		r.Error(err)
	}
	r.pool.Close()
}

// remount ends the mount and starts another with these options.
func (r *rig) remount(sessions int, o transfer.Options) {
	r.Helper()
	r.unmount()
	r.how = o
	r.mount(sessions)
}

func (r *rig) put(name string, content []byte) {
	r.Helper()
	p := filepath.Join(r.srv.Root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(p, content, 0o644); err != nil {
		r.Fatal(err)
	}
	r.puts++
	old := time.Now().Add(-time.Hour + time.Duration(r.puts)*time.Second).Truncate(time.Second)
	if err := os.Chtimes(p, old, old); err != nil {
		r.Fatal(err)
	}
	r.tree.ForgetAll()
}

// has fails unless the server has exactly content at name; nil: no such file.
func (r *rig) has(name string, content []byte) {
	r.Helper()
	got, err := os.ReadFile(filepath.Join(r.srv.Root, name))
	switch {
	case content == nil && !os.IsNotExist(err):
		r.Errorf("%s is on the server: %d bytes, %v", name, len(got), err)
	case content != nil && err != nil:
		r.Error(err)
	case !bytes.Equal(got, content):
		r.Errorf("%s: the server has %d bytes that are not the %d wanted", name, len(got), len(content))
	}
}

func (r *rig) open(p string, how transfer.How) *transfer.Handle {
	r.Helper()
	h, err := r.m.Open(r.Context(), p, how)
	if err == nil && how.Truncate {
		err = h.Empty()
	}
	if err != nil {
		r.Fatal(err)
	}
	return h
}

func (r *rig) create(p string) *transfer.Handle {
	r.Helper()
	h, _, err := r.m.Create(r.Context(), p, 0o644, false, true)
	if err != nil {
		r.Fatal(err)
	}
	return h
}

func (r *rig) write(h *transfer.Handle, off int64, p []byte) {
	r.Helper()
	if n, err := h.WriteAt(p, off); n != len(p) || err != nil {
		r.Fatal(n, err)
	}
}

func (r *rig) flush(h *transfer.Handle) {
	r.Helper()
	if err := h.Flush(r.Context()); err != nil {
		r.Error(err)
	}
}

// save writes a file as cp does.
func (r *rig) save(p string, content []byte) {
	r.Helper()
	h := r.create(p)
	r.write(h, 0, content)
	r.flush(h)
	h.Release()
}

// reads fails unless the file at p reads as want.
func (r *rig) reads(p string, want []byte) {
	r.Helper()
	h := r.open(p, transfer.How{})
	defer h.Release()
	r.handleReads(h, want)
}

func (r *rig) handleReads(h *transfer.Handle, want []byte) {
	r.Helper()
	got, err := readAll(r.Context(), h, 64<<10)
	if err != nil || !bytes.Equal(got, want) {
		r.Errorf("read %d bytes, want %d; error %v", len(got), len(want), err)
	}
}

func readAll(ctx context.Context, h *transfer.Handle, block int) (all []byte, err error) {
	buf := make([]byte, block)
	for {
		n, err := h.ReadAt(ctx, buf, int64(len(all)))
		if n == 0 || err != nil {
			return all, err
		}
		all = append(all, buf[:n]...)
	}
}

func (r *rig) drain() {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	if err := r.m.Drain(ctx, nil); err != nil {
		r.Errorf("drain: %v; pending %v", err, r.m.Status().Pending)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(n)})
	src.Read(b)
	return b
}

// settle lets half a second of virtual time pass, 500 round trips: whatever
// is not held up is done then, and what waits for a second still waits.
func settle() {
	time.Sleep(500 * time.Millisecond)
	synctest.Wait()
}

// theirs writes a file on the server as another client does; nobody here is
// told of it.
func (r *rig) theirs(name string, content []byte) {
	r.Helper()
	if err := os.WriteFile(filepath.Join(r.srv.Root, name), content, 0o644); err != nil {
		r.Fatal(err)
	}
}

// zeros puts a file of n zeros on the server that takes no room there.
func (r *rig) zeros(name string, n int64) {
	r.Helper()
	r.put(name, nil)
	if err := os.Truncate(filepath.Join(r.srv.Root, name), n); err != nil {
		r.Fatal(err)
	}
}

// stat returns what the server has at name.
func (r *rig) stat(name string) os.FileInfo {
	r.Helper()
	st, err := os.Stat(filepath.Join(r.srv.Root, name))
	if err != nil {
		r.Fatal(err)
	}
	return st
}

// names fails unless the server has exactly these names in dir.
func (r *rig) names(dir string, want ...string) {
	r.Helper()
	all, err := os.ReadDir(filepath.Join(r.srv.Root, dir))
	if err != nil {
		r.Fatal(err)
	}
	var got []string
	for _, e := range all {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		r.Errorf("on the server in /%s (-want +got):\n%s", dir, diff)
	}
}

// hasBoth fails unless the server has theirs at name and ours in the only
// conflict copy of it.
func (r *rig) hasBoth(name string, theirs, ours []byte) {
	r.Helper()
	r.has(name, theirs)
	all, err := filepath.Glob(filepath.Join(r.srv.Root, name+".conflict-*"))
	if err != nil || len(all) != 1 {
		r.Errorf("conflict copies of %s: %v, %v", name, all, err)
		return
	}
	r.has(filepath.Base(all[0]), ours)
}

// begin runs fn beside the test; its error comes from the channel.
func begin(fn func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	return done
}

// away makes the server refuse all sessions until back is called. It returns
// when we have noticed: a verb that must not run twice is not repeated after a
// session that has ended just then.
func (r *rig) away() (back func()) {
	back = r.srv.Fault(ftptest.Refuse(ftptest.Greeting, 421, "Service not available"))
	r.srv.DropSessions()
	r.srv.WaitSessions(0)
	time.Sleep(10 * time.Millisecond) // ten round trips
	synctest.Wait()
	return back
}

// flushFails closes h and fails if that succeeds.
func (r *rig) flushFails(h *transfer.Handle) {
	r.Helper()
	if err := h.Flush(r.Context()); err == nil {
		r.Error("close succeeded")
	}
}
