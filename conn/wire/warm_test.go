package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ftpfs/conn"

	"github.com/jlaffaye/ftp"
)

// orderly is a server that keeps everything in order.
var orderly = Manners{Warm: true, Ahead: true, DataFirst: true}

// warmed logs the library in at a server with manners m, which has been asked
// for a data connection then.
func warmed(t *testing.T, cfg conn.Config, m Manners) (*Control, *ftp.ServerConn) {
	t.Helper()
	c, lib := connect(t, cfg)
	c.Tune(m)
	c.Warm()
	return c, lib
}

// becomesReady waits until the next data connection is there, or not to come.
func becomesReady(t *testing.T, c *Control) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !c.Ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no data connection becomes ready")
		}
	}
}

// epsvAhead answers an EPSV that comes before the end of the transfer under
// way, behind that.
func (p *peer) epsvAhead(end ...string) net.Conn {
	p.t.Helper()
	return p.passive("EPSV", func(port int) string {
		return strings.Join(append(end, fmt.Sprintf("229 passive (|||%d|)", port)), "\r\n")
	})
}

// untilDead waits until the connection that is warm has been closed.
func untilDead(t *testing.T, c *Control) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		dead := c.warm != nil && c.warm.dead()
		c.mu.Unlock()
		if dead {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the data connection does not end")
		}
	}
}

func TestWarm(t *testing.T) {
	c, lib := warmed(t, serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		p.expect("RETR /a", "150 here")
		sends(d, "first")
		d = p.epsvAhead("226 done")
		p.expect("MLSD /d", "150 here")
		sends(d, "second")
		d = p.epsvAhead("226 done")
		p.gone()
		d.Close()
	}), orderly)
	becomesReady(t, c)
	r, err := lib.Retr("/a")
	if got := content(t, r, err); got != "first" {
		t.Errorf("got %q", got)
	}
	becomesReady(t, c)
	r, err = lib.Retr(Raw("MLSD /d"))
	if got := content(t, r, err); got != "second" {
		t.Errorf("got %q", got)
	}
	becomesReady(t, c)
}

// A server that answers commands during a transfer hears EPSV after it.
func TestWarmAfter226(t *testing.T) {
	c, lib := warmed(t, serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		p.expect("RETR /a", "150 here")
		sends(d, "data")
		p.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if b, err := p.r.Peek(1); err == nil {
			t.Errorf("%q before the 226", b)
		}
		p.SetReadDeadline(time.Now().Add(10 * time.Second))
		p.say("226 done")
		d = p.epsv()
		p.gone()
		d.Close()
	}), Manners{Warm: true})
	r, err := lib.Retr("/a")
	if got := content(t, r, err); got != "data" {
		t.Errorf("got %q", got)
	}
	becomesReady(t, c)
}

// A connection that the server has closed meanwhile is replaced, and nobody
// notices.
func TestWarmConnectionDies(t *testing.T) {
	c, lib := warmed(t, serve(t, func(p *peer) {
		p.login()
		p.epsv().Close()
		d := p.epsv()
		p.expect("RETR /a", "150 here")
		sends(d, "data")
		d = p.epsvAhead("226 done")
		p.gone()
		d.Close()
	}), orderly)
	untilDead(t, c)
	r, err := lib.Retr("/a")
	if got := content(t, r, err); got != "data" {
		t.Errorf("got %q", got)
	}
	becomesReady(t, c)
}

// A verb that needs no data connection replaces it too.
func TestWarmConnectionIsReplacedByTheNextVerb(t *testing.T) {
	c := control(t, serve(t, func(p *peer) {
		p.say("220 hi")
		p.epsv().Close()
		d := p.epsv()
		p.expect("NOOP", "200 ok")
		p.gone()
		d.Close()
	}))
	c.Tune(orderly)
	c.Warm()
	untilDead(t, c)
	begin(t, c)
	if _, err := c.Command("NOOP"); err != nil {
		t.Error(err)
	}
	becomesReady(t, c)
}

// ProFTPD answers 425 on a connection that it does not know any more: the
// transfer begins again on another one, and what leads to it too. The second
// time that this happens there are no more warm connections.
func TestWarmConnectionIsNotTaken(t *testing.T) {
	c, lib := warmed(t, serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		for _, file := range []string{"/a", "/b"} {
			p.expect("REST 3", "350 ok")
			p.expect("RETR "+file, "425 Unable to build data connection")
			d.Close()
			d = p.epsv()
			p.expect("REST 3", "350 ok")
			p.expect("RETR "+file, "150 here")
			sends(d, "data")
			if file == "/a" {
				d = p.epsvAhead("226 done")
			} else {
				p.say("226 done")
			}
		}
		d = p.epsv()
		p.expect("RETR /c", "150 here")
		sends(d, "data")
		p.say("226 done")
		p.gone()
	}), orderly)
	for _, file := range []string{"/a", "/b"} {
		becomesReady(t, c)
		c.server.strikes.Store(int32(len(file[1:])) + int32(file[1]-'a') - 1) // a success between would take the first back
		r, err := lib.RetrFrom(file, 3)
		if got := content(t, r, err); got != "data" {
			t.Errorf("got %q", got)
		}
	}
	r, err := lib.Retr("/c")
	if got := content(t, r, err); got != "data" {
		t.Errorf("got %q", got)
	}
	if !c.Ready() {
		t.Error("without warm connections every session is ready")
	}
}

