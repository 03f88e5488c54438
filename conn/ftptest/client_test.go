package ftptest_test

import (
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ftpfs/conn/ftptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const rtt = 20 * time.Millisecond

// virtual runs f against a server on a network with a round-trip time of rtt,
// in virtual time.
func virtual(t *testing.T, f func(t *testing.T, s *ftptest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, ftptest.Start(t, ftptest.WithNetwork(ftptest.NewNetwork(rtt))))
	})
}

// client is as plain as an FTP client can be: one command, one reply.
type client struct {
	t    *testing.T
	s    *ftptest.Server
	conn net.Conn
	text *textproto.Conn
}

func dial(t *testing.T, s *ftptest.Server) *client {
	t.Helper()
	c, err := s.Dial(t.Context(), "tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, s, c, textproto.NewConn(c)}
}

func login(t *testing.T, s *ftptest.Server) *client {
	t.Helper()
	c := dial(t, s)
	c.expect("220 ftpfs FTP server ready")
	c.cmd("USER u", "331 Password required for u")
	c.cmd("PASS p", "230 User u logged in")
	c.cmd("TYPE I", "200 Type set to I")
	return c
}

// read returns the next reply, or the error in its place.
func (c *client) read() string {
	code, text, err := c.text.ReadResponse(0)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", code, text)
}

func (c *client) expect(want string) {
	c.t.Helper()
	if got := c.read(); got != want {
		c.t.Errorf("got %q, want %q", got, want)
	}
}

func (c *client) send(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		c.t.Error(err)
	}
}

func (c *client) cmd(line, want string) {
	c.t.Helper()
	c.send(line)
	if got := c.read(); got != want {
		c.t.Errorf("%s: got %q, want %q", line, got, want)
	}
}

func (c *client) data() net.Conn {
	c.t.Helper()
	c.send("EPSV")
	reply := c.read()
	m := regexp.MustCompile(`^229 .*\(\|\|\|(\d+)\|\)$`).FindStringSubmatch(reply)
	if m == nil {
		c.t.Fatalf("EPSV: %q", reply)
	}
	d, err := c.s.Dial(c.t.Context(), "tcp", "127.0.0.1:"+m[1])
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { d.Close() })
	return d
}

// get downloads; the final reply may be an error's text.
func (c *client) get(line string) (content, final string, err error) {
	c.t.Helper()
	d := c.data()
	c.send(line)
	if r := c.read(); !strings.HasPrefix(r, "150 ") {
		d.Close()
		return "", r, nil
	}
	b, err := io.ReadAll(d)
	d.Close()
	return string(b), c.read(), err
}

// put uploads.
func (c *client) put(line, content string) (final string) {
	c.t.Helper()
	d := c.data()
	c.send(line)
	if r := c.read(); !strings.HasPrefix(r, "150 ") {
		d.Close()
		return r
	}
	if _, err := io.WriteString(d, content); err != nil {
		c.t.Log(err)
	}
	d.Close()
	return c.read()
}
