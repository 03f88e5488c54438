package ftp

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/ftptest"
)

// listsHost has FEAT name HOST.
func listsHost() ftptest.Fault {
	return ftptest.EditReply("FEAT", func(text string) string { return strings.Replace(text, " MDTM", " HOST\r\n MDTM", 1) })
}

// toServer has every name lead to srv.
func toServer(srv *ftptest.Server) func(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(srv.Addr)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(address)
		return srv.Dial(ctx, network, net.JoinHostPort(host, port))
	}
}

// logins returns what each session sent until USER.
func logins(srv *ftptest.Server) []string {
	var said []string
	for _, c := range srv.Log() {
		for len(said) < c.Session {
			said = append(said, "")
		}
		if !strings.Contains(said[c.Session-1], "USER") {
			said[c.Session-1] += strings.TrimSpace(c.Verb+" "+c.Arg) + " "
		}
	}
	return said
}

// TestHost: a server that is several by name is told the name of the URL,
// once it is known to want it.
func TestHost(t *testing.T) {
	const plain, named = "USER u ", "HOST ftp.example.org USER u "
	accepted := ftptest.Refuse("HOST", 220, "at your service")
	proftpd := ftptest.ReplaceReply(ftptest.Greeting, 220, 220, "ProFTPD Server ready.")
	for name, tt := range map[string]struct {
		host   string
		faults []ftptest.Fault
		want   []string // of two sessions, that a login was begun again included
	}{
		"not listed":       {"ftp.example.org", nil, []string{plain, plain}},
		"listed":           {"ftp.example.org", []ftptest.Fault{listsHost(), accepted}, []string{plain, named, named}},
		"address":          {"192.0.2.1", []ftptest.Fault{listsHost(), accepted}, []string{plain, plain}},
		"address, IPv6":    {"2001:db8::1", []ftptest.Fault{listsHost(), accepted}, []string{plain, plain}},
		"known by product": {"ftp.example.org", []ftptest.Fault{proftpd, listsHost(), accepted}, []string{named, named}},
		"unknown name":     {"ftp.example.org", []ftptest.Fault{proftpd, listsHost(), ftptest.Refuse("HOST", 504, "Unknown hostname provided")}, []string{named, plain}},
		"listed, refused":  {"ftp.example.org", []ftptest.Fault{listsHost(), ftptest.Refuse("HOST", 502, "not here")}, []string{plain, named, plain}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := ftptest.Start(t)
			for _, f := range tt.faults {
				srv.Fault(f)
			}
			cfg := configOf(srv)
			cfg.Host = tt.host
			cfg.Dial = toServer(srv)
			dial := Dialer(cfg)
			for range 2 {
				s, err := dial(bg)
				if err != nil {
					t.Fatal(err)
				}
				wantAlive(t, s.(*session))
				defer s.Close()
			}
			if got := logins(srv); !slices.Equal(got, tt.want) {
				t.Errorf("sessions began with %q, want %q", got, tt.want)
			}
		})
	}
}

// TestHostForgotten: who was told that its name is good is not used under
// another one.
func TestHostForgotten(t *testing.T) {
	srv := ftptest.Start(t)
	srv.Fault(listsHost())
	remove := srv.Fault(ftptest.Refuse("HOST", 220, "at your service"))
	cfg := configOf(srv)
	cfg.Host, cfg.Dial = "ftp.example.org", toServer(srv)
	dial := Dialer(cfg)
	s, err := dial(bg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	remove()
	srv.Fault(ftptest.Refuse("HOST", 504, "Unknown hostname provided"))
	if s, err := dial(bg); err == nil || conn.OutcomeOf(err) != conn.NotExecuted || !strings.Contains(fmt.Sprint(err), "Unknown hostname") {
		t.Errorf("%v, %v", s, err)
	}
}

// TestHostFlights: where HOST is known to be taken it costs nothing.
func TestHostFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := ftptest.NewNetwork(flightRTT)
		srv := ftptest.Start(t, ftptest.WithNetwork(n))
		srv.Fault(ftptest.ReplaceReply(ftptest.Greeting, 220, 220, "ProFTPD Server ready."))
		srv.Fault(listsHost())
		srv.Fault(ftptest.Refuse("HOST", 220, "at your service"))
		cfg := configOf(srv)
		cfg.Host, cfg.Dial = "ftp.example.org", toServer(srv)
		dial := Dialer(cfg)
		for i, want := range []int{3, 2} { // as in TestLoginFlights
			start := time.Now()
			s, err := dial(bg)
			if err != nil {
				t.Fatal(err)
			}
			if got := n.Flights(start, time.Now()); len(got) != want {
				t.Errorf("session %d: %d flights, want %d", i+1, len(got), want)
			}
			time.Sleep(time.Second)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
