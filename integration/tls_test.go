//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestTLS works over encrypted mounts: explicit, implicit, and what auto finds;
// over explicit ones as programs do.
func TestTLS(t *testing.T) {
	forgetful(t)
	ca := newAuthority(t)
	cert := ca.Sign(t, "server", nil)
	for _, k := range allServers {
		for _, mode := range []string{"explicit", "implicit", "auto"} {
			if k == pureftpd && mode == "implicit" {
				continue
			}
			t.Run(fmt.Sprintf("%s-%s", k, mode), func(t *testing.T) {
				t.Parallel()
				s := startServer(t, k, tlsConf(k, cert, mode == "implicit")...)
				var cases []conformanceCase
				if mode == "explicit" {
					cases = slices.Concat(shellCases(), openCases(), foreignCases())
				}
				prepareCases(t, cases, s.Served)
				m := mount(t, s, "--tls="+mode, "--tls-ca", ca.File)
				m.Expect("/changed-elsewhere/")
				worksWell(t, m)
				runCases(t, cases, m.Dir, s.Served, exceptions[k])
				noTemporaries(t, s.Served)
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
	local := filepath.Join(t.TempDir(), "big")
	must(t, os.WriteFile(local, big, 0o600))
	// By programs of their own: what this one has open, forks beside it close, too.
	sh(t, m.Dir, "mkdir d; cp "+local+" d/big; echo small > d/small; : > empty")
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
