package ftp

import (
	"errors"
	iofs "io/fs"
	"path"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// explain makes the refusal of a command about p more exact where the server
// gave no reason (all of vsftpd's, some of most others), by looking at what is
// there. The looking is not one moment with the refusal, so an error is only
// ever replaced by another.
func (s *session) explain(verb, p string, err error) error {
	var e *conn.Error
	if !errors.As(err, &e) || !e.Vague() {
		return err
	}
	if reason := s.reason(verb, p); reason != nil {
		better := *e
		better.Err = reason
		return &better
	}
	return err
}

// reason says why verb was refused, nil if nothing better than the guess that
// ReplyError made is to be found.
func (s *session) reason(verb, p string) error {
	at := s.look(p)
	switch verb {
	case "RETR":
		return at.pick(nil, conn.ErrIsDir, iofs.ErrPermission)
	case "CWD", "MLSD", "LIST":
		return at.pick(nil, iofs.ErrPermission, conn.ErrNotDir)
	case "STOR":
		return at.pick(s.unwritable(p, at), conn.ErrIsDir, iofs.ErrPermission)
	case "MKD":
		return at.pick(s.unwritable(p, at), iofs.ErrExist, iofs.ErrExist)
	case "RMD":
		return at.pick(nil, s.unremovable(p, at, iofs.ErrPermission), conn.ErrNotDir)
	case "DELE":
		return at.pick(nil, conn.ErrIsDir, iofs.ErrPermission)
	case "RNFR":
		return at.pick(nil, iofs.ErrPermission, iofs.ErrPermission)
	case "RNTO":
		return at.pick(s.unwritable(p, at), s.unremovable(p, at, conn.ErrIsDir), iofs.ErrExist)
	case "MFMT", "MDTM", "SITE CHMOD":
		return at.pick(nil, conn.ErrNotOwner, conn.ErrNotOwner)
	}
	return nil
}

// sight is what a look at a path showed.
type sight struct {
	kind conn.Kind // KindUnknown if err is set or nothing was to be seen
	err  error     // why nothing is there or nothing can be seen: ErrNotExist, ErrPermission, ErrNotDir
}

// pick returns the reason for what was seen. absent is for a path that does
// not exist, if that is no reason by itself.
func (at sight) pick(absent, dir, other error) error {
	switch {
	case errors.Is(at.err, iofs.ErrNotExist) && absent != nil:
		return absent
	case at.err != nil:
		return at.err
	case at.kind == conn.KindDir:
		return dir
	case at.kind != conn.KindUnknown:
		return other
	}
	return nil
}

// unwritable says why p, of which at was seen, could not be created: because
// of its directory.
func (s *session) unwritable(p string, at sight) error {
	if !errors.Is(at.err, iofs.ErrNotExist) {
		return nil
	}
	dir := s.look(path.Dir(p))
	return dir.pick(nil, iofs.ErrPermission, conn.ErrNotDir)
}

// unremovable says why the directory p could not be removed or replaced.
func (s *session) unremovable(p string, at sight, otherwise error) error {
	if at.kind != conn.KindDir || s.do("CWD", p, "CWD "+p) != nil {
		return otherwise
	}
	if l, err := s.listHere(p, conn.Coming{}); err == nil && len(l.Entries) > 0 {
		return conn.ErrNotEmpty
	}
	return otherwise
}

// look finds out what is at p by all means that tell it, in one packet; if
// they leave it open, by listing the directory of p.
func (s *session) look(p string) sight {
	var (
		seen   sight
		parent bool
		ask    = packet{s: s}
		probe  = func(verb, path string, yes func(wire.Reply)) {
			ask.add(verb+" "+path, func(r wire.Reply) {
				if r.OK() {
					yes(r)
				} else if e := conn.ReplyError(verb, path, r.Code, r.Text()); path == p && !e.Vague() && located(e) && seen.err == nil {
					seen.err = e.Err
				}
			})
		}
		is = func(k conn.Kind) {
			if seen.kind == conn.KindUnknown {
				seen.kind = k
			}
		}
	)
	if s.hasMLST() {
		probe("MLST", p, func(r wire.Reply) {
			if e, err := parseMLST(p, r); err == nil {
				is(e.Kind)
			}
		})
	}
	probe("CWD", p, func(wire.Reply) { is(conn.KindDir) })
	probe("SIZE", p, func(wire.Reply) { is(conn.KindFile) })
	probe("MDTM", p, func(wire.Reply) { is(conn.KindFile) })
	probe("CWD", path.Dir(p), func(wire.Reply) { parent = true })
	if ask.send() != nil || p == "/" {
		return seen
	}
	switch {
	case seen.kind != conn.KindUnknown:
		return sight{kind: seen.kind}
	case seen.err != nil:
		return seen
	case parent:
		return s.find(p)
	}
	return s.below(path.Dir(p))
}

// located reports whether e says something of where it was looked, not only
// of the command.
func located(e *conn.Error) bool {
	return errors.Is(e, iofs.ErrNotExist) || errors.Is(e, iofs.ErrPermission) || errors.Is(e, conn.ErrNotDir)
}

// find looks for p in the listing of its directory, which is the current one.
func (s *session) find(p string) sight {
	l, err := s.listHere(path.Dir(p), conn.Coming{})
	if err != nil {
		return sight{}
	}
	for _, e := range l.Entries {
		if e.Name == path.Base(p) {
			return sight{kind: e.Kind}
		}
	}
	if !l.Complete {
		return sight{}
	}
	return sight{err: iofs.ErrNotExist}
}

// below says what a path is like whose directory dir cannot be entered.
func (s *session) below(dir string) sight {
	at := s.look(dir)
	switch {
	case at.err != nil || at.kind == conn.KindUnknown:
		return at
	case at.kind == conn.KindDir:
		return sight{err: iofs.ErrPermission}
	default:
		return sight{err: conn.ErrNotDir}
	}
}