func TestNoWarm(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		p.expect("RETR /a", "150 here")
		sends(d, "data")
		p.say("226 done")
		p.gone()
	})
	cfg.NoWarm = true
	_, lib := warmed(t, cfg, orderly)
	r, err := lib.Retr("/a")
	if got := content(t, r, err); got != "data" {
		t.Errorf("got %q", got)
	}
}

// Where EPSV is refused PASV is asked for, and warm from then on.
func TestWarmPASV(t *testing.T) {
	pasv := func(port int) string {
		return fmt.Sprintf("227 Entering Passive Mode. 192,0,2,1,%d,%d", port>>8, port&0xff)
	}
	c, lib := warmed(t, serve(t, func(p *peer) {
		p.login()
		p.expect("EPSV", "502 not here")
		d := p.passive("PASV", pasv)
		p.expect("RETR /a", "150 here")
		sends(d, "data")
		d = p.passive("PASV", func(port int) string { return "226 done\r\n" + pasv(port) })
		p.gone()
		d.Close()
	}), orderly)
	r, err := lib.Retr("/a")
	if got := content(t, r, err); got != "data" {
		t.Errorf("got %q", got)
	}
	becomesReady(t, c)
}

// An answer to EPSV that is none ends the session: it may be that to another
// command. So does a second answer to anything.
func TestStrayReplyIsNotTakenForEPSV(t *testing.T) {
	for name, tt := range map[string]struct{ said []string }{
		"426 and 226": {[]string{"426 cut", "226 done"}},
		"226 twice":   {[]string{"226 done", "226 done"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, lib := warmed(t, serve(t, func(p *peer) {
				p.login()
				d := p.epsv()
				p.expect("RETR /a", "150 here")
				sends(d, "data")
				p.expect("EPSV")
				p.say(tt.said...)
				p.gone()
			}), orderly)
			r, err := lib.Retr("/a")
			if err != nil {
				t.Fatal(err)
			}
			io.ReadAll(r)
			r.Close()
			<-c.done
			if _, err := c.Command("DELE /x"); !errors.Is(err, conn.ErrProtocol) || conn.OutcomeOf(err) != conn.NotExecuted {
				t.Errorf("the next command: %v", err)
			}
		})
	}
}

// What was foretold and does not come true costs only its answer.
func TestForetell(t *testing.T) {
	c := control(t, serve(t, func(p *peer) {
		p.say("220 hi")
		for _, line := range []string{"A", "B", "C", "D"} {
			if got := p.hear(); got != line {
				t.Errorf("got %q", got)
			}
		}
		p.say("201 a", "202 b", "203 c", "204 d")
		p.expect("X", "205 x")
		p.gone()
	}))
	begin(t, c)
	c.Foretell("A", "B", "C", "D")
	for _, tt := range []struct {
		lines []string
		codes []int
	}{{[]string{"A"}, []int{201}}, {[]string{"B", "X"}, []int{202, 205}}} {
		rs, err := c.Pipeline(tt.lines...)
		if err != nil || len(rs) != len(tt.codes) {
			t.Fatalf("%v: %v, %v", tt.lines, rs, err)
		}
		for i, r := range rs {
			if r.Code != tt.codes[i] {
				t.Errorf("%s: %v", tt.lines[i], r)
			}
		}
	}
}

func TestPassivePort(t *testing.T) {
	for text, want := range map[string]int{
		"229 Entering Extended Passive Mode (|||6446|)":       6446,
		"229 ok (!!!6446!)":                                   6446,
		"229 ok (|1|192.0.2.1|6446|)":                         6446,
		"229 ok |||6446|":                                     0,
		"229 ok (|||0|)":                                      0,
		"229 ok (|||70000|)":                                  0,
		"229 ok ()":                                           0,
		"227 Entering Passive Mode (192,0,2,1,25,46).":        6446,
		"227 Entering Passive Mode 192,0,2,1,25,46":           6446,
		"227 =192,0,2,1,25,46":                                6446,
		"227 Entering Passive Mode (192,0,2,1,0,0)":           0,
		"227 Entering Passive Mode (192,0,2,1,256,1)":         0,
		"227 Entering Passive Mode (192,0,2,1,25)":            0,
		"200 port 6446":                                       0,
		"229 to PASV is taken as well (|||6446|) 1,2,3,4,5,6": 6446,
	} {
		r, err := newReplyReader(strings.NewReader(text + "\r\n")).Read()
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err := passiveAddress(r); got != want || (err == nil) != (want != 0) {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
}

// The first read of a connection is the watcher's; nobody notices.
func TestIdleConn(t *testing.T) {
	here, there := net.Pipe()
	c := watch(here)
	if !c.alive() {
		t.Error("dead at birth")
	}
	go func() {
		io.WriteString(there, "first")
		io.WriteString(there, "second")
		there.Close()
	}()
	buf := make([]byte, 3)
	if n, err := c.Read(buf); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	rest, err := io.ReadAll(c)
	if string(buf)+string(rest) != "firstsecond" || err != nil {
		t.Errorf("%q %q, %v", buf, rest, err)
	}
	c.Close()
}

// A server may write as it likes: one byte at a time, all at once.
func TestPiecemealReplies(t *testing.T) {
	c, lib := warmed(t, serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		p.expect("RETR /a")
		for _, b := range []byte("150-here\r\n it comes\r\n150 now\r\n") {
			p.Write([]byte{b})
			time.Sleep(time.Microsecond)
		}
		sends(d, "data")
		d = p.epsvAhead("226-done", "226 really", "")
		p.gone()
		d.Close()
	}), orderly)
	r, err := lib.Retr("/a")
	if got := content(t, r, err); got != "data" {
		t.Errorf("got %q", got)
	}
	becomesReady(t, c)
}
