package wire

import (
	"io"
	"strings"
	"testing"
	"time"
)

// An upload does not wait for the 150. A refusal is its end, however much is
// left to send, and the session lives.
func TestDataWithSTOR(t *testing.T) {
	c, lib := warmed(t, serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		p.expect("STOR /a")
		if b, err := io.ReadAll(d); string(b) != "data" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		d.Close()
		p.say("150 go", "226 done")
		d = p.epsv()
		p.expect("STOR /b", "553 no")
		next := p.epsv()
		d.Close()
		p.expect("STOR /c", "550 no") // whose data is not read
		last := p.epsv()
		p.expect("NOOP", "200 ok")
		p.gone()
		next.Close()
		last.Close()
	}), orderly)
	if err := lib.Stor("/a", strings.NewReader("data")); err != nil {
		t.Error(err)
	}
	if err := lib.Stor("/b", strings.NewReader("data")); err == nil || !strings.Contains(err.Error(), "553") {
		t.Errorf("refused upload: %v", err)
	}
	endless := readerFunc(func(p []byte) (int, error) { return len(p), nil })
	if err := lib.Stor("/c", endless); err == nil || !strings.Contains(err.Error(), "550") {
		t.Errorf("refused upload without end: %v", err)
	}
	if r, err := c.Command("NOOP"); err != nil || r.Code != 200 {
		t.Errorf("NOOP: %v, %v", r, err)
	}
	becomesReady(t, c)
}

// A server that is not known gets no data before it has answered STOR, however
// many uploads were taken: some lose it, now and then.
func TestDataAfterSTOR(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		for _, path := range []string{"/a", "/b"} {
			p.expect("STOR " + path)
			d.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if n, err := d.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Errorf("%s: data before the 125", path)
			}
			d.SetReadDeadline(time.Time{})
			p.say("125 go")
			io.Copy(io.Discard, d)
			d.Close()
			p.say("226 done")
			d = p.epsv()
		}
		p.gone()
		d.Close()
	})
	c, lib := warmed(t, cfg, Manners{Warm: true})
	for _, path := range []string{"/a", "/b"} {
		if err := lib.Stor(path, strings.NewReader("data")); err != nil {
			t.Error(err)
		}
		becomesReady(t, c)
	}
}

// A CWD in a listing's packet that is refused is the listing's end; what is
// listed in its place is thrown away.
func TestLeadRefused(t *testing.T) {
	c, lib := warmed(t, serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		p.expect("CWD /gone")
		p.expect("LIST", "550 Failed to change directory.", "150 here")
		sends(d, "of another directory")
		d = p.epsvAhead("226 done")
		p.expect("NOOP", "200 ok")
		p.gone()
		d.Close()
	}), orderly)
	c.Lead("CWD /gone", Reply.OK)
	_, err := lib.Retr(Raw("LIST"))
	if err == nil || !strings.Contains(err.Error(), "Failed to change") {
		t.Errorf("Retr: %v", err)
	}
	if verb, r := c.Last(); verb != "CWD" || r.Code != 550 {
		t.Errorf("last: %s %v", verb, r)
	}
	if _, err := c.Command("NOOP"); err != nil {
		t.Error(err)
	}
	becomesReady(t, c)
}

// Pure-FTPd hears of it when a download is given up, and says two things.
func TestAbort(t *testing.T) {
	m := orderly
	m.Abort = true
	c, lib := warmed(t, serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		p.expect("RETR /a", "150 here")
		io.WriteString(d, "x")
		p.expect("ABOR", "426 aborted", "226 ok")
		io.Copy(io.Discard, d)
		d.Close()
		d = p.epsv()
		p.expect("NOOP", "200 ok")
		p.gone()
		d.Close()
	}), m)
	r, err := lib.Retr("/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	r.Close() // its error is the 426
	if _, err := c.Command("NOOP"); err != nil {
		t.Error(err)
	}
	becomesReady(t, c)
}

// A 226 that comes before the data has ended ends nothing: the rest is read,
// and only then the next connection asked for.
func TestEarly226(t *testing.T) {
	c, lib := warmed(t, serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		p.expect("RETR /a", "150 here", "226 done")
		for range 3 {
			io.WriteString(d, "data")
			p.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			if b, err := p.r.Peek(1); err == nil {
				t.Errorf("%q before the end of the data", b)
			}
		}
		p.SetReadDeadline(time.Now().Add(10 * time.Second))
		d.Close()
		d = p.epsv()
		p.gone()
		d.Close()
	}), orderly)
	r, err := lib.Retr("/a")
	if got := content(t, r, err); got != "datadatadata" {
		t.Errorf("got %q", got)
	}
	becomesReady(t, c)
}
