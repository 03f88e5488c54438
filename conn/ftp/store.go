package ftp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"strings"
	"time"

	"ftpfs/conn"
	"ftpfs/conn/wire"
)

// Store implements conn.Session.
func (s *session) Store(ctx context.Context, p string, r io.Reader, c conn.Commit) (conn.Entry, error) {
	final := p
	if c.Late == nil && c.RenameTo != "" {
		final = c.RenameTo
	}
	end, err := s.begin(ctx, "STOR", p, final)
	if err != nil {
		return conn.Entry{}, err
	}
	defer end()
	if err := s.checkNew(storedBy(p, final), final); err != nil {
		return conn.Entry{}, err
	}
	if c.Late == nil && c.RenameTo == "" && c.Base.State != conn.AnyVersion {
		if err := s.checkBase(p, c.Base); err != nil {
			return conn.Entry{}, err
		}
	}
	sent, err := s.upload("STOR", p, r)
	if err != nil {
		return conn.Entry{}, err
	}
	if c.Late != nil {
		c = c.Late()
		final = cmp.Or(c.RenameTo, p)
		if err := cmp.Or(s.check("STOR", final), s.checkNew(storedBy(p, final), final)); err != nil {
			return conn.Entry{}, err
		}
	}
	e, err := s.commit(p, sent, c)
	if err != nil {
		return conn.Entry{}, err
	}
	e.Name, e.Kind = path.Base(final), conn.KindFile
	return e, nil
}

// storedBy returns the command that gives an upload to p its final name.
func storedBy(p, final string) string {
	if p != final {
		return "RNTO"
	}
	return "STOR"
}

// checkBase compares what is at path with what it should be.
func (s *session) checkBase(path string, base conn.Version) error {
	q := s.ask(path)
	p := packet{s: s}
	q.addTo(&p)
	if err := p.send(); err != nil {
		return at("STOR", path, conn.NotExecuted, err)
	}
	return conflict(q, base)
}

// conflict returns ErrConflict if the file that q asked for is not base.
func conflict(q *question, base conn.Version) error {
	is := conn.Version{State: conn.Absent}
	e, err := q.entry()
	switch {
	case err == nil:
		is = e.Version()
	case !errors.Is(err, iofs.ErrNotExist) && !isVague(err):
		return err // which says more than that nothing is there
	}
	if is.Same(base) {
		return nil
	}
	return &conn.Error{Op: "STOR", Path: q.path, Outcome: conn.Refused, Err: conn.ErrConflict}
}

// upload sends r to path by verb, STOR or APPE, and returns how many bytes
// that were.
func (s *session) upload(verb, path string, r io.Reader) (int64, error) {
	send := s.lib.Stor
	if verb == "APPE" {
		send = s.lib.Append
	}
	src := &source{r: r, ctl: s.ctl}
	return s.uploaded(verb, path, src, send(path, src))
}

// uploaded says what became of the upload of src that the library ended with err.
func (s *session) uploaded(verb, path string, src *source, err error) (int64, error) {
	switch {
	case err == nil:
		return src.n, nil
	case src.err != nil:
		return 0, &conn.Error{Op: verb, Path: path, Outcome: conn.Unknown, Err: src.err}
	default:
		return 0, s.explain("STOR", path, s.transferError(verb, path, err))
	}
}

// source is the reader of an upload. The library would end the upload
// properly when it fails, and the server would take the part for the whole;
// so the data connection is reset before the library hears of it.
type source struct {
	r   io.Reader
	ctl *wire.Control
	n   int64 // bytes read
	err error // of r, unless io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
		s.ctl.Fail(fmt.Errorf("the upload was given up: %w", err))
	}
	return n, err
}

