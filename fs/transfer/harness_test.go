package transfer_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

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
	srv  *ftptest.Server
	dir  string // of the cache
	pool *conn.Pool
	tree *tree.Tree
	m    *transfer.Manager
	puts int // files put on the server, each with a time of its own
}

const identity = "u@test"

func newRig(t *testing.T, opts ...ftptest.Option) *rig {
	r := &rig{T: t, srv: ftptest.Start(t, opts...), dir: t.TempDir()}
	r.mount(8)
	return r
}

// virtual runs test on a rig in virtual time, on a network in memory. What
// takes a second there takes none here, and synctest.Wait returns when
// everything stands still: an upload that a fault stalls, a stream that is far
// enough ahead. The files of the server have the times of the real clock.
func virtual(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(newRig(t, ftptest.WithNetwork(ftptest.NewNetwork(time.Millisecond))))
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
	cfg.Timeout, cfg.Dial = 2*time.Second, r.srv.Dial
	pool := conn.NewPool(ftp.Dialer(cfg), conn.PoolOptions{Max: sessions})
	tr, err := tree.New(r.Context(), pool, "", tree.Options{})
	if err != nil {
		r.Fatal(err)
	}
	store, err := cache.Open(r.dir, identity, cache.Options{CacheSize: 1 << 30})
	if err != nil {
		r.Fatal(err)
	}
	m, err := transfer.New(pool, tr, store, transfer.Options{})
	if err != nil {
		r.Fatal(err)
	}
	r.pool, r.tree, r.m = pool, tr, m
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
