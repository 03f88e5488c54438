package ftp

import (
	"context"
	"errors"
	iofs "io/fs"
	"slices"
	"strings"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// List implements conn.Session.
func (s *session) List(ctx context.Context, dir string) (conn.Listing, error) {
	return s.ListEarly(ctx, dir, conn.Coming{})
}

// ListEarly implements conn.Session.
func (s *session) ListEarly(ctx context.Context, dir string, coming conn.Coming) (conn.Listing, error) {
	end, err := s.begin(ctx, "LIST", dir)
	if err != nil {
		return conn.Listing{}, err
	}
	defer end()
	return s.list(dir, coming)
}

// list reads a directory by MLSD, else by CWD and LIST: a name that is no
// argument can be taken neither for an option nor for a pattern.
func (s *session) list(dir string, coming conn.Coming) (conn.Listing, error) {
	if s.feat.has("MLST") && !s.srv.lacks("MLSD") {
		if s.away && s.product.goesBack {
			if err := s.do("CWD", "/", "CWD /"); err != nil {
				return conn.Listing{}, err
			}
		}
		l, there, err := s.mlsd(dir, coming)
		_, last := s.ctl.Last()
		switch {
		case err == nil && l.Len() == 0 && !there:
			// Some servers say of a missing directory that it is empty.
			if err := s.visit(dir); err != nil {
				return conn.Listing{}, err
			}
			return s.withLinks(dir, l)
		case err == nil:
			return s.withLinks(dir, l)
		case !s.srv.lack("MLSD", last):
			return l, s.explain("MLSD", dir, err)
		}
		s.log.Info("the server offers MLSD but does not know it; using LIST")
	}
	return s.listThere(dir, coming)
}

// mlsd reads a directory by MLSD. there says that the listing names the
// directory itself, or the one above: it exists, however empty it is.
func (s *session) mlsd(dir string, coming conn.Coming) (l conn.Listing, there bool, err error) {
	if !s.mlsdNamesLinks() {
		coming = conn.Coming{} // an entry may turn out to be a link
	}
	l, err = s.fetch("MLSD", dir, "MLSD "+dir, func(line string) (conn.Entry, error) {
		e, err := parseMLSD(line)
		there = there || errors.Is(err, errSkip)
		return e, err
	}, coming)
	return l, there, err
}

// listThere goes to dir and lists it, in one packet.
func (s *session) listThere(dir string, coming conn.Coming) (conn.Listing, error) {
	s.moves("CWD " + dir)
	s.ctl.Lead("CWD "+dir, wire.Reply.OK)
	l, err := s.listHere(dir, coming)
	if opOf(err) == "CWD" {
		return l, s.explain("CWD", dir, err)
	}
	return l, err
}

// opOf returns the command that err is about.
func opOf(err error) string {
	var e *conn.Error
	if errors.As(err, &e) {
		return e.Op
	}
	return ""
}

// visit goes to dir, to see whether it is a directory, and where the server
// wants that back to the root, for dir may be removed next.
func (s *session) visit(dir string) error {
	var entered wire.Reply
	p := packet{s: s}
	p.add("CWD "+dir, func(r wire.Reply) { entered = r })
	if s.product.goesBack {
		p.add("CWD /", ignore)
	}
	if err := p.send(); err != nil {
		return at("CWD", dir, conn.OutcomeOf(err), err)
	}
	return s.explain("CWD", dir, s.refusal("CWD", dir, entered))
}

// listHere lists dir, which is the current directory. LIST alone hides
// dotfiles on most servers; what "LIST -a" does is tried on the first
// directory in which it makes a difference, for some take -a for a name.
func (s *session) listHere(dir string, coming conn.Coming) (conn.Listing, error) {
	if _, known := s.srv.zone(); !known {
		coming.Early = nil // times may turn out to be others
	}
	l, err := s.listInZone(dir, coming)
	if _, known := s.srv.zone(); err != nil || known {
		return l, err
	}
	s.findZone(dir, l)
	for i, e := range l.Entries {
		l.Entries[i] = s.inZone(e)
	}
	return l, nil
}

// listInZone does as listHere; times are UTC if the zone is known.
func (s *session) listInZone(dir string, coming conn.Coming) (conn.Listing, error) {
	now := time.Now()
	parse := func(line string) (conn.Entry, error) {
		e, err := parseLIST(line, now)
		return s.inZone(e), err
	}
	switch known := s.srv.facts.of(listsAll); {
	case known == works:
		return s.fetch("LIST", dir, "LIST -a", parse, coming)
	case known == fails || !s.unix:
		return s.fetch("LIST", dir, "LIST", parse, coming)
	}
	all, err := s.fetch("LIST", dir, "LIST -a", parse, conn.Coming{})
	if err != nil && (conn.OutcomeOf(err) != conn.Refused || opOf(err) == "CWD") {
		return all, err
	}
	plain, plainErr := s.fetch("LIST", dir, "LIST", parse, conn.Coming{})
	if plainErr != nil {
		return plain, plainErr
	}
	switch {
	case err == nil && overlap(all, plain):
		s.srv.facts.learn(listsAll, true)
		return all, nil
	case err == nil && len(plain.Entries) == 0:
		return all, nil
	case err != nil || len(plain.Entries) > 1: // a single name may be new
		s.srv.facts.learn(listsAll, false)
	}
	return plain, nil
}

// overlap reports whether two listings have a name in common. To be equal
// they need not be: the directory may change between them.
func overlap(l, m conn.Listing) bool {
	names := make(map[string]bool, len(l.Entries))
	for _, e := range l.Entries {
		names[e.Name] = true
	}
	return slices.ContainsFunc(m.Entries, func(e conn.Entry) bool { return names[e.Name] })
}

// fetch runs a command that sends a listing. op is what its errors are called.
func (s *session) fetch(op, dir, command string, parse func(string) (conn.Entry, error), coming conn.Coming) (conn.Listing, error) {
	resp, err := s.lib.Retr(wire.Raw(command))
	if err != nil {
		return conn.Listing{}, s.transferError(op, dir, err)
	}
	l, err := newCollector(coming.Early).read(resp, func(line string) (conn.Entry, error) { return parse(s.ctl.Decode(line)) })
	if err == nil && coming.Sent != nil {
		coming.Sent(l.Entries)
	}
	if closed := resp.Close(); errors.Is(err, errEndless) {
		return l, nil // not complete
	} else if closed != nil {
		return conn.Listing{}, s.transferError(op, dir, closed)
	}
	if err != nil {
		return conn.Listing{}, s.fail(op, dir, err)
	}
	switch _, r := s.ctl.Last(); {
	case strings.Contains(r.Text(), "truncated to "):
		// Pure-FTPd stops after 10,000 names: "226-Options: -l", "226 Output
		// truncated to 10000 matches".
		l.Complete = false
	case l.Len() == 0 && strings.Contains(r.Text(), "failed to open directory"):
		// vsftpd lists what may be entered but not read as empty: "226
		// Transfer done (but failed to open directory)."
		return conn.Listing{}, &conn.Error{Op: op, Path: dir, Code: r.Code, Msg: r.Text(), Outcome: conn.Refused, Err: iofs.ErrPermission}
	}
	return l, nil
}
