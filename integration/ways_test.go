//go:build linux

package integration

import (
	"testing"
)

// TestActive: the server makes the data connections.
func TestActive(t *testing.T) {
	forgetful(t)
	ca := newAuthority(t)
	cert := ca.Sign(t, "server", nil)
	for _, k := range everyServer {
		t.Run(string(k), func(t *testing.T) {
			flags := []string{"--tls=off", "--active", "--active-ports", "42100-42199"}
			if k == pyftpdlib { // 1.5.7 forgets other sessions when it connects
				flags = append(flags, "--max-connections=1")
			}
			worksWell(t, mount(t, startServer(t, k), flags...))
		})
	}
	for _, k := range bothServers {
		t.Run(string(k)+"-tls", func(t *testing.T) {
			s := startServer(t, k, tlsConf(k, cert, false)...)
			worksWell(t, mount(t, s, "--tls=explicit", "--tls-ca", ca.File, "--active"))
		})
	}
}
