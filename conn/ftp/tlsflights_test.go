package ftp

import (
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn/ftptest"
	ftpserver "ftpfs/conn/ftptest/server"
)

// How often the client has to wait for a transfer in TLS to its very end, the
// handshake of its data connection counted: no more than a throwaway prototype
// did (FTP.md, "warm + handshake begun with the command": 3, 3, 2 on servers
// that wait for our FIN, 2, 2, 2 on the others).
func TestTLSFlights(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		for end, opts := range map[string][]ftptest.Option{"lingering": nil, "abrupt": {ftptest.WithoutLinger()}} {
			t.Run(name+" "+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { tlsFlights(t, version, opts) })
			})
		}
	}
}

func tlsFlights(t *testing.T, version uint16, opts []ftptest.Option) {
	n := ftptest.NewNetwork(flightRTT)
	cert := ftptest.NewCertificate(t, nil)
	srv := ftptest.Start(t, append(opts, ftptest.WithNetwork(n), ftptest.WithTLS(cert, func(c *ftpserver.Config) {
		c.TLS.MinVersion, c.TLS.MaxVersion = version, version
	}))...)
	fill(t, srv, map[string]string{"f": "content", "d/x": "content"})
	s := openWith(t, secured(srv, cert))
	download := 2
	if opts == nil {
		download = 3
	}
	for _, tt := range []struct {
		name string
		want int
		do   func() error
	}{
		{"RETR", download, func() error { _, err := fetch(s, "/f"); return err }},
		{"listing", download, func() error { _, err := s.List(bg, "/d"); return err }},
		{"STOR", 2, func() error { _, err := s.upload("STOR", "/up", strings.NewReader("content")); return err }},
		{"size and time", 1, func() error { _, err := s.Stat(bg, "/f"); return err }},
	} {
		for range 3 {
			time.Sleep(time.Second) // it is idle
			start := time.Now()
			if err := tt.do(); err != nil {
				t.Fatal(tt.name, err)
			}
			if at := n.Flights(start, time.Now()); len(at) != tt.want {
				t.Errorf("%s: %d flights, want %d", tt.name, len(at), tt.want)
			}
			if took := time.Since(start); took != time.Duration(tt.want)*flightRTT {
				t.Errorf("%s took %v", tt.name, took)
			}
		}
	}
}
