package wire

import (
	"net"
	"time"
)

// steadySlices is how often within the timeout it is looked at whether a write
// gets on.
const steadySlices = 8

// steadyConn is a connection whose writes take as long as they need, and fail
// when nothing moves for the timeout. It stands below TLS, too, where a write
// that was cut short ends the encryption.
type steadyConn struct {
	net.Conn
	timeout time.Duration
}

func (c steadyConn) Write(p []byte) (n int, err error) {
	for still := 0; still < steadySlices; still++ {
		c.SetWriteDeadline(time.Now().Add(c.timeout / steadySlices))
		var k int
		k, err = c.Conn.Write(p[n:])
		n += k
		if !isTimeout(err) {
			return n, err
		}
		if k > 0 {
			still = -1
		}
	}
	return n, err
}
