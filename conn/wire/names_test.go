package wire

import (
	"strings"
	"testing"

	"ftpfs/conn"
)

// charset returns a charset by its name.
func charset(t *testing.T, name string) *conn.Charset {
	t.Helper()
	c, err := conn.ParseCharset(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Commands and replies are in the server's charset, and what has no form in it
// is refused without a byte being sent.
func TestNamesInACharset(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.say("220 hi")
		p.expect("MKD /\xc4\xe3", "257 \"/\xc4\xe3\xff\" created")
		p.expect("NOOP", "200 OK")
		p.gone()
	})
	cfg.Charset = charset(t, "GBK")
	c := control(t, cfg)
	begin(t, c)
	r, err := c.Command("MKD /你")
	if err != nil || r.Text() != "\"/你‛FF\" created" {
		t.Errorf("the reply is %q, %v", r, err)
	}
	_, err = c.Pipeline("NOOP", "MKD /🙂")
	if err == nil || conn.OutcomeOf(err) != conn.Refused || c.Err() != nil {
		t.Errorf("a name that cannot be sent: %v; the session: %v", err, c.Err())
	}
	if _, err := c.Command("NOOP"); err != nil {
		t.Error(err)
	}
}

// The length of a command counts as it is sent.
func TestLengthInACharset(t *testing.T) {
	c := &Control{server: NewServer(conn.Config{Charset: charset(t, "GBK")}), manners: Manners{MaxLine: 10, Telnet: true}}
	for line, long := range map[string]bool{"CWD 你你你": false, "CWD 你你你你": true, "CWD ‛FF‛FF‛FF": false, "CWD ‛FF‛FF‛FF‛FF": true} {
		if c.long(line) != long {
			t.Errorf("%q: long is %v", line, !long)
		}
	}
}

// A byte 0xFF is sent twice where the server wants it.
func TestTelnetNames(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.say("220 hi")
		p.expect("DELE /\xff\xff", "250 /\xff")
		p.expect("DELE /\xff\xff\xff\xff/x", "250 OK")
		p.expect("DELE /\xff", "250 OK")
		p.gone()
	})
	c := control(t, cfg)
	begin(t, c)
	c.Tune(Manners{Telnet: true})
	if r, err := c.Command("DELE /\xff"); err != nil || r.Text() != "/\xff" {
		t.Errorf("the reply is %q, %v", r, err)
	}
	if _, err := c.Command("DELE /\xff\xff/x"); err != nil {
		t.Error(err)
	}
	c.Tune(Manners{})
	if _, err := c.Command("DELE /\xff"); err != nil {
		t.Error(err)
	}
	if wire, err := c.OnWire(strings.Repeat("\xff", 3)); err != nil || wire != "\xff\xff\xff" {
		t.Errorf("%q, %v", wire, err)
	}
}
