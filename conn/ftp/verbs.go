package ftp

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"strings"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// timeFormat is that of MDTM and MFMT, always UTC (RFC 3659, 2.3).
const timeFormat = "20060102150405"

// Remove implements conn.Session.
func (s *session) Remove(ctx context.Context, path string, kind conn.Kind) error {
	verb := "DELE"
	if kind == conn.KindDir {
		verb = "RMD"
	}
	return s.simple(ctx, verb, path)
}

// RefusesFull implements conn.Session. The last two commands clean up behind a
// server that refuses, and are refused by one that does not.
func (s *session) RefusesFull(ctx context.Context, scratch string) (bool, error) {
	inner := scratch + "/x"
	end, err := s.begin(ctx, "MKD", inner)
	if err != nil {
		return false, err
	}
	defer end()
	var made, full, emptied wire.Reply
	p := packet{s: s}
	p.add("MKD "+scratch, ignore)
	p.add("MKD "+inner, func(r wire.Reply) { made = r })
	p.add("RMD "+scratch, func(r wire.Reply) { full = r })
	p.add("RMD "+inner, func(r wire.Reply) { emptied = r })
	p.add("RMD "+scratch, ignore)
	if err := p.send(); err != nil {
		return false, at("RMD", scratch, conn.OutcomeOf(err), err)
	}
	return made.OK() && full.Code >= 500 && emptied.OK(), nil
}

// Mkdir implements conn.Session. RFC 959 wants 257 for it, some servers say 250.
func (s *session) Mkdir(ctx context.Context, path string) error {
	return s.simple(ctx, "MKD", path)
}

// RefusesMade implements conn.Session.
func (s *session) RefusesMade() bool { return s.product.refusesMade }

// simple runs a verb that is one command with a path.
func (s *session) simple(ctx context.Context, verb, path string) error {
	end, err := s.begin(ctx, verb, path)
	if err != nil {
		return err
	}
	defer end()
	if verb == "MKD" {
		if err := s.checkNew(verb, path); err != nil {
			return err
		}
	}
	return s.explain(verb, path, s.do(verb, path, verb+" "+path))
}

// Rename implements conn.Session. The two commands are never sent together:
// a server that refuses RNFR may take RNTO alone for a rename of its root.
func (s *session) Rename(ctx context.Context, from, to string) error {
	end, err := s.begin(ctx, "RNFR", from, to)
	if err != nil {
		return err
	}
	defer end()
	if err := s.checkNew("RNTO", to); err != nil {
		return err
	}
	if s.long(to) {
		if s.long(from) && dirOf(from) != dirOf(to) {
			return &conn.Error{Op: "RNTO", Path: to, Outcome: conn.Refused, Err: conn.ErrNameTooLong}
		}
		// Nothing may come between the two, so this is where the second must be short.
		if err := s.do("CWD", dirOf(to), "CWD "+dirOf(to)); err != nil {
			return s.explain("CWD", dirOf(to), err)
		}
	}
	if err := s.do("RNFR", from, "RNFR "+from); err != nil {
		if conn.OutcomeOf(err) == conn.Unknown {
			err = at("RNFR", from, conn.NotExecuted, err) // it changes nothing
		}
		return s.explain("RNFR", from, err)
	}
	return s.explain("RNTO", to, s.do("RNTO", to, "RNTO "+to))
}

// Chmod implements conn.Session.
func (s *session) Chmod(ctx context.Context, path string, mode iofs.FileMode) error {
	end, err := s.begin(ctx, "SITE CHMOD", path)
	if err != nil {
		return err
	}
	defer end()
	if s.srv.lacks("SITE CHMOD") {
		return unsupported("SITE CHMOD", path)
	}
	r, err := s.ctl.Command(chmodLine(path, mode))
	if err != nil {
		return at("SITE CHMOD", path, conn.OutcomeOf(err), err)
	}
	if s.srv.lack("SITE CHMOD", r) {
		return unsupported("SITE CHMOD", path)
	}
	return s.explain("SITE CHMOD", path, s.refusal("SITE CHMOD", path, r))
}

