package wire

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"

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
