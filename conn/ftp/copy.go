package ftp

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// copySpeed is what a server that copies a file does at least, in bytes a second.
const copySpeed = 10 << 20

// Copy implements conn.Session with SITE CPFR and SITE CPTO (ProFTPD's
// mod_copy). The base is asked for in the packet of the first, which changes
// nothing by itself.
func (s *session) Copy(ctx context.Context, from string, base conn.Version, to string, c conn.Commit) (conn.Entry, error) {
	const verb = "SITE CPFR"
	final := to
	if c.RenameTo != "" {
		final = c.RenameTo
	}
	end, err := s.begin(ctx, verb, from, to, final)
	if err != nil {
		return conn.Entry{}, err
	}
	defer end()
	if err := s.checkNew("RNTO", final); err != nil {
		return conn.Entry{}, err
	}
	if offered, err := s.offers("CPFR"); err != nil || !offered {
		return conn.Entry{}, errors.Join(err, unsupported(verb, from))
	}
	var ready wire.Reply
	q, p := s.ask(from), packet{s: s}
	q.addTo(&p)
	p.add(verb+" "+from, func(r wire.Reply) { ready = r })
	if err := p.send(); err != nil {
		return conn.Entry{}, at(verb, from, conn.NotExecuted, err)
	}
	if err := conflict(q, base); err != nil {
		return conn.Entry{}, err
	}
	if s.srv.lack(verb, ready) {
		return conn.Entry{}, unsupported(verb, from)
	}
	if err := s.refusal(verb, from, ready); err != nil {
		return conn.Entry{}, err
	}
	const put = "SITE CPTO"
	r, err := s.ctl.Patient(put+" "+to, time.Minute+time.Duration(c.Size/copySpeed)*time.Second)
	if err != nil {
		return conn.Entry{}, at(put, to, conn.OutcomeOf(err), err)
	}
	if err := s.refusal(put, to, r); err != nil {
		return conn.Entry{}, err
	}
	e, err := s.commit(to, c.Size, c)
	e.Name, e.Kind = path.Base(final), conn.KindFile
	return e, err
}

// offers tells whether the server has the SITE command: FEAT may say so, for
// ProFTPD has a line for each module, else SITE HELP is asked, once.
func (s *session) offers(command string) (bool, error) {
	if command == "CPFR" && s.feat.has("SITE COPY") {
		return !s.srv.lacks("SITE " + command), nil
	}
	site, known := s.srv.siteHelp()
	if !known {
		r, err := s.ctl.Command("SITE HELP")
		if err != nil {
			return false, at("SITE HELP", "", conn.NotExecuted, err)
		}
		if r.OK() {
			site = strings.Fields(strings.ToUpper(strings.Join(r.Lines, " ")))
		}
		s.srv.setSiteHelp(site)
	}
	return slices.Contains(site, command) && !s.srv.lacks("SITE "+command), nil
}
