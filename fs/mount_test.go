package fs_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ftpfs/cache"
	"ftpfs/conn"
	"ftpfs/conn/ftp"
	"ftpfs/conn/ftptest"
	"ftpfs/fs"
	"ftpfs/fs/transfer"
	"ftpfs/fs/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mounted is a mount that this process serves. What uses it is done by child
// processes: a process that waits for its own mount may wait for ever.
type mounted struct {
	*testing.T
	srv  *ftptest.Server
	dir  string // where it is mounted
	pool *conn.Pool
	tree *tree.Tree
	m    *transfer.Manager
	mnt  *fs.Mount

	store *cache.Store
	puts  int // files put on the server, each with a time of its own
}

// mount mounts an empty server until the test ends. Its root is known to be
// writable, so that a create does not store an empty file first.
func mount(t *testing.T) *mounted {
	t.Helper()
	return mountWith(t, fs.Options{})
}

func mountWith(t *testing.T, o fs.Options, opts ...ftptest.Option) *mounted {
	t.Helper()
	r := &mounted{T: t, srv: ftptest.Start(t, opts...), dir: t.TempDir()}
	cfg, err := conn.ParseURL(r.srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	pool := conn.NewPool(ftp.Dialer(cfg), conn.PoolOptions{})
	r.pool = pool
	t.Cleanup(func() { pool.Close() })
	if r.tree, err = tree.New(t.Context(), pool, "", tree.Options{}); err != nil {
		t.Fatal(err)
	}
	store, err := cache.Open(t.TempDir(), "u@test", cache.Options{CacheSize: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	r.store = store
	if r.m, err = transfer.New(pool, r.tree, store, transfer.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.m.Close() })
	o.Mountpoint, o.FSName, o.UID, o.GID = r.dir, "test", uint32(os.Getuid()), uint32(os.Getgid())
	if r.mnt, err = fs.New(r.tree, r.m, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.mnt.Unmount(context.Background()); err != nil {
			t.Error(err)
		}
		r.mnt.Wait()
	})
	r.tree.SetWritable("/")
	return r
}

// run runs a program in the mount and returns what it prints; the test fails
// if the program does.
func (r *mounted) run(name string, args ...string) string {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `cd "$0" && exec "$@"`, r.dir, name}, args...)...)
	var stderr bytes.Buffer
	c.Dir, c.Stderr = "/", &stderr
	out, err := c.Output()
	if err != nil {
		r.Fatalf("%s %q: %v: %s", name, args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// program is a shell that runs beside the test.
type program struct {
	*mounted
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start starts a script in the mount.
func (r *mounted) start(script string) *program {
	r.Helper()
	c := exec.CommandContext(r.Context(), "/bin/sh", "-ec", `cd "$0"; `+script, r.dir)
	c.Dir = "/"
	in, err := c.StdinPipe()
	if err != nil {
		r.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		r.Fatal(err)
	}
	if err := c.Start(); err != nil {
		r.Fatal(err)
	}
	return &program{r, c, in, bufio.NewReader(out)}
}

// expect reads a line that the program prints.
func (p *program) expect(want string) {
	p.Helper()
	if got, err := p.out.ReadString('\n'); err != nil || strings.TrimSpace(got) != want {
		p.Fatalf("the program prints %q, %v; want %q", got, err, want)
	}
}

// say gives the program a line.
func (p *program) say() {
	p.Helper()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		p.Error(err)
	}
}

// end gives the program a line and waits for its end.
func (p *program) end() {
	p.Helper()
	p.say()
	if _, err := io.Copy(io.Discard, p.out); err != nil {
		p.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.Error(err)
	}
}

func (r *mounted) sh(script string) string {
	r.Helper()
	return r.run("sh", "-ec", script)
}

// put writes a file on the server as another client does, with a time of its
// own. Only what the kernel and nobody else knows of it stays as it was: the
// listing is forgotten, as if it were too old.
func (r *mounted) put(name, content string) {
	r.Helper()
	p := filepath.Join(r.srv.Root, name)
	r.puts++
	at := time.Now().Add(-time.Hour + time.Duration(r.puts)*time.Second).Truncate(time.Second)
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		r.Fatal(err)
	}
	if err := os.Chtimes(p, at, at); err != nil {
		r.Fatal(err)
	}
	r.tree.ForgetAll()
}

// has fails unless the server has exactly content at name.
func (r *mounted) has(name, content string) {
	r.Helper()
	got, err := os.ReadFile(filepath.Join(r.srv.Root, name))
	if err != nil || string(got) != content {
		r.Errorf("%s on the server: %d bytes, %.40q, %v; want %d, %.40q", name, len(got), got, err, len(content), content)
	}
}

func (r *mounted) drain() {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	if err := r.m.Drain(ctx, nil); err != nil {
		r.Errorf("drain: %v; pending %v", err, r.m.Status().Pending)
	}
}
