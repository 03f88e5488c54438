package wire

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// acknowledge has the kernel acknowledge at once what was read from c. It
// would wait up to 40 ms for something to send along, and a server that
// gathers what it sends (Nagle's algorithm: BSD's ftpd does) keeps its next
// reply for as long.
func acknowledge(c net.Conn) {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
		}
	}
}