// commit sets time and mode of what was uploaded with sent bytes, checks it
// and renames it, all but the RNTO in one packet.
func (s *session) commit(path string, sent int64, c conn.Commit) (conn.Entry, error) {
	var (
		p       = packet{s: s}
		stored  = s.ask(path)
		present *question // what is to be replaced
		ready   wire.Reply
		chmodOK bool
		verb    = s.timeVerb()
		timed   wire.Reply
	)
	if s.long(c.RenameTo) { // see Rename
		p.add("CWD "+dirOf(c.RenameTo), ignore)
	}
	if verb != "" && !c.Time.IsZero() {
		p.add(timeLine(verb, path, c.Time), func(r wire.Reply) { timed = r })
	}
	told := s.tellsTime && verb == "MFMT" && !c.Time.IsZero() // by the answer to that
	if c.SetMode && !s.srv.lacks("SITE CHMOD") {
		p.add(chmodLine(path, c.Mode), func(r wire.Reply) { chmodOK = !s.srv.lack("SITE CHMOD", r) && r.OK() })
	}
	stored.addPart(&p, !told)
	if c.RenameTo != "" {
		if c.Base.State != conn.AnyVersion {
			present = s.ask(c.RenameTo)
			present.addPart(&p, c.Base.State == conn.Present) // the time of what should not be there does not matter
		}
		p.add("RNFR "+path, func(r wire.Reply) { ready = r })
	}
	if err := p.send(); err != nil {
		return conn.Entry{}, at("STOR", path, conn.Unknown, err)
	}
	e, err := stored.entry()
	if errors.Is(err, errors.ErrUnsupported) { // a server without SIZE: the 226 has to do
		e, err = conn.Entry{Size: sent}, nil
	}
	if err != nil || e.Size != c.Size {
		return conn.Entry{}, s.fail("STOR", path, fmt.Errorf("%w: it has %d bytes, not %d (%v)", conn.ErrShortStore, e.Size, c.Size, err))
	}
	s.learnTime(verb, timed, c.RenameTo != "")
	switch set, ok := modified(timed); {
	case told && ok:
		e.Time, e.Precision = set, time.Second
	case !told && timed.Code != 0:
		s.tellsTime = ok && e.Time.Equal(set)
	}
	if chmodOK {
		e.Mode, e.HasMode = c.Mode&(iofs.ModePerm|iofs.ModeSetuid|iofs.ModeSetgid|iofs.ModeSticky), true
	}
	if c.RenameTo != "" {
		if err := mayReplace(path, present, c, chmodOK); err != nil {
			s.dropRename(path, ready)
			return conn.Entry{}, err
		}
		if err := s.moveTo(path, c.RenameTo, ready); err != nil {
			return conn.Entry{}, err
		}
	}
	if told && e.Time.IsZero() {
		return s.askTime(cmp.Or(c.RenameTo, path), e)
	}
	return e, nil
}

// askTime returns e, which is at path by now, with the time that MFMT should
// have told, and did not this time.
func (s *session) askTime(path string, e conn.Entry) (conn.Entry, error) {
	r, err := s.ctl.Command("MDTM " + path)
	if err != nil {
		return conn.Entry{}, at("STOR", path, conn.Unknown, err)
	}
	if t, ok := parseMDTM(r); ok {
		e.Time, e.Precision = t, time.Second
	}
	return e, nil
}

// modified returns the time that a file has by the answer to MFMT
// (draft-somers-ftp-mfxx, section 3.1): "Modify=20200102030405; path".
func modified(r wire.Reply) (t time.Time, ok bool) {
	const fact = "modify="
	text, _, whole := strings.Cut(strings.TrimSpace(r.Text()), ";")
	if !r.OK() || !whole || len(text) < len(fact) || !strings.EqualFold(text[:len(fact)], fact) {
		return t, false
	}
	t, err := time.Parse(timeFormat, text[len(fact):])
	return t, err == nil
}

// mayReplace tells whether what was uploaded to path may be renamed over what
// present, if it was asked, shows at c.RenameTo.
func mayReplace(path string, present *question, c conn.Commit, chmodOK bool) error {
	if present != nil {
		if err := conflict(present, c.Base); err != nil {
			return err
		}
	}
	if c.KeepMode && c.SetMode && !chmodOK {
		return &conn.Error{Op: "SITE CHMOD", Path: path, Outcome: conn.Refused, Err: errors.ErrUnsupported}
	}
	return nil
}

// moveTo ends a rename whose RNFR was answered with ready.
func (s *session) moveTo(from, to string, ready wire.Reply) error {
	if err := s.refusal("RNFR", from, ready); err != nil {
		return s.explain("RNFR", from, err)
	}
	r, err := s.ctl.Conclude("RNTO " + to)
	if err != nil {
		return at("RNTO", to, conn.OutcomeOf(err), err)
	}
	return s.explain("RNTO", to, s.refusal("RNTO", to, r))
}

// dropRename ends a rename whose RNFR was answered with ready by one that
// changes nothing: ProFTPD answers any other command with "501 Bad sequence".
func (s *session) dropRename(path string, ready wire.Reply) {
	if ready.Code/100 == 3 {
		s.ctl.Command("RNTO " + path) // a lost connection shows at the next command
	}
}

// learnTime remembers what an attempt to set a time by verb showed, of a file
// that is there. Where MDTM cannot set times, the server takes the time for a
// part of the name and finds no such file. It may be for the owner only, so what
// is learned of a file that was not made just now counts for this session alone.
func (s *session) learnTime(verb string, r wire.Reply, made bool) {
	if r.Code == 0 || s.srv.lack(timeKey(verb), r) || verb != "MDTM" {
		return
	}
	s.noMDTMTime = !r.OK()
	if made && s.srv.facts.of(mdtmTimes) == untried {
		s.srv.facts.learn(mdtmTimes, r.OK())
	}
}
