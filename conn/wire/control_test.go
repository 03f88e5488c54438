package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ftpfs/conn"
)

// wantBroken checks err and that the Control is broken for good with it.
func wantBroken(t *testing.T, c *Control, err error, o conn.Outcome, cause error) {
	t.Helper()
	if !errors.Is(err, cause) || conn.OutcomeOf(err) != o {
		t.Errorf("%v with outcome %v, want %v with outcome %v", err, conn.OutcomeOf(err), cause, o)
	}
	if again := c.Err(); !errors.Is(again, cause) {
		t.Errorf("Err is %v, want %v", again, cause)
	}
	if _, err := c.Command("NOOP"); conn.OutcomeOf(err) != conn.NotExecuted {
		t.Errorf("a command after the end: %v", err)
	}
}

// settle waits until the reader has taken what the server has sent.
func settle(t *testing.T, c *Control) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); len(c.replies) == 0; {
		select {
		case <-c.done:
			return
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatal("nothing came")
		}
	}
}

func TestCommand(t *testing.T) {
	c := control(t, serve(t, func(p *peer) {
		p.say("120 in a minute", "220 hi")
		p.expect("NOOP", "200 ok")
		p.expect("SITE CHMOD 644 /a b", "150 wait for it", "550 no")
		p.gone()
	}))
	if g := c.Greeting(); g.Code != 220 {
		t.Errorf("greeting %v", g)
	}
	begin(t, c)
	if r, err := c.Command("NOOP"); err != nil || r.Code != 200 {
		t.Errorf("NOOP: %v, %v", r, err)
	}
	if r, err := c.Command("SITE CHMOD 644 /a b"); err != nil || r.String() != "550 no" {
		t.Errorf("SITE CHMOD: %v, %v", r, err)
	}
	if verb, r := c.Last(); verb != "SITE" || r.Code != 550 {
		t.Errorf("last: %s %v", verb, r)
	}
}

func TestInjection(t *testing.T) {
	c := control(t, serve(t, func(p *peer) {
		p.say("220 hi")
		p.expect("NOOP", "200 ok") // nothing before it
		p.gone()
	}))
	begin(t, c)
	for _, line := range []string{"MKD x\r\nDELE y", "MKD x\nDELE y", "MKD x\ry", "MKD x\x00", ""} {
		if _, err := c.Command(line); !errors.Is(err, conn.ErrInvalidName) || conn.OutcomeOf(err) != conn.Refused {
			t.Errorf("%q: %v", line, err)
		}
		if rs, err := c.Pipeline("NOOP", line); len(rs) != 0 || !errors.Is(err, conn.ErrInvalidName) {
			t.Errorf("%q in a pipeline: %v", line, err)
		}
	}
	if r, err := c.Command("NOOP"); err != nil || r.Code != 200 {
		t.Errorf("NOOP: %v, %v", r, err)
	}
}

// What comes unasked is never taken for the answer to the next command, which
// is not sent.
func TestUnsolicited(t *testing.T) {
	for name, tt := range map[string]struct {
		said  []string
		code  int
		cause error
	}{
		"idle timeout":     {[]string{"421 Timeout."}, 421, conn.ErrHostDown},
		"late 226":         {[]string{"226 done"}, 226, conn.ErrProtocol},
		"answer two times": {[]string{"200 ok", "200 ok"}, 200, conn.ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			c := control(t, serve(t, func(p *peer) {
				p.say("220 hi")
				p.expect("NOOP", append([]string{"200 ok"}, tt.said...)...)
				p.gone()
			}))
			begin(t, c)
			if _, err := c.Command("NOOP"); err != nil {
				t.Fatal(err)
			}
			settle(t, c)
			_, err := c.Command("DELE /x")
			wantBroken(t, c, err, conn.NotExecuted, tt.cause)
			var e *conn.Error
			if errors.As(err, &e); e.Code != tt.code {
				t.Errorf("code %d, want %d", e.Code, tt.code)
			}
		})
	}
}

