package ftp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

// The server makes the data connections, in clear text and in TLS, by EPRT
// and by PORT.
func TestActive(t *testing.T) {
	cert := ftptest.NewCertificate(t, nil)
	for name, c := range map[string]struct {
		tls, port bool
	}{"eprt": {}, "port": {port: true}, "eprt-tls": {tls: true}, "port-tls": {true, true}} {
		t.Run(name, func(t *testing.T) {
			var opts []ftptest.Option
			if c.tls {
				opts = append(opts, ftptest.WithTLS(cert, nil))
			}
			srv := ftptest.Start(t, opts...)
			fill(t, srv, map[string]string{"f": "hello", "d/": ""})
			cfg := configOf(srv)
			if c.tls {
				cfg = secured(srv, cert)
			}
			if c.port {
				srv.Fault(ftptest.Refuse("EPRT", 500, "EPRT not understood"))
			}
			cfg.Dial, cfg.Active = nil, true
			s := openWith(t, cfg)
			for range 2 {
				transferAll(t, srv, s)
			}
			if srv.Count("EPSV")+srv.Count("PASV") > 0 || (srv.Count("PORT") > 0) != c.port {
				t.Errorf("%d EPSV, %d PASV, %d PORT", srv.Count("EPSV"), srv.Count("PASV"), srv.Count("PORT"))
			}
		})
	}
}

