package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/jlaffaye/ftp"

	"ftpfs/conn"
)

// login answers what the library says at login, with features.
func (p *peer) login(features ...string) {
	p.say("220 hi")
	p.expect("USER u", "331 password?")
	p.expect("PASS p", "230 in")
	p.expect("FEAT", "211-Features:")
	for _, f := range features {
		p.say("211-" + f)
	}
	p.say("211 End")
	p.expect("TYPE I", "200 ok")
}

// epsv answers EPSV and returns the data connection that follows. The server
// closes it.
func (p *peer) epsv() net.Conn {
	p.t.Helper()
	return p.passive("EPSV", func(port int) string { return fmt.Sprintf("229 passive (|||%d|)", port) })
}

func (p *peer) passive(command string, answer func(port int) string) net.Conn {
	p.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Error(err)
		return nil
	}
	defer l.Close()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
	p.expect(command, answer(l.Addr().(*net.TCPAddr).Port))
	c, err := l.Accept()
	if err != nil {
		p.t.Error(err)
		return nil
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// sends is a data connection that sends content.
func sends(c net.Conn, content string) {
	io.WriteString(c, content)
	c.Close()
}

// connect logs the library in and leaves a verb open.
func connect(t *testing.T, cfg conn.Config) (*Control, *ftp.ServerConn) {
	t.Helper()
	c, end, err := NewServer(cfg).Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(); c.Close() })
	lib, err := ftp.Dial("", ftp.DialWithDialFunc(c.DialFunc), ftp.DialWithDisabledUTF8(true))
	if err != nil {
		t.Fatal(err)
	}
	if err := lib.Login("u", "p"); err != nil {
		t.Fatal(err)
	}
	return c, lib
}

// content reads a download to its end.
func content(t *testing.T, r *ftp.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestFeaturesAreRecorded(t *testing.T) {
	c, _ := connect(t, serve(t, func(p *peer) { p.login("MLST type*;", "PRET"); p.gone() }))
	if got := c.Features().Lines; len(got) != 4 || got[1] != "MLST type*;" {
		t.Errorf("features %q", got)
	}
}

// A raw transfer goes through the library's Retr; PRET is not sent; the
// transfer may end with 226, 225 or 250.
func TestRawTransfer(t *testing.T) {
	for _, code := range []int{226, 225, 250} {
		c, lib := connect(t, serve(t, func(p *peer) {
			p.login("PRET")
			d := p.epsv()
			p.expect("MLSD /dir", "150 here")
			sends(d, "type=file; a\r\n")
			p.say(fmt.Sprint(code, "-Options: -l"), fmt.Sprint(code, " Output truncated"))
			p.expect("NOOP", "200 ok")
			p.gone()
		}))
		r, err := lib.Retr(Raw("MLSD /dir"))
		if got := content(t, r, err); got != "type=file; a\r\n" {
			t.Errorf("got %q", got)
		}
		if _, r := c.Last(); !strings.Contains(r.Text(), "truncated") || r.Code != code {
			t.Errorf("last reply %v", r)
		}
		if _, err := c.Command("NOOP"); err != nil {
			t.Error(err)
		}
	}
}

// A path that holds the mark of raw transfers is a path.
func TestMarkInPath(t *testing.T) {
	const path = "/x \x01DELE /y"
	_, lib := connect(t, serve(t, func(p *peer) {
		p.login()
		p.epsv()
		p.expect("RETR "+path, "550 no such file")
		p.gone()
	}))
	if r, err := lib.Retr(path); err == nil {
		r.Close()
		t.Error("no error")
	}
}

// Wherever PASV says, the data connection goes to the server.
func TestPASVAddressIsNotUsed(t *testing.T) {
	_, lib := connect(t, serve(t, func(p *peer) {
		p.login()
		p.expect("EPSV", "500 what?")
		d := p.passive("PASV", func(port int) string {
			return fmt.Sprintf("227 Entering Passive Mode (192,0,2,1,%d,%d).", port>>8, port&0xff)
		})
		p.expect("RETR /f", "125 here")
		sends(d, "data")
		p.say("226 done")
		p.gone()
	}))
	r, err := lib.Retr("/f")
	if got := content(t, r, err); got != "data" {
		t.Errorf("got %q", got)
	}
}

// An EPSV that ends the session is no reason to go on with PASV.
func TestEPSVAnswered421(t *testing.T) {
	c, lib := connect(t, serve(t, func(p *peer) {
		p.login()
		p.expect("EPSV", "421 Timeout.")
		p.gone()
	}))
	if _, err := lib.Retr("/f"); err == nil || c.Sent() {
		t.Errorf("Retr: %v, sent %v", err, c.Sent())
	}
	if err := c.Err(); !errors.Is(err, conn.ErrHostDown) {
		t.Errorf("Err: %v", err)
	}
}

// A REST that no transfer has used up is taken back before the next one.
func TestRESTIsDisarmed(t *testing.T) {
	c, lib := connect(t, serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		p.expect("REST 5", "350 ok")
		p.expect("RETR /missing", "550 no such file")
		d.Close()
		d = p.epsv()
		p.expect("REST 0", "350 ok")
		p.expect("STOR /f", "150 go")
		io.Copy(io.Discard, d)
		d.Close()
		p.say("226 done")
		d = p.epsv()
		p.expect("REST 7", "350 ok")
		p.expect("RETR /f", "150 here")
		sends(d, "rest")
		p.say("226 done")
		d = p.epsv()
		p.expect("RETR /f", "150 here")
		sends(d, "whole")
		p.say("226 done")
		p.gone()
	}))
	var refused *textproto.Error
	if _, err := lib.RetrFrom("/missing", 5); !errors.As(err, &refused) || refused.Code != 550 {
		t.Errorf("RetrFrom: %v", err)
	}
	if !c.Sent() {
		t.Error("RETR was sent")
	}
	if err := lib.Stor("/f", strings.NewReader("x")); err != nil {
		t.Errorf("Stor: %v", err)
	}
	r, err := lib.RetrFrom("/f", 7)
	if got := content(t, r, err); got != "rest" {
		t.Errorf("got %q", got)
	}
	r, err = lib.Retr("/f")
	if got := content(t, r, err); got != "whole" {
		t.Errorf("got %q", got)
	}
}

