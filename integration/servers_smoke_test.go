//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The harness itself: a server comes up, its user is unprivileged, it can be
// killed with its sessions and comes back on its port.
func TestServers(t *testing.T) {
	for _, k := range everyServer {
		t.Run(string(k), func(t *testing.T) {
			s := startServer(t, k)
			must(t, os.WriteFile(filepath.Join(s.Served, "hello"), []byte("hello\n"), 0o644))
			must(t, os.Mkdir(filepath.Join(s.Served, "ro"), 0o755))
			get := fmt.Sprintf("curl -sS --user '%s:%s' ftp://%s", ftpUser, ftpPassword, s.Addr())
			equal(t, "download", sh(t, "/", get+"/hello"), "hello")
			sh(t, "/", "echo up | "+get+"/up -T -")
			equal(t, "upload", sh(t, s.Served, "stat -c %u up; cat up"), fmt.Sprintf("%d\nup", ftpUID))
			shFails(t, "/", "echo up | "+get+"/ro/up -T -")
			eventually(t, 5*time.Second, func() error {
				if n := s.Sessions(); n != 0 {
					return fmt.Errorf("%d sessions", n)
				}
				return nil
			})
			if k != inetutils { // it keeps no log of them
				equal(t, "uploads in the log", s.Uploads(t)[0].Name, "/up")
			}
			s.Kill()
			shFails(t, "/", get+"/hello")
			s.Start(t)
			equal(t, "download after a restart", sh(t, "/", get+"/hello"), "hello")
		})
	}
}
