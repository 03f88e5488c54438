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
	alone := func(k kind, flags ...string) []string {
		if k == pyftpdlib { // 1.5.7 forgets other sessions when it connects
			flags = append(flags, "--max-connections=1")
		}
		return flags
	}
	for _, k := range everyServer {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			worksWell(t, mount(t, startServer(t, k), alone(k, "--tls=off", "--active", "--active-ports", "42100-42199")...))
		})
	}
	for _, k := range allServers {
		t.Run(string(k)+"-tls", func(t *testing.T) {
			t.Parallel()
			s := startServer(t, k, tlsConf(k, cert, false)...)
			worksWell(t, mount(t, s, alone(k, "--tls=explicit", "--tls-ca", ca.File, "--active")...))
		})
	}
}