// Pure-FTPd's last reply to a download that was given up is a second 150.
func TestGivenUpDownload(t *testing.T) {
	for _, last := range []string{"150 0.2 seconds (measured here)", "426 aborted", "226 it was all sent"} {
		c, lib := connect(t, serve(t, func(p *peer) {
			p.login()
			d := p.epsv()
			p.expect("RETR /f", "150 here")
			for _, err := io.WriteString(d, "x"); err == nil; _, err = io.WriteString(d, strings.Repeat("x", 1<<16)) {
			}
			d.Close()
			p.say(last)
			p.expect("NOOP", "200 ok")
			p.gone()
		}))
		r, err := lib.Retr("/f")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		r.Close() // its error is the reply
		if r, err := c.Command("NOOP"); err != nil || r.Code != 200 {
			t.Errorf("after %q: %v, %v", last, r, err)
		}
	}
}

// A second 150 while the data still comes is not the end of the transfer.
func TestSecond150(t *testing.T) {
	_, lib := connect(t, serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		p.expect("RETR /f", "150 here", "150 half of it")
		sends(d, "data")
		p.say("226 done")
		p.gone()
	}))
	r, err := lib.Retr("/f")
	if got := content(t, r, err); got != "data" {
		t.Errorf("got %q", got)
	}
}

// The library's own check misses NUL.
func TestNULFromTheLibrary(t *testing.T) {
	c, lib := connect(t, serve(t, func(p *peer) { p.login(); p.gone() }))
	if err := lib.Delete("/a\x00b"); !errors.Is(err, conn.ErrInvalidName) {
		t.Errorf("Delete: %v", err)
	}
	if c.Err() == nil {
		t.Error("the library's writer keeps the error: the session must end")
	}
}

// On a network without TCP the library still gets the address it asks for.
func TestRemoteAddr(t *testing.T) {
	here, there := net.Pipe()
	go func() {
		io.WriteString(there, "220 hi\r\n")
		io.Copy(io.Discard, there)
	}()
	cfg := conn.Config{Host: "memory", Port: 21, Dial: func(context.Context, string, string) (net.Conn, error) { return here, nil }}
	c, end, err := NewServer(cfg).Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer end()
	if _, err := ftp.Dial("", ftp.DialWithDialFunc(c.DialFunc)); err != nil {
		t.Fatal(err)
	}
	if c.opener.(*passive).host != "memory" {
		t.Errorf("data connections go to %q", c.opener.(*passive).host)
	}
}
