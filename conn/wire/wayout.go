package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/proxy"

	"ftpfs/conn"
)

// dialFunc is net.Dialer.DialContext.
type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// maxConnectReply bounds in bytes what a proxy says before it connects us.
const maxConnectReply = 16 << 10

// wayOut returns how TCP connections to the server are made.
func wayOut(cfg conn.Config) (dialFunc, error) {
	dial := cfg.Dial
	if dial == nil {
		d := new(net.Dialer)
		if cfg.BindAddress.IsValid() {
			d.LocalAddr = &net.TCPAddr{IP: cfg.BindAddress.AsSlice(), Zone: cfg.BindAddress.Zone()}
		}
		dial = d.DialContext
	}
	direct := dial
	switch cfg.Family {
	case 4:
		direct = func(ctx context.Context, _, address string) (net.Conn, error) { return dial(ctx, "tcp4", address) }
	case 6:
		direct = func(ctx context.Context, _, address string) (net.Conn, error) { return dial(ctx, "tcp6", address) }
	}
	if cfg.Proxy == "" {
		return direct, nil
	}
	u, err := conn.ParseProxy(cfg.Proxy)
	if err != nil {
		return nil, err
	}
	through := connectHTTP
	if u.Scheme != "http" {
		through = connectSOCKS
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := direct(ctx, network, u.Host)
		if err != nil {
			return nil, fmt.Errorf("proxy %s: %w", u.Host, err)
		}
		stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
		err = through(ctx, c, u, address)
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("proxy %s: %w", u.Host, err)
		}
		return c, nil
	}, nil
}

// connectSOCKS asks a SOCKS5 proxy (RFC 1928) for a connection to address,
// whose name it looks up itself. The library would wrap c.
func connectSOCKS(ctx context.Context, c net.Conn, u *url.URL, address string) error {
	var auth *proxy.Auth
	if u.User != nil {
		password, _ := u.User.Password()
		auth = &proxy.Auth{User: u.User.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", u.Host, auth, nil)
	if err != nil {
		return err
	}
	socks, ok := d.(interface {
		DialWithConn(ctx context.Context, c net.Conn, network, address string) (net.Addr, error)
	})
	if !ok {
		return errors.ErrUnsupported
	}
	_, err = socks.DialWithConn(ctx, c, "tcp", address)
	return err
}

// connectHTTP asks an HTTP proxy for a connection to address (RFC 9110,
// 9.3.6). Its answer is read byte by byte, since the server's greeting can be
// right behind it.
func connectHTTP(_ context.Context, c net.Conn, u *url.URL, address string) error {
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	if u.User != nil {
		password, _ := u.User.Password()
		basic := http.Request{Header: http.Header{}}
		basic.SetBasicAuth(u.User.Username(), password)
		r.Header.Set("Proxy-Authorization", basic.Header.Get("Authorization"))
	}
	if err := r.Write(c); err != nil {
		return err
	}
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b[0]) {
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
		if len(head) > maxConnectReply {
			return errors.New("its answer does not end")
		}
	}
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%w: it answers %q", conn.ErrHostDown, answer.Status)
	}
	return nil
}
