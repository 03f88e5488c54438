//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestTLS works over encrypted mounts: explicit, implicit, and what auto finds.
func TestTLS(t *testing.T) {
	forgetful(t)
	ca := newAuthority(t)
	cert := ca.Sign(t, "server", nil)
	for _, k := range bothServers {
		for _, mode := range []string{"explicit", "implicit", "auto"} {
			t.Run(fmt.Sprintf("%s-%s", k, mode), func(t *testing.T) {
				s := startServer(t, k, tlsConf(k, cert, mode == "implicit")...)
				m := mount(t, s, "--tls="+mode, "--tls-ca", ca.File)
				worksWell(t, m)
			})
		}
	}
}

// forgetful keeps what the test's mounts remember of servers from others: a
// port can be another server's later.
func forgetful(t *testing.T) { t.Setenv("XDG_CONFIG_HOME", t.TempDir()) }

// worksWell does a little of everything in an empty mount.
func worksWell(t *testing.T, m *mounted) {
	t.Helper()
	e := env{Dir: m.Dir, Served: m.server.Served, Remote: true}
	big := randomBytes(1, 5<<20+17)
	must(t, os.WriteFile(filepath.Join(t.TempDir(), "big"), big, 0o600))
	must(t, os.Mkdir(e.path("d"), 0o755))
	must(t, os.WriteFile(e.path("d/big"), big, 0o644))
	must(t, os.WriteFile(e.path("d/small"), []byte("small\n"), 0o644))
	must(t, os.WriteFile(e.path("empty"), nil, 0o644))
	e.Holds(t, "d/big", big)
	e.Holds(t, "d/small", []byte("small\n"))
	e.HoldsSoon(t, "empty", nil)
	put(t, filepath.Join(m.server.Served, "d", "foreign"), big)
	sh(t, m.Dir, fmt.Sprintf("%s refresh .; cmp d/foreign d/big; head -c 100 d/foreign | cmp -n 100 - d/big", the.binary))
	sh(t, m.Dir, "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i > d/$i; done; cat d/? >/dev/null; mv d/1 d/one; rm d/2; ls d")
	_, err := os.ReadFile(e.path("d/2"))
	if !os.IsNotExist(err) {
		t.Errorf("a removed file: %v", err)
	}
	e.Same(t)
}
