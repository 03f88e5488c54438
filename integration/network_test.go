//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestIPv6 works over IPv6, passive (EPSV) and active (EPRT |2|).
func TestIPv6(t *testing.T) {
	forgetful(t)
	for _, k := range everyServer {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			ownNetwork(t)
			sh(t, "/", "ip addr add fd00::21/128 dev lo nodad")
			host := "fd00::21"
			if k == vsftpd {
				host = "::1"
			}
			s := newServer(t, k, host)
			s.Start(t)
			refused(t, s, []string{"no suitable address"}, "-4")
			for _, how := range []struct{ flag, said string }{{"-6", "> EPSV"}, {"--active", "> EPRT |2|" + host + "|"}} {
				trace := filepath.Join(t.TempDir(), "trace")
				flags := []string{"--trace", trace, how.flag}
				if k == pyftpdlib { // see TestActive
					flags = append(flags, "--max-connections=1")
				}
				m := mount(t, s, flags...)
				worksWell(t, m)
				m.Unmount(t)
				dialogue, err := os.ReadFile(trace)
				must(t, err)
				if !strings.Contains(string(dialogue), how.said) {
					t.Errorf("%s: never said %q", how.flag, how.said)
				}
				sh(t, s.Served, "rm -r *")
			}
		})
	}
}

// TestBindAddress: all connections come from the address, also data connections:
// vsftpd and ProFTPD take none from another one than the session's.
func TestBindAddress(t *testing.T) {
	for _, k := range bothServers {
		t.Run(string(k), func(t *testing.T) {
			s := startServer(t, k)
			for _, flags := range [][]string{nil, {"--active"}} {
				m := mount(t, s, slices.Concat(flags, []string{"--bind-address=127.0.0.21"})...)
				worksWell(t, m)
				peers := sh(t, "/", fmt.Sprintf("ss -Htn state established 'sport = :%d' | awk '{print $4}' | sed 's/:[0-9]*$//' | sort -u", s.Port))
				equal(t, "who is connected", peers, "127.0.0.21")
				m.Unmount(t)
				sh(t, s.Served, "rm -r *")
			}
			refused(t, s, []string{"192.0.2.1"}, "--bind-address=192.0.2.1")
		})
	}
}

// TestVirtualHost: a ProFTPD that is two by name (RFC 7151) is the one that the
// URL names.
func TestVirtualHost(t *testing.T) {
	forgetful(t)
	s := startServer(t, proftpd)
	other := filepath.Join(filepath.Dir(s.Served), "other")
	putDir(t, other)
	put(t, s.Served+"/main", nil)
	s.reconfigure(t, "<VirtualHost 127.0.0.1>", fmt.Sprint("Port ", s.Port), "ServerAlias localhost", "DefaultRoot "+other,
		"AuthOrder mod_auth_file.c", "AuthUserFile "+s.conf+"/auth", "RequireValidShell off", "AllowOverwrite on", "AllowStoreRestart on", "DelayEngine off", "</VirtualHost>")
	named := *s
	named.host, named.Served = "localhost", other
	m := mount(t, &named, "-4")
	worksWell(t, m)
	m.Unmount(t)
	equal(t, "by its address", sh(t, mount(t, s).Dir, "ls"), "main")
}
