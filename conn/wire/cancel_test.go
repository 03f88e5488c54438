package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn"
)

// slow is a context whose cause is not told before it is closed.
type slow struct {
	context.Context
	told chan struct{} // nil: at once
}

func (s *slow) Value(key any) any {
	if s.told != nil {
		<-s.told
	}
	return s.Context.Value(key)
}

// Who cancels a verb just when it ends breaks the session before the next one
// can begin: it must not be that one that fails.
func TestCancelAtTheEndOfAVerb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		go func() {
			io.WriteString(there, "220 hi\r\n")
			io.Copy(io.Discard, there)
		}()
		cfg := conn.Config{Host: "h", Port: 21, Dial: func(context.Context, string, string) (net.Conn, error) { return here, nil }}
		c, end, err := NewServer(cfg).Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.lib.next(); err != nil {
			t.Fatal(err)
		}
		end()
		inner, cancel := context.WithCancel(t.Context())
		ctx := &slow{Context: inner}
		if end, err = c.Begin(ctx); err != nil {
			t.Fatal(err)
		}
		ctx.told = make(chan struct{})
		cancel()
		synctest.Wait() // what breaks the session has begun
		ended := make(chan struct{})
		go func() {
			end()
			close(ended)
		}()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("the next verb can begin on a session that is about to be broken")
		default:
		}
		close(ctx.told)
		<-ended
		if c.Err() == nil {
			t.Error("the session goes on")
		}
		end() // does nothing any more
	})
}

// Who gives a verb up when the command that makes it come about is on its way
// learns what became of it; if the server does not say so within a second, the
// session is broken. One that was given up before is not sent.
func TestCancelOfAConclusion(t *testing.T) {
	for name, c := range map[string]struct {
		answer    time.Duration // 0: the ctx ends before the command
		wantTime  time.Duration
		wantReply int
		wantErr   error
		outcome   conn.Outcome
	}{
		"before it":          {0, 0, 0, context.Canceled, conn.NotExecuted},
		"answered":           {900 * time.Millisecond, 900 * time.Millisecond, 250, nil, 0},
		"not answered in 1s": {1100 * time.Millisecond, time.Second, 0, context.Canceled, conn.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := net.Pipe()
				heard, served := make(chan struct{}), make(chan struct{})
				defer func() { there.Close(); <-served }()
				go func() {
					defer close(served)
					io.WriteString(there, "220 hi\r\n")
					if _, err := there.Read(make([]byte, 100)); err != nil {
						return
					}
					close(heard)
					time.Sleep(c.answer)
					io.WriteString(there, "250 renamed\r\n")
					io.Copy(io.Discard, there)
				}()
				cfg := conn.Config{Host: "h", Port: 21, Dial: func(context.Context, string, string) (net.Conn, error) { return here, nil }}
				ctl, end, err := NewServer(cfg).Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer ctl.Close()
				if _, err := ctl.lib.next(); err != nil {
					t.Fatal(err)
				}
				end()
				ctx, cancel := context.WithCancel(t.Context())
				if end, err = ctl.Begin(ctx); err != nil {
					t.Fatal(err)
				}
				defer end()
				if c.answer == 0 {
					cancel()
					synctest.Wait()
				} else {
					go func() { <-heard; cancel() }()
				}
				start := time.Now()
				r, err := ctl.Conclude("RNTO /x")
				if r.Code != c.wantReply || !errors.Is(err, c.wantErr) || err != nil && conn.OutcomeOf(err) != c.outcome || time.Since(start) != c.wantTime {
					t.Errorf("%d, %v (%v) after %v", r.Code, err, conn.OutcomeOf(err), time.Since(start))
				}
				select {
				case <-heard:
					if c.answer == 0 {
						t.Error("it was sent")
					}
				default:
					if c.answer != 0 {
						t.Error("it was not sent")
					}
				}
				end()
				if broken := ctl.Err() != nil; broken != (c.wantErr != nil) {
					t.Errorf("the session is broken: %v", broken)
				}
			})
		})
	}
}

// A command that changes something and was given up does not come later, when
// the network is back: the connection is reset. After others it ends in order, so
// that the server knows at once.
func TestGivenUpCommandIsNotDeliveredLater(t *testing.T) {
	for line, want := range map[string]error{
		"DELE /f": syscall.ECONNRESET, "RNTO /f": syscall.ECONNRESET, "RMD /d": syscall.ECONNRESET, "SITE CHMOD 600 /f": syscall.ECONNRESET,
		"MLST /f": io.EOF, "NOOP": io.EOF,
	} {
		t.Run(line, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			c := control(t, serve(t, func(p *peer) {
				p.say("220 hi")
				p.expect(line)
				cancel()
				if _, err := p.r.ReadByte(); !errors.Is(err, want) {
					t.Errorf("the server reads %v, want %v", err, want)
				}
			}))
			end, err := c.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer end()
			if r, err := c.Command(line); conn.OutcomeOf(err) != conn.Unknown {
				t.Errorf("%v, %v", r, err)
			}
		})
	}
}
