package wire

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ftpfs/conn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is the server's end of a control connection, driven by a test.
type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// serve runs script as the server of one session and returns where it is. The
// test waits for the script's end.
func serve(t *testing.T, script func(p *peer)) conn.Config {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		script(&peer{t: t, Conn: c, r: bufio.NewReader(c)})
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return conn.Config{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Timeout: 5 * time.Second}
}

// say sends lines, each with its end.
func (p *peer) say(lines ...string) {
	for _, l := range lines {
		io.WriteString(p, l+"\r\n")
	}
}

// hear returns the next command, "" at the end of the connection.
func (p *peer) hear() string {
	line, err := p.r.ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimRight(line, "\r\n")
}

// expect reads a command, which must be want, and answers it.
func (p *peer) expect(want string, answer ...string) {
	p.t.Helper()
	if got := p.hear(); got != want {
		p.t.Errorf("server got %q, want %q", got, want)
	}
	p.say(answer...)
}

// gone waits for the end of the connection, at which nothing more may come
// than QUIT.
func (p *peer) gone() {
	p.t.Helper()
	for line := p.hear(); line != ""; line = p.hear() {
		if line != "QUIT" {
			p.t.Errorf("server got %q after the end", line)
		}
	}
}

// control connects to cfg and takes the greeting.
func control(t *testing.T, cfg conn.Config) *Control {
	t.Helper()
	c, end, err := NewServer(cfg).Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.lib.next(); err != nil {
		t.Fatal(err)
	}
	end()
	return c
}

// begin starts a verb that ends with the test.
func begin(t *testing.T, c *Control) {
	t.Helper()
	end, err := c.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
}
