package wire

import (
	"context"
	"errors"
	"io"
	"testing"

	"ftpfs/conn"
)

// What comes with the answer to AUTH TLS was put there in clear text, to be
// taken for an answer within TLS (RFC 4217; CVE-2011-0411 is this fault in SMTP):
// no handshake follows, and nothing of the login.
func TestInjectedBeforeTLS(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		want   error
	}{
		"another reply":   {"234 go ahead\r\n331 injected\r\n", conn.ErrProtocol},
		"part of one":     {"234 go ahead\r\n3", conn.ErrProtocol},
		"more lines":      {"234-go\r\n234 ahead\r\n230 you are in\r\n", conn.ErrProtocol},
		"two at once":     {"500 no\r\n234 go ahead\r\n", conn.ErrNoTLS},
		"nothing after":   {"234 go ahead\r\n", nil},
		"the end instead": {"421 bye\r\n", conn.ErrHostDown},
	} {
		t.Run(name, func(t *testing.T) {
			var after string
			heard := make(chan struct{})
			cfg := serve(t, func(p *peer) {
				defer close(heard)
				p.say("220 ready")
				p.expect("AUTH TLS")
				io.WriteString(p, tt.answer) // in one packet
				first := make([]byte, 1)
				if _, err := io.ReadFull(p.r, first); err == nil {
					after = string(first)
				}
			})
			cfg.TLS = conn.TLS{Mode: conn.TLSExplicit, Insecure: true}
			c, _, err := NewServer(cfg).Dial(context.Background())
			if err == nil {
				c.Close()
			}
			<-heard
			if tt.want == nil { // the peer is no TLS server; a handshake has begun
				if after != "\x16" {
					t.Errorf("the server got %q, want a handshake; error %v", after, err)
				}
				return
			}
			if !errors.Is(err, tt.want) || conn.OutcomeOf(err) != conn.NotExecuted {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if after != "" {
				t.Errorf("the server got %q", after)
			}
		})
	}
}