func TestErrNoticesIdleTimeout(t *testing.T) {
	c := control(t, serve(t, func(p *peer) { p.say("220 hi", "421 Timeout.") }))
	settle(t, c)
	if err := c.Err(); !errors.Is(err, conn.ErrHostDown) {
		t.Errorf("Err: %v", err)
	}
	if _, err := c.Begin(context.Background()); conn.OutcomeOf(err) != conn.NotExecuted {
		t.Errorf("Begin: %v", err)
	}
}

func TestServerGone(t *testing.T) {
	t.Run("before the command", func(t *testing.T) {
		c := control(t, serve(t, func(p *peer) { p.say("220 hi"); p.expect("NOOP", "200 ok") }))
		begin(t, c)
		if _, err := c.Command("NOOP"); err != nil {
			t.Fatal(err)
		}
		<-c.done
		_, err := c.Command("DELE /x")
		wantBroken(t, c, err, conn.NotExecuted, io.ErrUnexpectedEOF)
	})
	// After the command, at any byte of the answer, nothing is known.
	for n := range len("250 ok\r\n") {
		t.Run(fmt.Sprint("after bytes ", n), func(t *testing.T) {
			c := control(t, serve(t, func(p *peer) {
				p.say("220 hi")
				p.expect("DELE /x")
				io.WriteString(p, "250 ok\r\n"[:n])
			}))
			begin(t, c)
			_, err := c.Command("DELE /x")
			wantBroken(t, c, err, conn.Unknown, io.ErrUnexpectedEOF)
		})
	}
	t.Run("with 421 for an answer", func(t *testing.T) {
		c := control(t, serve(t, func(p *peer) {
			p.say("220 hi")
			p.expect("DELE /x", "421 shutting down")
			p.gone()
		}))
		begin(t, c)
		_, err := c.Command("DELE /x")
		wantBroken(t, c, err, conn.Unknown, conn.ErrHostDown)
	})
}

func TestSilence(t *testing.T) {
	cfg := serve(t, func(p *peer) { p.say("220 hi"); p.expect("DELE /x"); p.gone() })
	cfg.Timeout = 50 * time.Millisecond
	c := control(t, cfg)
	begin(t, c)
	_, err := c.Command("DELE /x")
	wantBroken(t, c, err, conn.Unknown, conn.ErrTimeout)
}

func TestNonsense(t *testing.T) {
	for name, answer := range map[string]string{
		"no reply":    "hello there",
		"a long line": "200 " + strings.Repeat("x", maxLine),
	} {
		t.Run(name, func(t *testing.T) {
			c := control(t, serve(t, func(p *peer) {
				p.say("220 hi")
				p.expect("DELE /x", answer)
				p.gone()
			}))
			begin(t, c)
			_, err := c.Command("DELE /x")
			wantBroken(t, c, err, conn.Unknown, conn.ErrProtocol)
		})
	}
}

func TestFlood(t *testing.T) {
	c := control(t, serve(t, func(p *peer) {
		p.say("220 hi")
		for range 2 * maxQueued {
			p.say("200 ok")
		}
		p.gone()
	}))
	<-c.done
	if err := c.Err(); !errors.Is(err, conn.ErrProtocol) {
		t.Errorf("Err: %v", err)
	}
}

// A server may answer as much as it likes before it reads on.
func TestPipelineOfTalkativeServer(t *testing.T) {
	const n = 700
	text := strings.Repeat("x", 16<<10)
	c := control(t, serve(t, func(p *peer) {
		p.say("220 hi")
		for i := range n {
			p.expect(fmt.Sprint("SIZE /", i), fmt.Sprintf("%d %s", 200+i%100, text))
		}
		p.gone()
	}))
	begin(t, c)
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprint("SIZE /", i))
	}
	rs, err := c.Pipeline(lines...)
	if err != nil || len(rs) != n {
		t.Fatalf("%d replies, %v", len(rs), err)
	}
	for i, r := range rs {
		if r.Code != 200+i%100 {
			t.Fatalf("reply %d is %d", i, r.Code)
		}
	}
}

