//go:build linux

package integration

import (
	"os"
	"strings"
	"testing"
)

// TestDoctor: each server is found able to do what its mounts rely on, and
// nothing is left on it.
func TestDoctor(t *testing.T) {
	forgetful(t)
	ca := newAuthority(t)
	cert := ca.Sign(t, "server", nil)
	check := func(t *testing.T, s *server, flags ...string) string {
		args := append([]string{"doctor", "--max-connections=5", "--password-file", passwordFile(t, ftpPassword)}, flags...)
		o := ftpfs(t, nil, append(args, s.URL("/"))...)
		equal(t, "exit code", o.Code, 0)
		for _, works := range []string{"writing", "renaming over a file", "removing", "reading from the middle (REST)", "permissions (SITE CHMOD)"} {
			line := works + strings.Repeat(" ", 33-len(works)) + "yes\n"
			if !strings.Contains(o.Stdout, line) {
				t.Errorf("no %q in:\n%s%s", line, o.Stdout, o.Stderr)
			}
		}
		left, err := os.ReadDir(s.Served)
		if err != nil || len(left) > 0 {
			t.Errorf("left on the server: %v, %v", left, err)
		}
		return o.Stdout
	}
	for _, k := range everyServer {
		t.Run(string(k), func(t *testing.T) { t.Log(check(t, startServer(t, k), "--tls=off")) })
	}
	t.Run("vsftpd-tls", func(t *testing.T) {
		out := check(t, startServer(t, vsftpd, tlsConf(vsftpd, cert, false)...), "--tls=explicit", "--tls-ca", ca.File)
		for _, v := range []string{"TLS 1.2", "TLS 1.3"} {
			if !strings.Contains(out, v+strings.Repeat(" ", 26)+"yes") {
				t.Errorf("%s does not work:\n%s", v, out)
			}
		}
	})
}
