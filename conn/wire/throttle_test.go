package wire

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// Two connections share the limit, each direction for itself.
func TestThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, size = 1 << 20, 2 << 20
		var peers []net.Conn
		throttle := newThrottle(limit)
		start := time.Now()
		done := make(chan error)
		for i := range 2 {
			a, b := net.Pipe()
			peers = append(peers, b)
			c := throttle.wrap(a)
			defer c.Close()
			go func() { // out
				_, err := c.Write(make([]byte, size))
				done <- err
			}()
			go func() { // in
				_, err := io.CopyN(io.Discard, c, size)
				done <- err
			}()
			go io.CopyN(io.Discard, peers[i], size)
			go peers[i].Write(bytes.Repeat([]byte{1}, size))
		}
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if took, want := time.Since(start), 4*time.Second; took < want-100*time.Millisecond || took > want+100*time.Millisecond {
			t.Errorf("4 MiB in each direction at 1 MiB/s took %v", took)
		}
	})
}

func TestThrottledConnEndsItsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		c := newThrottle(4).wrap(a)
		go io.Copy(io.Discard, b)
		time.AfterFunc(time.Second, func() { c.Close(); b.Close() })
		if _, err := c.Write(make([]byte, 1000)); err == nil {
			t.Error("wrote 1000 bytes at 4 bytes a second within one")
		}
	})
}