// Only the server may connect; others are sent away, and the transfer goes on.
func TestActiveStrangers(t *testing.T) {
	srv := ftptest.Start(t)
	fill(t, srv, map[string]string{"f": "hello"})
	var refused atomic.Int32
	cfg := configOf(srv)
	cfg.Dial, cfg.Active = nil, true
	cfg.ActivePorts = conn.PortRange{Low: 40100, High: 40199}
	s := openWith(t, cfg)
	stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: time.Second}
	// The port that the warm connection waits at is the last one announced.
	for _, c := range srv.Log() {
		if c.Verb != "EPRT" {
			continue
		}
		f := strings.Split(c.Arg, "|")
		if in, err := stranger.Dial("tcp", net.JoinHostPort("127.0.0.1", f[3])); err == nil {
			defer in.Close()
			refused.Add(1)
		}
	}
	d, err := s.Open(bg, "/f", 0, conn.Version{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(d); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	d.Close()
	if refused.Load() == 0 {
		t.Error("the stranger did not get to knock")
	}
}

// A range of ports in which none is free is an error, not a wait.
func TestActivePortsInUse(t *testing.T) {
	srv := ftptest.Start(t)
	fill(t, srv, map[string]string{"f": "hello"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	cfg := configOf(srv)
	cfg.Dial, cfg.Active, cfg.ActivePorts = nil, true, conn.PortRange{Low: port, High: port}
	s := openWith(t, cfg)
	if _, err := s.Open(bg, "/f", 0, conn.Version{}); !errors.Is(err, conn.ErrBusy) {
		t.Errorf("%v", err)
	}
}

// Data connections go to the server whatever PASV says, unless that is asked for.
func TestPassiveAddress(t *testing.T) {
	srv := ftptest.Start(t)
	fill(t, srv, map[string]string{"f": "hello"})
	srv.Fault(ftptest.NoEPSV())
	liar := "Entering Passive Mode (127,0,0,9,%)"
	remove := srv.Fault(ftptest.EditReply("PASV", func(text string) string {
		_, ports, _ := strings.Cut(text, "127,0,0,1,")
		return strings.Replace(liar, "%)", ports, 1)
	}))
	s := open(t, srv)
	transfer(t, s)
	cfg := configOf(srv)
	cfg.TrustPassive = true
	cfg.ConnectTimeout = time.Second
	s = openWith(t, cfg)
	if _, err := s.Open(bg, "/f", 0, conn.Version{}); !errors.Is(err, conn.ErrHostDown) { // nobody listens there
		t.Errorf("%v", err)
	}
	remove()
	transfer(t, openWith(t, cfg))
}

// transfer reads /f, which is "hello".
func transfer(t *testing.T, s *session) {
	t.Helper()
	d, err := s.Open(bg, "/f", 0, conn.Version{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(d); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	d.Close()
}

// Control and data connections go through a proxy, which looks up the name.
func TestProxies(t *testing.T) {
	srv := ftptest.Start(t)
	fill(t, srv, map[string]string{"f": "hello"})
	for scheme, serve := range map[string]func(net.Conn) (address string, err error){"socks5": acceptSOCKS, "http": acceptHTTP} {
		t.Run(scheme, func(t *testing.T) {
			p := startProxy(t, serve)
			cfg := configOf(srv)
			cfg.Dial, cfg.Host = nil, "ftp.example"
			cfg.Proxy = scheme + "://me:p%40ss@" + p.addr
			s := openWith(t, cfg)
			transfer(t, s)
			s.Close()
			if n := p.count.Load(); n < 2 {
				t.Errorf("%d connections through the proxy", n)
			}
			cfg.Proxy = scheme + "://me:wrong@" + p.addr
			if _, err := Dialer(cfg)(t.Context()); !errors.Is(err, conn.ErrHostDown) || strings.Contains(err.Error(), "wrong") {
				t.Errorf("with the wrong password: %v", err)
			}
			cfg.Proxy = scheme + "://127.0.0.1:1"
			if _, err := Dialer(cfg)(t.Context()); !errors.Is(err, conn.ErrHostDown) {
				t.Errorf("without a proxy: %v", err)
			}
		})
	}
}

// testProxy connects whatever name it is given to 127.0.0.1.
type testProxy struct {
	addr  string
	count atomic.Int32
}

var errProxy = errors.New("refused by the proxy")

func startProxy(t *testing.T, accept func(net.Conn) (address string, err error)) *testProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &testProxy{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				address, err := accept(c)
				if err != nil {
					return
				}
				_, port, _ := net.SplitHostPort(address)
				out, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
				if err != nil {
					return
				}
				defer out.Close()
				p.count.Add(1)
				go func() {
					io.Copy(out, c)
					out.(*net.TCPConn).CloseWrite()
				}()
				io.Copy(c, out)
			}()
		}
	}()
	return p
}

// acceptSOCKS is RFC 1928 with RFC 1929, as far as a client of ours speaks it.
func acceptSOCKS(c net.Conn) (string, error) {
	b := make([]byte, 512)
	read := func(n int) []byte { _, _ = io.ReadFull(c, b[:n]); return b[:n] }
	read(int(read(2)[1]))
	c.Write([]byte{5, 2})
	user := string(read(int(read(2)[1])))
	password := string(read(int(read(1)[0])))
	if user != "me" || password != "p@ss" {
		c.Write([]byte{1, 1})
		return "", errProxy
	}
	c.Write([]byte{1, 0})
	name := ""
	switch head := read(4); head[3] {
	case 1:
		name = netip.AddrFrom4([4]byte(read(4))).String()
	case 3:
		name = string(read(int(read(1)[0])))
	}
	port := binary.BigEndian.Uint16(read(2))
	c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	return netJoin(name, port)
}

func acceptHTTP(c net.Conn) (string, error) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
	if user, password, _ := r.BasicAuth(); r.Method != http.MethodConnect || user != "me" || password != "p@ss" {
		io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return "", errProxy
	}
	io.WriteString(c, "HTTP/1.1 200 OK\r\nX: y\r\n\r\n")
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil || host != "ftp.example" {
		return "", errProxy
	}
	return net.JoinHostPort(host, port), nil
}

func netJoin(name string, port uint16) (string, error) {
	if name != "ftp.example" {
		return "", errProxy
	}
	return net.JoinHostPort(name, strconv.Itoa(int(port))), nil
}
