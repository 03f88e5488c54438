package wire

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A write takes as long as it needs while something moves, and fails when
// nothing does for the timeout.
func TestSteadyWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout, taken = 8 * time.Second, 30
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		go func() {
			for range taken {
				time.Sleep(timeout - time.Second)
				b.Read(make([]byte, 1))
			}
		}()
		start := time.Now()
		n, err := steadyConn{a, timeout}.Write(make([]byte, 100))
		if n != taken || !isTimeout(err) {
			t.Errorf("wrote %d bytes, %v; want %d and a timeout", n, err, taken)
		}
		least := taken*(timeout-time.Second) + timeout
		if took := time.Since(start); took < least || took > least+timeout/steadySlices {
			t.Errorf("it took %v, want %v", took, least)
		}
	})
}
