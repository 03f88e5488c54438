package wire

import (
	"net"
	"testing"
	"time"
)

// TestHeldBackReplies: a server that gathers what it sends has no reason to
// wait for our acknowledgement.
func TestHeldBackReplies(t *testing.T) {
	const rounds = 25 // of 40 ms each, if the kernel put its acknowledgements off
	c := control(t, serve(t, func(p *peer) {
		p.Conn.(*net.TCPConn).SetNoDelay(false)
		p.say("220 hi")
		for range rounds {
			p.expect("SIZE a")
			p.expect("MDTM a")
			p.say("213 1")
			p.say("213 20261126021218")
		}
		p.gone()
	}))
	begin(t, c)
	start := time.Now()
	for range rounds {
		if rs, err := c.Pipeline("SIZE a", "MDTM a"); err != nil || len(rs) != 2 {
			t.Fatal(rs, err)
		}
	}
	if took := time.Since(start); took > rounds*20*time.Millisecond {
		t.Errorf("%d pairs of commands took %v", rounds, took)
	}
}