func TestPipelineCut(t *testing.T) {
	c := control(t, serve(t, func(p *peer) {
		p.say("220 hi")
		p.expect("SIZE /a", "213 1")
		p.expect("SIZE /b")
	}))
	begin(t, c)
	rs, err := c.Pipeline("SIZE /a", "SIZE /b", "SIZE /c")
	if len(rs) != 1 || rs[0].Text() != "1" {
		t.Errorf("replies %v", rs)
	}
	wantBroken(t, c, err, conn.Unknown, io.ErrUnexpectedEOF)
}

func TestPacketOf(t *testing.T) {
	short := make([]string, 2*maxPipeline)
	for i := range short {
		short[i] = "NOOP"
	}
	long := []string{strings.Repeat("x", maxPipelineBytes), "NOOP"}
	for _, tt := range []struct {
		lines []string
		want  int
	}{{short, maxPipeline}, {short[:3], 3}, {long, 1}, {long[1:], 1}} {
		c := &Control{server: NewServer(conn.Config{})}
		if got := c.packetOf(tt.lines); got != tt.want {
			t.Errorf("%d lines: %d in a packet, want %d", len(tt.lines), got, tt.want)
		}
	}
}

// The end of the context ends a wait at once.
func TestInterrupt(t *testing.T) {
	heard := make(chan struct{})
	c := control(t, serve(t, func(p *peer) {
		p.say("220 hi")
		p.expect("DELE /x")
		close(heard)
		p.gone()
	}))
	reason := errors.New("no more patience")
	ctx, cancel := context.WithCancelCause(context.Background())
	end, err := c.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	go func() { <-heard; cancel(reason) }()
	_, err = c.Command("DELE /x")
	wantBroken(t, c, err, conn.Unknown, reason)
}

func TestCloseDuringVerb(t *testing.T) {
	heard := make(chan struct{})
	c := control(t, serve(t, func(p *peer) {
		p.say("220 hi")
		p.expect("DELE /x")
		close(heard)
		p.gone()
	}))
	begin(t, c)
	closed := make(chan error)
	go func() { <-heard; closed <- c.Close() }()
	_, err := c.Command("DELE /x")
	wantBroken(t, c, err, conn.Unknown, net.ErrClosed)
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestBegin(t *testing.T) {
	c := control(t, serve(t, func(p *peer) {
		p.say("220 hi")
		p.expect("NOOP", "200 ok")
		p.expect("QUIT")
	}))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Begin(ended); !errors.Is(err, context.Canceled) || c.Err() != nil {
		t.Errorf("with an ended context: %v, %v", err, c.Err())
	}
	ctx, cancel := context.WithCancel(context.Background())
	end, err := c.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Begin(context.Background()); !errors.Is(err, conn.ErrBusy) {
		t.Errorf("a second verb: %v", err)
	}
	end()
	cancel() // concerns nobody any more
	begin(t, c)
	if _, err := c.Command("NOOP"); err != nil {
		t.Error(err)
	}
}

func TestDialFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	_, _, err = NewServer(conn.Config{Host: "127.0.0.1", Port: port}).Dial(context.Background())
	if !errors.Is(err, conn.ErrHostDown) || conn.OutcomeOf(err) != conn.NotExecuted {
		t.Errorf("closed port: %v", err)
	}
	stuck := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, _, err = NewServer(conn.Config{Host: "h", Dial: stuck, ConnectTimeout: time.Millisecond}).Dial(context.Background())
	if !errors.Is(err, conn.ErrTimeout) {
		t.Errorf("no answer: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, _, err = NewServer(conn.Config{Host: "h", Dial: stuck}).Dial(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, conn.ErrTimeout) {
		t.Errorf("the caller's deadline: %v", err)
	}
}