// chmodLine returns the command that sets mode's permission, setuid, setgid
// and sticky bits.
func chmodLine(path string, mode iofs.FileMode) string {
	bits := uint32(mode.Perm())
	for bit, m := range map[uint32]iofs.FileMode{0o4000: iofs.ModeSetuid, 0o2000: iofs.ModeSetgid, 0o1000: iofs.ModeSticky} {
		if mode&m != 0 {
			bits |= bit
		}
	}
	return fmt.Sprintf("SITE CHMOD %03o %s", bits, path)
}

// SetTime implements conn.Session.
func (s *session) SetTime(ctx context.Context, path string, t time.Time) error {
	verb := s.timeVerb()
	if verb == "" {
		verb = "MFMT"
	}
	end, err := s.begin(ctx, verb, path)
	if err != nil {
		return err
	}
	defer end()
	if s.timeVerb() == "" {
		return unsupported(verb, path)
	}
	r, err := s.ctl.Command(timeLine(verb, path, t))
	if err != nil {
		return at(verb, path, conn.OutcomeOf(err), err)
	}
	if s.srv.lack(timeKey(verb), r) {
		return unsupported(verb, path)
	}
	return s.explain(verb, path, s.refusal(verb, path, r))
}

// timeVerb returns the command that sets times: MFMT (draft-somers-ftp-mfxx),
// else vsftpd's MDTM with a time before the path, or ProFTPD's SITE UTIME; ""
// if there is none.
func (s *session) timeVerb() string {
	switch {
	case s.feat.has("MFMT") && !s.srv.lacks(timeKey("MFMT")):
		return "MFMT"
	case s.feat.has("MDTM") && !s.feat.has("MFMT") && !s.noMDTMTime && s.srv.facts.of(mdtmTimes) != fails && !s.srv.lacks(timeKey("MDTM")):
		return "MDTM"
	case s.feat.has("SITE UTIME") && !s.srv.lacks(timeKey("SITE UTIME")):
		return "SITE UTIME"
	default:
		return ""
	}
}

// timeKey is the name under which the server remembers that verb cannot set
// times; MDTM may still tell them.
func timeKey(verb string) string { return verb + " time" }

func timeLine(verb, path string, t time.Time) string {
	if verb == "SITE UTIME" { // access, modification and creation time; the form without UTC does not say which zone it means
		return fmt.Sprintf("%s %s %s %[3]s %[3]s UTC", verb, path, t.UTC().Format(timeFormat))
	}
	return verb + " " + t.UTC().Format(timeFormat) + " " + path
}

// Symlink implements conn.Session with ProFTPD's SITE SYMLINK (mod_site_misc):
// it wants two words, and takes the target for a path from the current
// directory, which must exist.
func (s *session) Symlink(ctx context.Context, target, path string) error {
	const verb = "SITE SYMLINK"
	end, err := s.begin(ctx, verb, path, target)
	if err != nil {
		return err
	}
	defer end()
	if err := s.checkNew("RNTO", path); err != nil {
		return err
	}
	if !s.feat.has(verb) || s.srv.lacks(verb) || strings.Contains(target+path, " ") || len(verb)+len(target)+len(path)+2 > s.product.manners.MaxLine {
		return unsupported(verb, path)
	}
	r, err := s.ctl.Command(verb + " " + target + " " + path)
	if err != nil {
		return at(verb, path, conn.OutcomeOf(err), err)
	}
	if s.srv.lack(verb, r) {
		return unsupported(verb, path)
	}
	return s.refusal(verb, path, r)
}

// unsupported is the error of what the server cannot do.
func unsupported(op, path string) error {
	return &conn.Error{Op: op, Path: path, Outcome: conn.Refused, Err: errors.ErrUnsupported}
}
