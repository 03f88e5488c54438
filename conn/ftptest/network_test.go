package ftptest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn/ftptest"
)

// ends runs f with the two ends of a connection over a network with rtt.
func ends(t *testing.T, f func(t *testing.T, client, server net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := ftptest.NewNetwork(rtt)
		l, err := n.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		began := time.Now()
		client, err := n.Dial(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		if got := time.Since(began); got != rtt+rtt/2 {
			t.Errorf("accepted after %v, want %v", got, rtt+rtt/2)
		}
		f(t, client, server)
	})
}

// read reads once and checks what comes and when.
func read(t *testing.T, c net.Conn, want string, wantErr error, after time.Duration) {
	t.Helper()
	began := time.Now()
	b := make([]byte, 100)
	n, err := c.Read(b)
	if string(b[:n]) != want || !errors.Is(err, wantErr) {
		t.Errorf("read %q, %v, want %q, %v", b[:n], err, want, wantErr)
	}
	if got := time.Since(began); got != after {
		t.Errorf("read took %v, want %v", got, after)
	}
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if n, err := io.WriteString(c, s); n != len(s) || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
}

func TestNetworkDelivers(t *testing.T) {
	ends(t, func(t *testing.T, client, server net.Conn) {
		if client.LocalAddr().String() != server.RemoteAddr().String() || client.RemoteAddr().String() != server.LocalAddr().String() {
			t.Error("the ends disagree on their addresses")
		}
		if _, ok := client.RemoteAddr().(*net.TCPAddr); !ok {
			t.Errorf("address is a %T", client.RemoteAddr())
		}
		write(t, client, "one")
		write(t, server, "two")
		read(t, server, "one", nil, rtt/2)
		read(t, client, "two", nil, 0)
		write(t, client, "last")
		client.Close()
		read(t, server, "last", nil, rtt/2)
		read(t, server, "", io.EOF, 0)
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if err := client.Close(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestNetworkHalfClose(t *testing.T) {
	ends(t, func(t *testing.T, client, server net.Conn) {
		if err := client.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(err)
		}
		read(t, server, "", io.EOF, rtt/2)
		write(t, server, "still")
		read(t, client, "still", nil, rtt/2)
		if _, err := client.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Error(err)
		}
	})
}

func TestNetworkResets(t *testing.T) {
	t.Run("abort", func(t *testing.T) {
		ends(t, func(t *testing.T, client, server net.Conn) {
			write(t, client, "sent before")
			if err := client.(interface{ Abort() error }).Abort(); err != nil {
				t.Error(err)
			}
			read(t, server, "sent before", nil, rtt/2)
			read(t, server, "", syscall.ECONNRESET, 0)
			if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
		})
	})
	t.Run("unread data", func(t *testing.T) {
		ends(t, func(t *testing.T, client, server net.Conn) {
			write(t, server, "never read")
			time.Sleep(rtt)
			client.Close()
			read(t, server, "", syscall.ECONNRESET, rtt/2)
		})
	})
	t.Run("write after close", func(t *testing.T) {
		ends(t, func(t *testing.T, client, server net.Conn) {
			client.Close()
			read(t, server, "", io.EOF, rtt/2)
			write(t, server, "to nobody")
			time.Sleep(rtt)
			if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
		})
	})
}

func TestNetworkDeadlines(t *testing.T) {
	ends(t, func(t *testing.T, client, server net.Conn) {
		if err := client.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Error(err)
		}
		read(t, client, "", os.ErrDeadlineExceeded, time.Second)
		var ne net.Error
		if _, err := client.Read(make([]byte, 1)); !errors.As(err, &ne) || !ne.Timeout() {
			t.Error(err)
		}
		// A deadline that is taken back, and one that is set during a Read.
		if err := client.SetReadDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
		time.AfterFunc(time.Minute, func() { client.SetDeadline(time.Now()) })
		read(t, client, "", os.ErrDeadlineExceeded, time.Minute)
		if err := client.SetDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
		// A writer waits for its reader, up to the deadline.
		if err := server.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Error(err)
		}
		n, err := server.Write(make([]byte, 10<<20))
		if n == 0 || n == 10<<20 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(n, err)
		}
	})
}

func TestNetworkCloseWakes(t *testing.T) {
	ends(t, func(t *testing.T, client, _ net.Conn) {
		time.AfterFunc(time.Second, func() { client.Close() })
		read(t, client, "", net.ErrClosed, time.Second)
	})
}

func TestNetworkBackPressure(t *testing.T) {
	ends(t, func(t *testing.T, client, server net.Conn) {
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
		go func() {
			server.Write(big)
			server.Close()
		}()
		synctest.Wait()
		got, err := io.ReadAll(client)
		if !bytes.Equal(got, big) || err != nil {
			t.Error(len(got), err)
		}
	})
}

func TestNetworkListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := ftptest.NewNetwork(rtt)
		began := time.Now()
		if _, err := n.Dial(t.Context(), "tcp", "127.0.0.1:21"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
		if got := time.Since(began); got != rtt {
			t.Errorf("refused after %v, want %v", got, rtt)
		}
		l, err := n.Listen("tcp", "127.0.0.1:21")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Listen("tcp", "127.0.0.1:21"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Error(err)
		}
		if _, err := n.Listen("tcp", "host:21"); err == nil {
			t.Error("listens on a name")
		}
		ctx, cancel := context.WithTimeout(t.Context(), rtt/4)
		defer cancel()
		if _, err := n.Dial(ctx, "tcp", "127.0.0.1:21"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		// Connections that nobody accepts are reset with the listener.
		waiting, err := n.Dial(t.Context(), "tcp", "127.0.0.1:21")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { l.Close() })
		read(t, waiting, "", syscall.ECONNRESET, time.Second+rtt/2)
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := n.Dial(t.Context(), "tcp", "127.0.0.1:21"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
	})
}
