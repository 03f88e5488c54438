package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jlaffaye/ftp"

	"ftpfs/conn"
)

// An upload that fails here is reset, never ended: the server must not take
// the part for the whole.
func TestFailedUploadIsReset(t *testing.T) {
	ended := make(chan error, 1)
	c, lib := connect(t, serve(t, func(p *peer) {
		p.login()
		d := p.epsv()
		p.expect("STOR /f", "150 go")
		_, err := io.Copy(io.Discard, d)
		ended <- err
		d.Close()
	}))
	reason := errors.New("the disk broke")
	err := lib.Stor("/f", io.MultiReader(strings.NewReader("part"), readerFunc(func([]byte) (int, error) {
		c.Fail(reason)
		return 0, reason
	})))
	if err == nil {
		t.Error("Stor succeeded")
	}
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server saw %v, want a reset", err)
	}
	if err := c.Err(); !errors.Is(err, reason) || !c.Sent() {
		t.Errorf("Err: %v, sent %v", err, c.Sent())
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestStalledTransfers(t *testing.T) {
	script := func(p *peer) {
		p.login()
		d := p.epsv()
		p.hear()
		p.say("150 go")
		p.gone() // and never touches d
		d.Close()
	}
	t.Run("download", func(t *testing.T) {
		cfg := serve(t, script)
		cfg.Timeout = 100 * time.Millisecond
		c, lib := connect(t, cfg)
		r, err := lib.Retr("/f")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); !errors.Is(err, conn.ErrTimeout) {
			t.Errorf("read: %v", err)
		}
		if err := c.Err(); !errors.Is(err, conn.ErrTimeout) {
			t.Errorf("Err: %v", err)
		}
		r.Close()
	})
	t.Run("upload", func(t *testing.T) {
		cfg := serve(t, script)
		cfg.Timeout = 100 * time.Millisecond
		c, lib := connect(t, cfg)
		if err := lib.Stor("/f", readerFunc(func(p []byte) (int, error) { return len(p), nil })); !errors.Is(err, conn.ErrTimeout) {
			t.Errorf("Stor: %v", err)
		}
		if err := c.Err(); !errors.Is(err, conn.ErrTimeout) {
			t.Errorf("Err: %v", err)
		}
	})
}

// A data port that does not answer ends the session, and the dial ends with it.
func TestDataDial(t *testing.T) {
	script := func(p *peer) {
		p.login()
		p.expect("EPSV", "229 passive (|||1|)")
		p.gone()
	}
	cfg := serve(t, script)
	dials := 0
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; dials == 1 {
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	cfg.ConnectTimeout = 100 * time.Millisecond
	c, lib := connect(t, cfg)
	if _, err := lib.Retr("/f"); !errors.Is(err, conn.ErrTimeout) || c.Sent() {
		t.Errorf("Retr: %v, sent %v", err, c.Sent())
	}

	cfg = serve(t, script)
	cfg.ConnectTimeout = time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	dials = 0
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; dials == 1 {
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		cancel() // of the verb
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c, end, err := NewServer(cfg).Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer end()
	lib, err = ftp.Dial("", ftp.DialWithDialFunc(c.DialFunc), ftp.DialWithDisabledUTF8(true))
	if err != nil {
		t.Fatal(err)
	}
	if err := lib.Login("u", "p"); err != nil {
		t.Fatal(err)
	}
	if _, err := lib.Retr("/f"); !errors.Is(err, context.Canceled) {
		t.Errorf("Retr: %v", err)
	}
}
