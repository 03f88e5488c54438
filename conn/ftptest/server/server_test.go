package server_test

import (
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"ftpfs/conn/ftptest/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves a folder in which u with the password p may do everything.
func start(t *testing.T, cfg server.Config) (root, addr string) {
	t.Helper()
	if cfg.Root == "" {
		cfg.Root = t.TempDir()
	}
	if cfg.Users == nil {
		cfg.Users = map[string]string{"u": "p"}
	}
	s, err := server.Listen("127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := s.Sessions(); n != 0 {
			t.Errorf("%d sessions after Close", n)
		}
	})
	return cfg.Root, s.Addr().String()
}

// client speaks FTP as a person at a terminal does.
type client struct {
	t    *testing.T
	conn net.Conn
	text *textproto.Conn
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	cl := &client{t, c, textproto.NewConn(c)}
	cl.expect("220 ftpfs FTP server ready")
	return cl
}

func login(t *testing.T, addr string) *client {
	t.Helper()
	c := dial(t, addr)
	c.cmd("USER u", "331 Password required for u")
	c.cmd("PASS p", "230 User u logged in")
	c.cmd("TYPE I", "200 Type set to I")
	return c
}

func (c *client) read() string {
	c.t.Helper()
	code, text, err := c.text.ReadResponse(0)
	if err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", code, text)
}

func (c *client) expect(want string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.read()); diff != "" {
		c.t.Error(diff)
	}
}

func (c *client) send(lines string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, lines); err != nil {
		c.t.Fatal(err)
	}
}

// cmd sends a line and checks the reply.
func (c *client) cmd(line, want string) {
	c.t.Helper()
	c.send(line + "\r\n")
	got := c.read()
	if got != want {
		c.t.Errorf("%s: got %q, want %q", line, got, want)
	}
}

// data opens a passive data connection.
func (c *client) data() *net.TCPConn {
	c.t.Helper()
	return c.dialData("")
}

// dialData is data, from a local address.
func (c *client) dialData(from string) *net.TCPConn {
	c.t.Helper()
	c.send("EPSV\r\n")
	reply := c.read()
	m := regexp.MustCompile(`^229 .*\(\|\|\|(\d+)\|\)$`).FindStringSubmatch(reply)
	if m == nil {
		c.t.Fatalf("EPSV: %q", reply)
	}
	return c.connect("127.0.0.1:"+m[1], from)
}

func (c *client) connect(addr, from string) *net.TCPConn {
	c.t.Helper()
	var d net.Dialer
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// get runs a transfer to us and returns what came, and the final reply.
func (c *client) get(line string) (content, final string) {
	c.t.Helper()
	d := c.data()
	c.send(line + "\r\n")
	if r := c.read(); !strings.HasPrefix(r, "150 ") {
		d.Close()
		return "", r
	}
	b, err := io.ReadAll(d)
	if err != nil {
		c.t.Fatal(err)
	}
	d.Close()
	return string(b), c.read()
}

// put runs a transfer from us and returns the final reply.
func (c *client) put(line, content string) string {
	c.t.Helper()
	d := c.data()
	c.send(line + "\r\n")
	if r := c.read(); !strings.HasPrefix(r, "150 ") {
		d.Close()
		return r
	}
	if _, err := io.WriteString(d, content); err != nil {
		c.t.Fatal(err)
	}
	d.Close()
	return c.read()
}

// tree makes files and directories (names that end in "/") in root.
func tree(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, name)
		dir := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if dir == path {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
