package conn

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What a KnownCerts has in place of a fingerprint.
const (
	Verified = "verified" // an authority vouched for the certificate
	Offered  = "offered"  // there was TLS; the certificate was not looked at
)

// KnownCerts is the file that remembers which servers offer TLS, and the
// certificates that were accepted although no authority vouches for them, as
// ssh's known_hosts does. A line is "HOST:PORT FINGERPRINT", with Verified or
// Offered in place of the fingerprint where there is none to hold on to; what
// follows, and lines that begin with #, are comments. A server can have
// several lines.
type KnownCerts struct{ path string }

// NewKnownCerts returns the store in the file path, which need not exist.
// With "" it knows nothing and remembers nothing.
func NewKnownCerts(path string) KnownCerts { return KnownCerts{path} }

// Lookup returns what is remembered of a server, see Config.Server: nothing
// if it was never met with TLS.
func (k KnownCerts) Lookup(server string) (known []string, err error) {
	if k.path == "" {
		return nil, nil
	}
	f, err := os.Open(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if w := strings.Fields(lines.Text()); len(w) >= 2 && w[0] == server {
			known = append(known, w[1])
		}
	}
	return known, lines.Err()
}

// Remember adds a fingerprint, Verified or Offered, unless it is there already.
func (k KnownCerts) Remember(server, fingerprint, comment string) error {
	if k.path == "" {
		return errors.New("there is no folder to remember it in: set $HOME or $XDG_CONFIG_HOME")
	}
	known, err := k.Lookup(server)
	if err != nil || slices.Contains(known, fingerprint) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(k.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	// One write, so that mounts that begin at the same time do not mix.
	_, err = fmt.Fprintf(f, "%s %s %s %s\n", server, fingerprint, time.Now().UTC().Format(time.DateOnly), oneLine(comment))
	return errors.Join(err, f.Close())
}
