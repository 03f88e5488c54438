package ftp

import (
	"errors"
	"net/netip"

	"ftpfs/conn"
)

// errAgain says that the login is to be done again, on a new connection.
var errAgain = errors.New("the login begins again")

// errOtherHost says that a server has become another one than it was.
var errOtherHost = errors.New("the server does not know its name any more")

// hosts is what is known of HOST (RFC 7151), by which a server that is several
// is told its name.
type hosts struct {
	listed bool    // in FEAT
	tried  verdict // works once it was accepted, fails once it was refused
}

// host returns the name that HOST is to tell before USER: "" where the server
// knows no HOST or no such name, and for an address, which is that of all of
// its names. FEAT speaks of HOST after the login only, which is then done again,
// once.
func (s *session) host(cfg conn.Config) string {
	h := s.srv.knownHosts()
	if _, err := netip.ParseAddr(cfg.Host); err == nil || h.tried == fails || !h.listed && !s.product.takesHost {
		return ""
	}
	return cfg.Host
}

// choose sends HOST. A server that refuses it goes on as the one that it is
// without, but never after it was another one: there the files are others.
func (s *session) choose(host string) error {
	r, err := s.ctl.Command("HOST " + host)
	switch {
	case err != nil:
		return err
	case r.OK():
		s.srv.triedHost(works)
	case s.srv.knownHosts().tried == works:
		return errOtherHost
	case r.Code != closing: // that is for USER to tell
		s.srv.triedHost(fails)
		s.log.Debug("the server does not know its name", "host", host, "reply", r.String())
	}
	return nil
}

// missedHost reports whether this login should have begun with HOST.
func (s *session) missedHost(cfg conn.Config) bool {
	if !s.feat.has("HOST") || s.host(cfg) != "" {
		return false
	}
	s.srv.listsHost()
	return s.host(cfg) != ""
}
